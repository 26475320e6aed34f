package kernel

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos/internal/lab"
	"github.com/pharoslb/pharos/internal/linux/uml"
)

// limit is far more than the lab takes on a machine that has a processor to spare,
// a minute or two: it bounds what a test does that hangs.
const limit = 18 * time.Minute

// labCommand runs commands of one lab.
type labCommand struct {
	*testing.T
	ctx   context.Context
	state string
}

// run returns what `pharos lab ARGS` printed.
func (l *labCommand) run(args ...string) string {
	l.Helper()
	out, err := exec.CommandContext(l.ctx, product, append([]string{"lab", "--state", l.state}, args...)...).CombinedOutput()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(l.state, "lab.log"))
		l.Fatalf("%v: %v\n%s\n%s", args, err, out, log)
	}
	return string(out)
}

// The lab on a kernel that has IPVS, as `pharos lab up --kernel uml` has it for a
// person: the client is served, and step 9 of the walk-through is what the
// original deployment's ipvsadm showed.
func TestWalkthroughOnIPVS(t *testing.T) {
	if err := uml.Probe(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	l := &labCommand{t, ctx, filepath.Join(t.TempDir(), "lab")}
	defer func() {
		exec.Command(product, "lab", "--state", l.state, "down").Run() // also after a failure
	}()
	t.Log(l.run("up", "--kernel", "uml", "--dataplane", "ipvs"))
	name := strings.TrimSpace(l.run("exec", lab.Client, "--", "curl", "-sS", "--retry", "5", "--max-time", "60", lab.VIP))
	if !strings.HasPrefix(name, "ng-test-rs-") {
		t.Errorf("%q answered, want a pod's name", name)
	}
	pods := strings.Fields(l.run("kubectl", "get", "pod", "-l", "app=con-test", "-o", "jsonpath={.items[*].status.podIP}"))
	if len(pods) != 3 {
		t.Fatalf("pods %v, want three", pods)
	}
	slices.Sort(pods)
	for _, n := range lab.Walkthrough().Nodes {
		l.step9(n.Name, pods)
	}
	if out := l.run("switch", "show ip route bgp"); !strings.Contains(out, lab.VIP+"/32, ubest/mbest: 3/0") {
		t.Errorf("the switch shows\n%s", out)
	}
	l.run("down")
	if _, err := os.Stat(l.state); err == nil {
		t.Error("down left the state directory")
	}
}

// step9 looks at a node with the tools that the walk-through uses.
func (l *labCommand) step9(node string, pods []string) {
	l.Helper()
	shown := l.run("exec", node, "--", "ipvsadm", "-ln")
	l.Logf("%s# ipvsadm -ln\n%s", node, shown)
	_, rest, ok := strings.Cut(shown, fmt.Sprintf("\nTCP  %s:80 rr\n", lab.VIP))
	if !ok {
		l.Errorf("%s: no round-robin virtual service of %s", node, lab.VIP)
	}
	var found []string
	for line := range strings.Lines(rest) {
		m := destination.FindStringSubmatch(line)
		if m == nil {
			break
		}
		found = append(found, m[1])
	}
	slices.Sort(found)
	if !slices.Equal(found, pods) {
		l.Errorf("%s: destinations %v, want %v", node, found, pods)
	}
	link := l.run("exec", node, "--", "ip", "addr", "show", "kube-ipvs0")
	for _, want := range []string{"<BROADCAST,NOARP>", "state DOWN", "inet " + lab.VIP + "/32 ", "inet 10.233.0.1/32 "} {
		if !strings.Contains(link, want) {
			l.Errorf("%s: kube-ipvs0 is without %q:\n%s", node, want, link)
		}
	}
}

// destination is a line of ipvsadm as the walk-through has it; the last two numbers
// are those of connections.
var destination = regexp.MustCompile(`^  -> ([0-9.]+):80 +Masq    1      [0-9]+ +[0-9]+ +\n$`)
