package cli

import (
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// formerly is a flag or an environment variable of MetalLB's that there is nothing
// for here. It is taken, so that arguments written for MetalLB start.
type formerly struct {
	flag, env string // one of them may be empty
	toggle    bool   // it stands without a value
	roles     string // that MetalLB has it for
	because   string
}

const (
	noWebhook = "there is no webhook: the API server checks objects by their schema, the controller tells what is wrong with the whole"
	noFRR     = "there is no FRR: sessions are the speaker's own"
	noTLS     = "metrics and probes are plain HTTP"
)

// without are all of them.
var without = []formerly{
	{flag: "disable-cert-rotation", toggle: true, roles: "controller", because: noWebhook},
	{flag: "cert-dir", roles: "controller", because: noWebhook},
	{flag: "cert-service-name", roles: "controller", because: noWebhook},
	{flag: "webhook-mode", roles: "controller", because: noWebhook},
	{flag: "webhook-secret", roles: "controller", because: noWebhook},
	{flag: "webhook-http2", toggle: true, roles: "controller", because: noWebhook},
	{flag: "tls-min-version", roles: "controller speaker", because: noTLS},
	{flag: "tls-cipher-suites", roles: "controller speaker", because: noTLS},
	{flag: "tls-curve-preferences", roles: "controller speaker", because: noTLS},
	{flag: "metrics-cert-dir", roles: "controller speaker", because: noTLS},
	{flag: "deployment", env: "METALLB_DEPLOYMENT", roles: "controller", because: "the membership's Secret belongs to nobody, and stays when the Deployment is made anew"},
	{flag: "bgp-debounce-timeout", env: "METALLB_BGP_DEBOUNCE_TIMEOUT", roles: "speaker", because: noFRR + ", and told of a change at once"},
	{flag: "frrk8s-namespace", env: "FRRK8S_NAMESPACE", roles: "speaker", because: noFRR},
	{flag: "frrk8s-secret-passthrough", toggle: true, roles: "speaker", because: noFRR},
	{flag: "host", env: "METALLB_HOST", roles: "speaker", because: "the node's addresses are those of its Node object"},
	{flag: "ml-namespace", env: "METALLB_ML_NAMESPACE", roles: "speaker", because: "members are found by the Node objects, not by pods"},
	{flag: "ml-labels", env: "METALLB_ML_LABELS", roles: "speaker", because: "members are found by the Node objects, not by pods"},
	{env: "METALLB_BGP_TYPE", roles: "controller speaker", because: "there is one kind of BGP, which has what all of MetalLB's have"},
	{env: "FRR_CONFIG_FILE", roles: "speaker", because: noFRR},
	{env: "FRR_RELOADER_PID_FILE", roles: "speaker", because: noFRR},
	{env: "FRR_LOGGING_LEVEL", roles: "speaker", because: noFRR},
}

// formerFlags notes which of a role's are given.
type formerFlags struct {
	flags *pflag.FlagSet
	role  string
}

// bindFormer adds a role's flags that have no effect, out of the list of those
// that have one.
func bindFormer(flags *pflag.FlagSet, role string) formerFlags {
	for _, f := range without {
		if f.flag == "" || !slices.Contains(strings.Fields(f.roles), role) || flags.Lookup(f.flag) != nil {
			continue
		}
		flags.String(f.flag, "", "no effect: "+f.because)
		own := flags.Lookup(f.flag)
		own.Hidden = true
		if f.toggle {
			own.NoOptDefVal = "true"
		}
	}
	return formerFlags{flags, role}
}

// tell logs each flag and variable that is given and has no effect, once.
func (f formerFlags) tell(log *slog.Logger) {
	for _, w := range without {
		if !slices.Contains(strings.Fields(w.roles), f.role) {
			continue
		}
		if w.flag != "" && f.flags.Changed(w.flag) {
			log.Info("a flag of MetalLB's has no effect", "flag", "--"+w.flag, "because", w.because)
		} else if w.env != "" && os.Getenv(w.env) != "" {
			log.Info("a variable of MetalLB's has no effect", "variable", w.env, "because", w.because)
		}
	}
}

// formerHelp lists a role's flags that have no effect, for its help.
func formerHelp(role string) string {
	var names []string
	for _, w := range without {
		if w.flag != "" && slices.Contains(strings.Fields(w.roles), role) {
			names = append(names, "--"+w.flag)
		}
	}
	var b strings.Builder
	b.WriteString("\n\nFlags of MetalLB that are taken and have no effect, which the log gives the reasons for:")
	column := 80
	for i, name := range names {
		if i < len(names)-1 {
			name += ","
		}
		if column+1+len(name) > 80 {
			b.WriteString("\n ")
			column = 1
		}
		b.WriteString(" " + name)
		column += 1 + len(name)
	}
	return b.String()
}
