package dptest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// Harness is a data plane that packets can be sent to, from any goroutine.
type Harness interface {
	// Driver is the driver under test.
	Driver() dataplane.Driver

	// Send begins a connection at a place and reports what became of it. It waits
	// for an answer no longer than patience.
	Send(t testing.TB, from Place, p dataplane.Packet, patience time.Duration) Observation
}

// Observation is what became of a connection.
type Observation struct {
	Action  dataplane.Action // Accept, Reject, or Drop where nobody answered in time
	Backend netip.AddrPort   // who answered
	Source  netip.Addr       // whom it saw
}

// Patience of a Send: long where an answer is due, so that a busy machine
// passes; short where none is.
const (
	patience   = 20 * time.Second
	impatience = 400 * time.Millisecond
)

// source says whom a backend has to see.
type source int

const (
	kept   source = iota // the sender
	masked               // an address of the node
)

// probe is one connection and what has to become of it.
type probe struct {
	from   Place
	to     netip.Addr
	port   uint16
	action dataplane.Action
	any    []Place // who may answer
	source source
}

// step is a state of the cluster and the connections that are tried in it.
type step struct {
	cluster *cluster
	probes  []probe
}

// cluster is what a step's Snapshot is made of.
type cluster struct {
	services  map[pharos.Name]*pharos.Service
	endpoints map[pharos.Name]*pharos.Endpoints
}

// Run runs the suite: the same cases for both families and for TCP and UDP.
// The harness is used for all of them, one after the other, so that every case
// is also a change from the one before.
func Run(t *testing.T, h Harness) {
	planner := dataplane.NewPlanner(dataplane.Options{Node: NodeName})
	revision := uint64(0)
	for _, f := range Families {
		for _, protocol := range []pharos.Protocol{pharos.TCP, pharos.UDP} {
			for _, c := range cases(f, protocol) {
				t.Run(fmt.Sprintf("%s/%s/%s", f.Name, protocol, c.name), func(t *testing.T) {
					for i, s := range c.steps {
						revision++
						apply(t, h, planner, s.cluster, revision)
						var silent sync.WaitGroup // those who wait for nothing do so together
						for _, p := range s.probes {
							if p.silent() {
								silent.Go(func() { p.run(t, h, f, protocol, i+1) })
							} else {
								p.run(t, h, f, protocol, i+1)
							}
						}
						silent.Wait()
					}
				})
			}
			t.Run(fmt.Sprintf("%s/%s/even spread", f.Name, protocol), func(t *testing.T) {
				revision++
				apply(t, h, planner, newCluster().add(f, protocol, web(), Pod1, Pod2, Pod3), revision)
				even(t, h, f, protocol)
			})
			t.Run(fmt.Sprintf("%s/%s/session affinity", f.Name, protocol), func(t *testing.T) {
				affine(t, h, f, protocol, func(pods ...Place) {
					revision++
					apply(t, h, planner, newCluster().add(f, protocol, web(func(s *pharos.Service) { s.Affinity = time.Hour }), pods...), revision)
				})
			})
		}
	}
}

func apply(t testing.TB, h Harness, planner *dataplane.Planner, c *cluster, revision uint64) {
	t.Helper()
	state := planner.Plan(c.snapshot(revision))
	if err := h.Driver().Apply(context.Background(), state); err != nil {
		t.Fatal(err)
	}
	if got := h.Driver().Status().Revision; got != revision {
		t.Errorf("the driver is at revision %d, want %d", got, revision)
	}
}

func (c *cluster) snapshot(revision uint64) *pharos.Snapshot {
	return &pharos.Snapshot{
		Revision: revision, Synced: true, Nodes: Nodes(),
		Services: pharos.MapOf(c.services), Endpoints: pharos.MapOf(c.endpoints),
	}
}

// silent tells the probes that nobody answers.
func (p *probe) silent() bool { return p.action == dataplane.Drop || p.action == dataplane.Pass }

