package dptest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

// FleetOptions say how a Fleet is built. The zero value is three nodes on one
// segment, and as many connections as a busy machine opens within a second.
type FleetOptions struct {
	Mode pharos.DataPlaneMode // of the Service; the zero value means NAT

	// Split puts the last node on a segment of its own behind the router, so that
	// the others reach it through a tunnel.
	Split bool

	// Whole says that tunnels don't fragment what is too large for them: fragments of
	// full size are not looked for where one is in the way.
	Whole bool

	// KernelTable says that the mechanism chooses by a table of the kernel's own, not
	// by that of the Service's Group, and gives no second chances: what follows from these is not
	// looked for.
	KernelTable bool

	Connections int // long connections of a row; 0 means 600
	Requests    int // requests that have to be answered while something happens; 0 means 100
}

// fleetNodes and podsPerNode are the size of a Fleet. The last pod of each node is
// spare: no endpoint until it is added.
const (
	fleetNodes  = 3
	podsPerNode = 3
)

// Fleet is the topology of several nodes, each with a driver under test, behind
// a router that spreads the client's connections over them. It ends with its test.
//
//	client ── router ──┬── n1 ── pods n1a n1b (n1c)
//	  ECMP by addresses├── n2 ── pods n2a n2b (n2c)
//	  and ports        └── n3 ── pods n3a n3b (n3c)
//
// Its methods are called from the test's goroutine.
type Fleet struct {
	Client, Router *netns.NS
	Members        []*Member
	Pods           []*Pod // by name

	options  FleetOptions
	make     func(netns int, node string) dataplane.Driver
	segments []*netns.NS
	routes   []*FleetFamily
	family   *FleetFamily // of the Service
	protocol pharos.Protocol
	service  []option
	revision uint64
	model    *dataplane.Fleet // does what the nodes do
	port     atomic.Uint32    // of the client, used last
}

// Member is a node of a Fleet.
type Member struct {
	Name string
	NS   *netns.NS

	driver  dataplane.Driver
	planner *dataplane.Planner
	state   *dataplane.State // applied last
	off     bool             // without power
	dead    bool             // not ready, as the API has it
	away    bool             // withdrawn from the router
	index   int
	cable   string // its port of the segment
}

// Driver returns the node's driver.
func (m *Member) Driver() dataplane.Driver { return m.driver }

// State returns the State that the node's driver applied last.
func (m *Member) State() *dataplane.State { return m.state }

// NewFleet makes a Fleet with the driver that make returns for each node, given its
// network namespace as a file descriptor. Without namespaces it skips the test.
func NewFleet(t testing.TB, options FleetOptions, make func(netns int, node string) dataplane.Driver) *Fleet {
	t.Helper()
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	if options.Connections == 0 {
		options.Connections = 600
	}
	if options.Requests == 0 {
		options.Requests = 100
	}
	f := &Fleet{options: options, make: make, routes: fleetFamilies(options.Split), protocol: pharos.TCP, model: dataplane.NewFleet(1)}
	f.family = f.routes[0]
	b := &worldBuilder{t: t}
	f.build(b)
	for _, m := range f.Members {
		m.planner = dataplane.NewPlanner(dataplane.Options{Node: m.Name, Mode: options.Mode})
		m.driver = make(m.NS.Fd(), m.Name)
	}
	return f
}

// build makes the namespaces, cables, addresses and routes.
func (f *Fleet) build(b *worldBuilder) {
	b.t.Helper()
	f.Client, f.Router = f.machine(b, "client"), f.machine(b, "router")
	b.do(netns.Veth(f.Client, "eth0", f.Router, "client"))
	f.segments = []*netns.NS{b.ns("segment1")}
	if f.options.Split {
		f.segments = append(f.segments, b.ns("segment2"))
	}
	for i, s := range f.segments {
		b.do(s.AddBridge("br0"), netns.Veth(f.Router, fmt.Sprintf("eth%d", i), s, "router"), s.Enslave("router", "br0"))
	}
	for i := range fleetNodes {
		m := &Member{Name: fmt.Sprintf("n%d", i+1), index: i, cable: fmt.Sprintf("port%d", i)}
		m.NS = f.machine(b, m.Name)
		s := f.segment(i)
		b.do(netns.Veth(m.NS, "eth0", s, m.cable), s.Enslave(m.cable, "br0"))
		f.Members = append(f.Members, m)
	}
	for _, ns := range append([]*netns.NS{f.Router}, f.nodes()...) {
		b.do(
			ns.Sysctl("net.ipv4.ip_forward", "1"), ns.Sysctl("net.ipv6.conf.all.forwarding", "1"),
			ns.Sysctl("net.ipv4.fib_multipath_hash_policy", "1"), ns.Sysctl("net.ipv6.fib_multipath_hash_policy", "1"),
			// Every refusal is to be heard, not one a second.
			ns.Sysctl("net.ipv4.icmp_ratelimit", "0"), ns.Sysctl("net.ipv6.icmp.ratelimit", "0"),
		)
	}
	for _, r := range f.routes {
		f.address(b, r)
	}
	for _, m := range f.Members {
		for i := range podsPerNode {
			f.Pods = append(f.Pods, f.newPod(b, m, i))
		}
	}
	f.spread(b.t)
}

// machine makes the namespace of a machine. Its link-local addresses are usable at
// once, without duplicate address detection: routers solicit their neighbors from them.
func (f *Fleet) machine(b *worldBuilder, name string) *netns.NS {
	b.t.Helper()
	ns := b.ns(name)
	b.do(ns.Sysctl("net.ipv6.conf.default.accept_dad", "0"))
	return ns
}

