package cli

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/election"
	"github.com/pharoslb/pharos/internal/gossip"
	"github.com/pharoslb/pharos/internal/task"
)

func segmentOf(t *testing.T, args ...string) *segmentFlags {
	t.Helper()
	f := &segmentFlags{}
	flags := pflag.NewFlagSet("speaker", pflag.ContinueOnError)
	f.bind(flags)
	absent := filepath.Join(t.TempDir(), "absent")
	if err := flags.Parse(append([]string{"--exclude-interfaces=" + absent, "--ml-config=" + absent}, args...)); err != nil {
		t.Fatal(err)
	}
	return f
}

func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSegmentDefaults(t *testing.T) {
	f := segmentOf(t)
	if p, err := f.policy(); err != nil || p != (election.Policy{}) || f.fenceAfter != 5*time.Second {
		t.Errorf("policy %+v, %v; fenced after %v", p, err, f.fenceAfter)
	}
	if tuning, err := f.tuning(); err != nil || *tuning != gossip.LAN() {
		t.Errorf("tuning %+v, %v", tuning, err)
	}
	if _, watched, err := f.profile(); err != nil || watched {
		t.Errorf("BFD %v, %v", watched, err)
	}
}

func TestSegmentFlags(t *testing.T) {
	f := segmentOf(t, "--l2-sticky", "--l2-spread=1.25", "--member-bfd=100msx3", "--ml-wan-config", "--ml-config="+written(t, `{"probeInterval": "7s"}`))
	if p, err := f.policy(); err != nil || p != (election.Policy{Sticky: true, Spread: 1.25}) {
		t.Errorf("policy %+v, %v", p, err)
	}
	want := gossip.WAN()
	want.ProbeInterval = 7 * time.Second
	if tuning, err := f.tuning(); err != nil || *tuning != want {
		t.Errorf("tuning %+v, %v", tuning, err)
	}
	if p, watched, err := f.profile(); err != nil || !watched || p != (bfd.Profile{ReceiveInterval: 100 * time.Millisecond, TransmitInterval: 100 * time.Millisecond, DetectMultiplier: 3}) {
		t.Errorf("BFD %+v, %v, %v", p, watched, err)
	}
}

func TestSegmentMistakes(t *testing.T) {
	for _, r := range []struct{ arg, want string }{
		{"--l2-spread=0.5", "--l2-spread 0.5 is neither 0 nor between 1 and 100"},
		{"--l2-spread=NaN", "--l2-spread NaN"},
		{"--l2-fence-after=-1s", "can't be negative"},
		{"--member-bfd=fast", `--member-bfd "fast" is neither off nor`},
		{"--member-bfd=1msx3", "of 10ms to 1m"},
		{"--member-bfd=100msx1", "of 2 to 255 times"},
		{"--member-bfd=100msx3x", "of 2 to 255 times"},
		{"--member-bfd=100msx300", "of 2 to 255 times"},
		{"--ml-config=" + written(t, `{"probeIntervall": "1s"}`), "probeIntervall is not a setting"},
		{"--exclude-interfaces=" + written(t, "announcedInterfacesToExclude: ['eth(']"), `line 1: announcedInterfacesToExclude[0]: "eth(" is not a regular expression`},
		{"--exclude-interfaces=" + written(t, "announcedInterfacesToExclude: [[a]]"), "is not a regular expression"},
		{"--exclude-interfaces=" + written(t, "exclude: [a]"), "want announcedInterfacesToExclude"},
		{"--exclude-interfaces=" + t.TempDir(), "excluded interfaces"},
	} {
		f := segmentOf(t, r.arg)
		_, err := f.policy()
		for _, check := range []func() error{
			func() error { _, err := f.tuning(); return err },
			func() error { _, _, err := f.profile(); return err },
			func() error { _, err := f.excluded(); return err },
		} {
			if err == nil {
				err = check()
			}
		}
		if err == nil || !strings.Contains(err.Error(), r.want) {
			t.Errorf("%s: %v, want %s", r.arg, err, r.want)
		}
	}
}

func TestExcludedInterfaces(t *testing.T) {
	excludes := func(f *segmentFlags, name string) bool {
		list, err := f.excluded()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if e.MatchString(name) {
				return true
			}
		}
		return false
	}
	f := segmentOf(t)
	for name, want := range map[string]bool{"lo": true, "lo1": false, "cali123": true, "flannel.1": true, "eth0": false, "bond0": false, "nodelocaldns": true, "dummy0": true} {
		if excludes(f, name) != want {
			t.Errorf("by default %s is excluded: %v", name, !want)
		}
	}
	f = segmentOf(t, "--exclude-interfaces="+written(t, "announcedInterfacesToExclude:\n- ^eth.*\n- storage\n"))
	for name, want := range map[string]bool{"eth0": true, "bond-storage": true, "lo": false} {
		if excludes(f, name) != want {
			t.Errorf("%s is excluded: %v", name, !want)
		}
	}
}

// What the role needs at its end runs until then, whatever ends first.
func TestPartsThatOutliveTheRole(t *testing.T) {
	var order []string
	ctx, cancel := context.WithCancel(t.Context())
	needed := make(chan struct{})
	parts := outlive(func(ctx context.Context) error {
		<-ctx.Done()
		needed <- struct{}{} // somebody is there to take it
		order = append(order, "role")
		return nil
	}, func(ctx context.Context) error {
		<-needed
		<-ctx.Done()
		order = append(order, "other")
		return nil
	})
	cancel()
	if err := task.Run(ctx, parts...); err != nil || !slices.Equal(order, []string{"role", "other"}) {
		t.Errorf("%v, %v", order, err)
	}
}

// Each of those who have paths watched has sessions of its own.
func TestPathsOfMembersStandBesideThoseOfNeighbors(t *testing.T) {
	p := watchPaths(func(bfd.Change) {}, nil)
	a, b := bfd.Config{Name: "a"}, bfd.Config{Name: "b"}
	p.Set([]bfd.Config{a})
	p.members().Set([]bfd.Config{b})
	if got := p.all(); len(got) != 2 || got[0].Name != "a" || got[1].Name != "b" {
		t.Errorf("%+v", got)
	}
	p.Set(nil)
	if got := p.all(); len(got) != 1 || got[0].Name != "b" || !p.needed() {
		t.Errorf("%+v", got)
	}
}