func (p *probe) run(t *testing.T, h Harness, f *Family, protocol pharos.Protocol, step int) {
	t.Helper()
	wait := patience
	if p.silent() {
		wait = impatience
	}
	what := fmt.Sprintf("step %d: %s to %s", step, p.from, netip.AddrPortFrom(p.to, p.port))
	// One connection may reach the right one of several backends by chance.
	for range max(1, 3*len(p.any)) {
		got := h.Send(t, p.from, f.Packet(p.from, p.to, p.port, protocol), wait)
		if p.action == dataplane.Pass && got.Action != dataplane.Accept {
			return // nothing else would answer in a World
		}
		if got.Action != p.action {
			t.Errorf("%s: %s, want %s", what, got.Action, p.action)
			return
		}
		if got.Action != dataplane.Accept {
			return
		}
		i := slices.IndexFunc(p.any, func(place Place) bool { return f.Addrs[place] == got.Backend.Addr() })
		if i < 0 {
			t.Errorf("%s: %s answered, want one of %v", what, got.Backend, p.any)
			return
		}
		if !p.sees(f, p.any[i], got.Source) {
			t.Errorf("%s: %s answered and saw %s; the sender is %s", what, p.any[i], got.Source, f.Addrs[p.from])
			return
		}
	}
}

// sees reports whether a backend may have seen this source.
func (p *probe) sees(f *Family, backend Place, source netip.Addr) bool {
	own := source == f.Addrs[Node1] || source == f.Gateways[0]
	switch {
	case p.from == Node1:
		return own
	case backend == Node1:
		return source == f.Addrs[p.from] // sources change where packets leave the node
	case backend == p.from, p.source == masked:
		return own // a pod does not answer itself through the node
	}
	return source == f.Addrs[p.from]
}

// even checks that connections spread evenly, by Pearson's chi-squared test.
// With two degrees of freedom a fair choice exceeds 24 once in 160,000 runs; one
// that prefers a backend by a fifth does nearly always.
func even(t *testing.T, h Harness, f *Family, protocol pharos.Protocol) {
	const connections = 900
	seen := map[netip.Addr]int{}
	for range connections {
		got := h.Send(t, Client, f.Packet(Client, f.ClusterIP(1), 80, protocol), patience)
		if got.Action != dataplane.Accept {
			t.Fatalf("%s after %v", got.Action, seen)
		}
		seen[got.Backend.Addr()]++
	}
	const expected = connections / 3.0
	chi := 0.0
	for _, pod := range []Place{Pod1, Pod2, Pod3} {
		d := float64(seen[f.Addrs[pod]]) - expected
		chi += d * d / expected
	}
	if chi > 24 || len(seen) != 3 {
		t.Errorf("%d connections spread as %v: chi-squared is %.1f", connections, seen, chi)
	}
}

// affine checks that a client stays with its backend, on every kind of
// frontend, until that is gone.
func affine(t *testing.T, h Harness, f *Family, protocol pharos.Protocol, with func(...Place)) {
	all := []Place{Pod1, Pod2, Pod3}
	with(all...)
	stays := func(from Place, to netip.Addr, port uint16) netip.Addr {
		t.Helper()
		first := h.Send(t, from, f.Packet(from, to, port, protocol), patience)
		if first.Action != dataplane.Accept {
			t.Fatalf("%s: %s", from, first.Action)
		}
		for range 12 {
			next := h.Send(t, from, f.Packet(from, to, port, protocol), patience)
			if next.Backend != first.Backend {
				t.Fatalf("%s moved from %s to %s", from, first.Backend, next.Backend)
			}
		}
		return first.Backend.Addr()
	}
	chosen := stays(Client, f.ClusterIP(1), 80)
	stays(Client2, f.ClusterIP(1), 80)
	stays(Pod3, f.ClusterIP(1), 80)
	if again := stays(Client, f.Addrs[Node1], nodePort); again != chosen {
		t.Errorf("the node port led to %s, the cluster IP to %s", again, chosen)
	}
	left := slices.DeleteFunc(slices.Clone(all), func(p Place) bool { return f.Addrs[p] == chosen })
	with(left...)
	if moved := stays(Client, f.ClusterIP(1), 80); moved == chosen {
		t.Errorf("%s is gone and still chosen", chosen)
	}
	with(all...)
	stays(Client, f.ClusterIP(1), 80)
}