// address gives everybody but pods their addresses and routes of one family.
func (f *Fleet) address(b *worldBuilder, r *FleetFamily) {
	b.t.Helper()
	for _, c := range r.Clients {
		b.do(f.Client.AddAddr("eth0", netip.PrefixFrom(c, r.Outside.Bits())))
	}
	b.do(f.Router.AddAddr("client", netip.PrefixFrom(host(r.Outside, 1), r.Outside.Bits())))
	b.do(f.Client.AddRoute(r.everything, host(r.Outside, 1)))
	for i := range f.segments {
		b.do(f.Router.AddAddr(fmt.Sprintf("eth%d", i), netip.PrefixFrom(r.gateway(i), r.Segments[i].Bits())))
	}
	for i, m := range f.Members {
		b.do(
			m.NS.AddAddr("eth0", netip.PrefixFrom(r.Nodes[i], r.Segments[0].Bits())),
			m.NS.AddRoute(r.everything, r.gateway(f.place(i))),
			f.Router.AddRoute(r.PodNets[i], r.Nodes[i]),
		)
	}
	for i, m := range f.Members {
		for j := range f.Members {
			if i != j && f.place(i) == f.place(j) {
				b.do(m.NS.AddRoute(r.PodNets[j], r.Nodes[j]))
			}
		}
	}
}

// place returns the segment that a node is on.
func (f *Fleet) place(node int) int {
	if f.options.Split && node == fleetNodes-1 {
		return 1
	}
	return 0
}

func (f *Fleet) segment(node int) *netns.NS { return f.segments[f.place(node)] }

// Cable returns the other end of a node's device eth0: a namespace and the device there.
func (f *Fleet) Cable(m *Member) (*netns.NS, string) { return f.segment(m.index), m.cable }

func (f *Fleet) nodes() []*netns.NS {
	var all []*netns.NS
	for _, m := range f.Members {
		all = append(all, m.NS)
	}
	return all
}

// member returns a node by its name.
func (f *Fleet) member(t testing.TB, name string) *Member {
	t.Helper()
	i := slices.IndexFunc(f.Members, func(m *Member) bool { return m.Name == name })
	if i < 0 {
		t.Fatalf("there is no node %s", name)
	}
	return f.Members[i]
}

// spread tells the router by which nodes it reaches the Services.
func (f *Fleet) spread(t testing.TB) {
	t.Helper()
	for _, r := range f.routes {
		var hops []netip.Addr
		for i, m := range f.Members {
			if !m.away {
				hops = append(hops, r.Nodes[i])
			}
		}
		if err := f.Router.ReplaceRoute(r.Services, 0, hops...); err != nil {
			t.Fatal(err)
		}
	}
}

// Withdraw takes a node out of the router's choice. It goes on working.
func (f *Fleet) Withdraw(t testing.TB, node string) {
	t.Helper()
	f.member(t, node).away = true
	f.spread(t)
}

// Alone withdraws all nodes but one.
func (f *Fleet) Alone(t testing.TB, node string) {
	t.Helper()
	for _, m := range f.Members {
		m.away = m.Name != node
	}
	f.spread(t)
}

// Restore undoes Withdraw.
func (f *Fleet) Restore(t testing.TB, node string) {
	t.Helper()
	f.member(t, node).away = false
	f.spread(t)
}

// RestoreAll has the router choose among all nodes again.
func (f *Fleet) RestoreAll(t testing.TB) {
	t.Helper()
	for _, m := range f.Members {
		m.away = false
	}
	f.spread(t)
}

// PowerOff cuts a node off, as if it had lost its power, and has the router
// notice. The cluster doesn't know yet: see Fleet.Dead.
func (f *Fleet) PowerOff(t testing.TB, node string) {
	t.Helper()
	m := f.member(t, node)
	if err := f.segment(m.index).Down(m.cable); err != nil {
		t.Fatal(err)
	}
	m.off = true
	f.model.PowerOff(node)
	f.Withdraw(t, node)
}

// Dead has the API say that a node is not ready and its pods aren't either, and the
// other nodes' drivers follow.
func (f *Fleet) Dead(t testing.TB, node string) {
	t.Helper()
	f.member(t, node).dead = true
	f.Apply(t)
}

// PowerOn undoes PowerOff and Dead.
func (f *Fleet) PowerOn(t testing.TB, node string) {
	t.Helper()
	m := f.member(t, node)
	if err := f.segment(m.index).Up(m.cable); err != nil {
		t.Fatal(err)
	}
	m.off, m.dead = false, false
	f.Apply(t)
	f.Restore(t, node)
}

// Restart replaces a node's driver by another one, as a new process would, and has
// it apply what was applied before.
func (f *Fleet) Restart(t testing.TB, node string) {
	t.Helper()
	m := f.member(t, node)
	m.driver = f.make(m.NS.Fd(), m.Name)
	m.planner = dataplane.NewPlanner(dataplane.Options{Node: m.Name, Mode: f.options.Mode})
	f.apply(t, m, f.snapshot())
}

// Apply has every node that has power do what the fleet's Service and pods ask for.
func (f *Fleet) Apply(t testing.TB) {
	t.Helper()
	f.revision++
	for _, m := range f.Members {
		if !m.off {
			f.apply(t, m, f.snapshot())
		}
	}
}

func (f *Fleet) apply(t testing.TB, m *Member, snapshot *pharos.Snapshot) {
	t.Helper()
	state := m.planner.Plan(snapshot)
	if err := m.driver.Apply(context.Background(), state); err != nil {
		t.Fatalf("%s: %v", m.Name, err)
	}
	if got := m.driver.Status().Revision; got != snapshot.Revision {
		t.Errorf("%s: the driver is at revision %d, want %d", m.Name, got, snapshot.Revision)
	}
	m.state = state
	f.model.Apply(state)
}
