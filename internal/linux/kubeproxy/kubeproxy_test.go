package kubeproxy

import (
	"os"
	"strings"
	"testing"

	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m.Run)) }

func TestRemove(t *testing.T) {
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	ns, err := netns.New("node")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	nft := func(args ...string) string {
		out, err := ns.Output(t.Context(), "nft", args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	remove := func() error { return Remove(t.Context(), ns.Fd(), ns.DialContext) }
	if err := remove(); err != nil {
		t.Error("where there is nothing:", err)
	}
	for _, name := range []string{"ip kube-proxy", "ip6 kube-proxy", "ip other", "inet kube-proxy"} {
		nft(append([]string{"add", "table"}, strings.Fields(name)...)...)
	}
	l, err := ns.Listen(t.Context(), "tcp", Ports[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := remove(); err == nil || !strings.Contains(err.Error(), "kube-proxy runs") || !strings.Contains(nft("list", "tables"), "table ip kube-proxy") {
		t.Errorf("while kube-proxy runs: %v", err)
	}
	l.Close()
	if err := remove(); err != nil {
		t.Error(err)
	}
	if left := nft("list", "tables"); left != "table ip other\ntable inet kube-proxy\n" {
		t.Errorf("left:\n%s", left)
	}
}
