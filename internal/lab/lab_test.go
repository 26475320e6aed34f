package lab

import (
	"context"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pharoslb/pharos/internal/lab/kubelet"
	"github.com/pharoslb/pharos/internal/linux/netns"
)

// greet listens at an address of a namespace and tells each caller's address.
func greet(t *testing.T, ns *netns.NS, at netip.AddrPort) {
	t.Helper()
	l, err := ns.Listen(t.Context(), "tcp", at.String())
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, conn.RemoteAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Addr().String())
			conn.Close()
		}
	}()
}

// reach dials from a namespace and returns what greet says.
func reach(t *testing.T, ns *netns.NS, at netip.AddrPort) string {
	t.Helper()
	conn, err := ns.DialContext(t.Context(), "tcp", at.String())
	must(t, err)
	defer conn.Close()
	got, err := io.ReadAll(conn)
	must(t, err)
	return string(got)
}

func place(t *testing.T, l *Lab, name string) *netns.NS {
	t.Helper()
	ns, err := l.NS(name)
	must(t, err)
	return ns
}

func addPod(t *testing.T, n *node, name string) kubelet.PodNet {
	t.Helper()
	pod, err := n.AddPod(t.Context(), kubelet.PodRef{Namespace: "default", Name: name, UID: name})
	must(t, err)
	t.Cleanup(func() { pod.Close() })
	return pod
}

// Machines and pods reach each other by the addresses they have, without
// translation; what lies behind the switch knows no pods.
func TestTopologyCarriesTraffic(t *testing.T) {
	l := newLab(t)
	plan := l.Topology()
	first, second, far := addPod(t, l.nodes[0], "first"), addPod(t, l.nodes[0], "second"), addPod(t, l.nodes[2], "far")
	type end struct {
		ns   *netns.NS
		addr netip.Addr
	}
	client := end{place(t, l, Client), plan.Client.Addr()}
	sw := end{place(t, l, Switch), plan.Switch}
	control := end{place(t, l, Control), plan.Control}
	node := end{place(t, l, "cy01-net113"), plan.Nodes[1].Addr}
	pod, neighbor, stranger := end{first.NS, first.Addrs[0]}, end{second.NS, second.Addrs[0]}, end{far.NS, far.Addrs[0]}
	for _, server := range []struct {
		end
		callers []end
	}{
		{sw, []end{client, control, node}},
		{control, []end{client, node, pod, stranger}},
		{node, []end{client, sw, control, pod}},
		{neighbor, []end{control, node, pod, stranger}},
		{stranger, []end{control, node, pod}},
	} {
		at := netip.AddrPortFrom(server.addr, 8080)
		greet(t, server.ns, at)
		for _, caller := range server.callers {
			if got, want := reach(t, caller.ns, at), caller.addr.String(); got != want {
				t.Errorf("%s → %s: seen as %s, want %s", caller.ns.Name(), server.ns.Name(), got, want)
			}
		}
	}
}

func TestPodAddresses(t *testing.T) {
	n := newNode(&network{plan: Walkthrough()}, 0)
	seen := map[netip.Addr]bool{}
	for range 253 { // .0 is the network, .1 the gateway, .255 the broadcast address
		a, err := n.take()
		must(t, err)
		if seen[a] || !n.plan.Pods.Contains(a) || a == gateway(n.plan.Pods) || a.As4()[3] == 255 || a.As4()[3] == 0 {
			t.Fatalf("took %s, after %d others", a, len(seen))
		}
		seen[a] = true
	}
	if a, err := n.take(); err == nil {
		t.Errorf("a full network gave %s", a)
	}
	back := netip.MustParseAddr("10.233.93.7")
	n.release(back)
	if a, err := n.take(); err != nil || a != back {
		t.Errorf("got %s (%v), want the one given back", a, err)
	}
}

// A node that is switched off says nothing to those it talked to, and comes
// back empty.
func TestPowerOffIsSilent(t *testing.T) {
	l := newLab(t)
	plan := l.Topology()
	const name = "cy01-net112"
	at := netip.AddrPortFrom(plan.Switch, 179)
	listener, err := place(t, l, Switch).Listen(t.Context(), "tcp", at.String())
	must(t, err)
	defer listener.Close()
	// nc stands for a speaker: a process of the node with a connection.
	v, machine, err := l.view(name)
	must(t, err)
	cmd := command([]string{"bash", "-c", "exec 3<>/dev/tcp/" + plan.Switch.String() + "/179; echo up >&3; read -r line <&3"})
	speaker, err := l.start(v, machine, cmd)
	must(t, err)
	conn, err := listener.Accept()
	must(t, err)
	defer conn.Close()
	line := make([]byte, 3)
	_, err = io.ReadFull(conn, line)
	must(t, err)

	must(t, l.PowerOff(name))
	<-speaker.done
	if out, err := l.Output(t.Context(), Switch, "ss", "-Htn", "state", "established", "sport", "=", ":179"); err != nil || !strings.Contains(out, plan.Nodes[0].Addr.String()) {
		t.Errorf("the switch's connection is no longer established: %q (%v)", out, err)
	}
	if _, err := l.NS(name); err == nil || !strings.Contains(err.Error(), "powered off") {
		t.Errorf("the node's namespace: %v, want that it is powered off", err)
	}
	must(t, l.PowerOff(name)) // off is off
	must(t, l.PowerOn(name), l.PowerOn(name))
	greet(t, place(t, l, name), netip.AddrPortFrom(plan.Nodes[0].Addr, 7472))
	if got := reach(t, place(t, l, Client), netip.AddrPortFrom(plan.Nodes[0].Addr, 7472)); got != plan.Client.Addr().String() {
		t.Errorf("back on, the node saw the client as %q", got)
	}
}

func TestOutput(t *testing.T) {
	l := newLab(t)
	out, err := l.Output(t.Context(), "cy01-net113", "sh", "-c", "hostname; ip -br -4 addr show dev eth0")
	if err != nil || !strings.HasPrefix(out, "cy01-net113\neth0") || !strings.Contains(out, "10.10.2.113/24") {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err = l.Output(t.Context(), Client, "sh", "-c", "echo why >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("a failure reads %v, want its standard error", err)
	}
	if _, err = l.Output(t.Context(), "cy01-net999", "true"); err == nil || !strings.Contains(err.Error(), "cy01-net112") {
		t.Errorf("an unknown place reads %v, want the known ones", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = l.Output(ctx, Client, "sleep", "600"); err == nil {
		t.Error("a program outlived its context")
	}
}

// What is installed is what the original files say.
func TestInputIsTheOriginal(t *testing.T) {
	dir := FindInput(".")
	if dir == "" {
		t.Log("the original files are not beside this checkout; the copies stand for themselves")
	}
	l := newLab(t)
	for _, name := range inputs {
		copied, err := os.ReadFile(l.Input(name))
		must(t, err)
		if len(copied) == 0 {
			t.Errorf("%s is empty", name)
		}
		if dir == "" {
			continue
		}
		original, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		if string(copied) != string(original) {
			t.Errorf("examples/walkthrough/%s differs from %s", name, dir)
		}
	}
}
