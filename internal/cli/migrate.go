package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/internal/configmap"
	"github.com/pharoslb/pharos/internal/file"
	"github.com/pharoslb/pharos/internal/kube"
	"github.com/pharoslb/pharos/internal/migrate"
)

func newMigrate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Move a cluster from MetalLB",
		Long: `Helps to put Pharos in MetalLB's place. docs/migrate-metallb.md has the way, step
by step, and what differs.`,
	}
	cmd.AddCommand(newMigrateCheck())
	return cmd
}

// patience is after how long it is told what was read already.
const patience = 2 * time.Second

// migrateFlags are those of migrate check.
type migrateFlags struct {
	kubeconfig, namespace, configMap, output string
}

func newMigrateCheck() *cobra.Command {
	var f migrateFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Tell what would change if Pharos took MetalLB's place now",
		Long: `Reads a cluster that MetalLB serves, and tells what would change if Pharos took
its place now: addresses of Services, the nodes that announce them and to whom,
attributes of routes, BGP sessions, and objects that would not be in force. What
Pharos would do is decided by its roles themselves; what MetalLB does is read
from the Services' statuses, from ServiceL2Status and ServiceBGPStatus, and from
its mode and version. Nothing is written, and no Secret is read.

Changes move something. Notes tell what differs and moves nothing. Exits with 0 if
there is no change, with 1 if there is, and with 2 if it could not tell: the API
server does not answer, or rights are missing, which are named. It takes the right
to list services, nodes, namespaces, endpointslices and frrconfigurations in all
namespaces; and in MetalLB's: configmaps, pods, deployments, daemonsets, and the
kinds of group metallb.io.`,
		Example: "  pharos migrate check\n  pharos migrate check --kubeconfig prod.yaml --namespace metallb -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.output != "table" && f.output != "json" {
				return withUsage(cmd, fmt.Errorf("--output %q is neither table nor json", f.output))
			}
			return runMigrateCheck(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig file (default: that of KUBECONFIG, else ~/.kube/config, else the pod's service account)")
	flags.StringVarP(&f.namespace, "namespace", "n", file.DefaultNamespace, "MetalLB's namespace")
	flags.StringVar(&f.configMap, "config", "config", "name of the ConfigMap with the configuration of MetalLB before 0.13")
	flags.StringVarP(&f.output, "output", "o", "table", "table or json")
	return cmd
}

// userKubeconfig is the kubeconfig that kubectl would take; empty: there is none.
func userKubeconfig() string {
	paths := filepath.SplitList(os.Getenv("KUBECONFIG"))
	if home, err := os.UserHomeDir(); err == nil && len(paths) == 0 {
		paths = append(paths, filepath.Join(home, ".kube", "config"))
	}
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

func runMigrateCheck(ctx context.Context, w, progress io.Writer, f migrateFlags) error {
	begun := time.Now()
	if f.kubeconfig == "" {
		f.kubeconfig = userKubeconfig()
	}
	client, err := kube.Connect(kube.Access{Kubeconfig: f.kubeconfig, Component: "migrate"})
	if err != nil {
		return &usageError{err}
	}
	source := kube.NewSource(kube.Options{
		Client:    client,
		Kinds:     kube.Services | kube.Endpoints | kube.Nodes | kube.Namespaces | kube.Config,
		ConfigMap: pharos.Name{Namespace: f.namespace, Name: f.configMap},
		Parse:     configmap.Parse,
		Extras:    true,
	})
	// What may not be read is told all at once.
	failed := source.Load(ctx, func(k kube.KindStatus) {
		if time.Since(begun) > patience {
			fmt.Fprintf(progress, "read: %d %s\n", k.Objects, k.Kind)
		}
	})
	m, err := client.MetalLB(ctx, f.namespace)
	if failed = errors.Join(failed, err); failed != nil {
		return &usageError{fmt.Errorf("could not tell:\n%w", failed)}
	}
	r := migrate.Check(source.Snapshot(), m)
	if f.output == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		err = encoder.Encode(r)
	} else {
		showReport(w, r)
	}
	if err == nil && len(r.Changes) > 0 {
		err = errInvalid
	}
	return err
}

// showReport writes changes, notes and what was compared.
func showReport(w io.Writer, r *migrate.Report) {
	showFindings(w, "CHANGE", r.Changes)
	showFindings(w, "NOTE", r.Notes)
	c := &r.Compared
	what := []string{count(c.Services, "Service"), count(c.Addresses, "IP")}
	for _, part := range []struct {
		n    int
		what string
	}{
		{c.Owners, "layer 2 owner"}, {c.Announced, "BGP announcement"}, {c.Pools, "pool"}, {c.Advertisements, "advertisement"}, {c.Peers, "peer"}, {c.Nodes, "node"},
	} {
		if part.n > 0 {
			what = append(what, count(part.n, part.what))
		}
	}
	verdict := "nothing would change"
	if n := len(r.Changes); n > 0 {
		verdict = count(n, "change")
	}
	fmt.Fprintf(w, "%s compared with %s: %s\n", strings.Join(what, ", "), r.MetalLB, verdict)
}

func showFindings(w io.Writer, title string, findings []migrate.Finding) {
	if len(findings) == 0 {
		return
	}
	t := table{{title, "OBJECT", "IS", "BECOMES", "WHY"}}
	for _, f := range findings {
		text := f.Why
		if f.Hint != "" {
			text += " (" + f.Hint + ")"
		}
		t.row(string(f.Kind), f.Object, f.Is, f.Becomes, text)
	}
	var text strings.Builder
	t.write(&text)
	fmt.Fprintln(w, strings.TrimPrefix(text.String(), "\n"))
}
