package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"
)

// The configuration is in the pod's own namespace unless a variable or a flag names
// another; a variable that is empty is as good as none.
func TestNamespace(t *testing.T) {
	own := filepath.Join(t.TempDir(), "namespace")
	if err := os.WriteFile(own, []byte("balancers\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		variable, own string
		args          []string
		want          string
	}{
		{"", own, nil, "balancers"},
		{"", own + "-is-not-there", nil, "metallb-system"},
		{"other", own, nil, "other"},
		{"other", own, []string{"--namespace=third"}, "third"},
	} {
		t.Setenv("METALLB_NAMESPACE", c.variable)
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		var got string
		bindNamespace(flags, &got, c.own)
		if err := flags.Parse(c.args); err != nil || got != c.want {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}

	t.Setenv("METALLB_ML_BIND_PORT", "")
	if port := newSpeaker().Flags().Lookup("ml-bindport").DefValue; port != "7946" {
		t.Errorf("an empty METALLB_ML_BIND_PORT makes the port %q", port)
	}
}
