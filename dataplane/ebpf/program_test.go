package ebpf

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	cebpf "github.com/cilium/ebpf"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

// bench is a node n1 whose programs are run by BPF_PROG_RUN. Its sibling n2 is on
// its segment, n3 behind a gateway.
type bench struct {
	*Driver
	snapshot pharos.Snapshot
	planner  *dataplane.Planner
}

var (
	gateway = [6]byte{2, 0, 0, 0, 0, 254}
	own     = [6]byte{2, 0, 0, 0, 0, 1}
	second  = [6]byte{2, 0, 0, 0, 0, 2}
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func newBench(t testing.TB) *bench {
	t.Helper()
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	ns, err := netns.New("n1")
	if err != nil {
		t.Fatal(err)
	}
	other, err := netns.New("segment")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close(); other.Close() })
	do := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	do(netns.Veth(ns, "eth0", other, "port"))
	for _, p := range []string{"10.0.0.1/24", "fd00::1/64"} {
		do(ns.AddAddr("eth0", netip.MustParsePrefix(p)))
	}
	do(ns.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), addr("10.0.0.254")), ns.AddRoute(netip.MustParsePrefix("::/0"), addr("fd00::fe")))
	for _, a := range []string{"10.0.0.2", "fd00::2"} {
		if _, err := ns.Output(t.Context(), "ip", "neigh", "add", a, "lladdr", "02:00:00:00:00:02", "dev", "eth0"); err != nil {
			t.Fatal(err)
		}
	}
	b := &bench{Driver: New(Options{NetNS: ns.Fd(), Pins: fmt.Sprintf("/sys/fs/bpf/bench-%d", time.Now().UnixNano()), Sizes: Sizes{Known: 16384, Fresh: 16384}})}
	t.Cleanup(func() { b.Remove(t.Context()) })
	b.planner = dataplane.NewPlanner(dataplane.Options{Node: "n1", Mode: pharos.Direct})
	for name, addrs := range map[string][]string{"n1": {"10.0.0.1", "fd00::1"}, "n2": {"10.0.0.2", "fd00::2"}, "n3": {"10.0.5.3", "fd00:5::3"}} {
		b.snapshot.Nodes = b.snapshot.Nodes.With(name, &pharos.Node{Name: name, Addresses: []netip.Addr{addr(addrs[0]), addr(addrs[1])}})
	}
	return b
}

// serve adds a Service with the last byte of its address, and pods on the nodes in turn.
func (b *bench) serve(n byte, pods int, change func(*pharos.Service)) {
	name := pharos.Name{Namespace: "default", Name: fmt.Sprint("s", n)}
	s := &pharos.Service{Name: name, Type: pharos.LoadBalancer, Created: time.Unix(1, 0),
		ClusterIPs: []netip.Addr{netip.AddrFrom4([4]byte{10, 96, 0, n}), addr(fmt.Sprintf("fd00:96::%x", n))},
		Ingress:    []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, n}), addr(fmt.Sprintf("2001:db8::%x", n))},
		Ports:      []pharos.ServicePort{{Name: "tcp", Protocol: pharos.TCP, Port: 80}, {Name: "udp", Protocol: pharos.UDP, Port: 80}}}
	if change != nil {
		change(s)
	}
	e := &pharos.Endpoints{}
	for i := range pods {
		for _, a := range []netip.Addr{netip.AddrFrom4([4]byte{10, 244, byte(i%3 + 1), byte(10 + i)}), addr(fmt.Sprintf("fd00:244:%x::%x", i%3+1, 10+i))} {
			e.Backends = append(e.Backends, pharos.Backend{Addr: a, Node: fmt.Sprint("n", i%3+1), Ready: true, Serving: true,
				Ports: []pharos.BackendPort{{Name: "tcp", Protocol: pharos.TCP, Port: 8080}, {Name: "udp", Protocol: pharos.UDP, Port: 5353}}})
		}
	}
	b.snapshot.Services = b.snapshot.Services.With(name, s)
	b.snapshot.Endpoints = b.snapshot.Endpoints.With(name, e)
}

func (b *bench) apply(t testing.TB) *dataplane.State {
	t.Helper()
	b.snapshot.Revision++
	s := b.snapshot
	state := b.planner.Plan(&s)
	if err := b.Apply(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	return state
}

// run runs a program on a frame and returns what it answers and makes of it.
func (b *bench) run(t testing.TB, p *cebpf.Program, frame []byte) (int32, []byte) {
	t.Helper()
	opts := runOf(frame)
	result, err := p.Run(opts)
	if err != nil {
		t.Fatal(err)
	}
	return int32(result), opts.DataOut
}

func runOf(frame []byte) *cebpf.RunOptions {
	return &cebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256), Repeat: 1}
}
