package dptest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/internal/linux/netns"
)

// Pod is a server of a Fleet. It answers on TCP and UDP with a line that tells
// its own address and the client's; TCP then sends back what it gets, and UDP adds how
// much it got.
type Pod struct {
	Name  string // its node's and a letter
	Node  string
	NS    *netns.NS
	Addrs [2]netip.AddrPort // IPv4, IPv6

	state func(*pharos.Backend) // nil: not an endpoint
	life  int                   // changes whenever it is started or stopped

	mu    sync.Mutex
	open  map[net.Conn]bool
	doors []io.Closer
	busy  sync.WaitGroup
}

func (f *Fleet) newPod(b *worldBuilder, m *Member, n int) *Pod {
	b.t.Helper()
	p := &Pod{Name: fmt.Sprintf("%s%c", m.Name, 'a'+n), Node: m.Name, open: map[net.Conn]bool{}}
	p.NS = f.machine(b, p.Name)
	device := "pod" + string(rune('a'+n))
	b.do(netns.Veth(m.NS, device, p.NS, "eth0"))
	for i, r := range f.routes {
		p.Addrs[i] = netip.AddrPortFrom(host(r.PodNets[m.index], byte(11+n)), targetPort)
		b.podAddr(m.NS, p.NS, device, p.Addrs[i].Addr(), host(r.PodNets[m.index], 1))
	}
	if n < podsPerNode-1 {
		p.state = ready
	}
	p.start(b.t)
	b.t.Cleanup(p.stop)
	return p
}

// start makes the pod answer.
func (p *Pod) start(t testing.TB) {
	t.Helper()
	p.life++
	for _, at := range p.Addrs {
		l, u := doors(t, p.NS, at)
		p.doors = append(p.doors, l, u)
		p.busy.Go(func() { p.accept(l) })
		p.busy.Go(func() { p.datagrams(u) })
	}
}

// stop ends the pod's server and with it every connection, as the end of its
// process would.
func (p *Pod) stop() {
	p.life++
	for _, d := range p.doors {
		d.Close()
	}
	p.mu.Lock()
	p.doors = nil
	for c := range p.open {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	p.mu.Unlock()
	p.busy.Wait()
}

func (p *Pod) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.open[conn] = true
		p.mu.Unlock()
		p.busy.Go(func() {
			io.WriteString(conn, greeting(conn.LocalAddr(), conn.RemoteAddr()))
			io.Copy(conn, conn)
			p.mu.Lock()
			delete(p.open, conn)
			p.mu.Unlock()
			conn.Close()
		})
	}
}

func (p *Pod) datagrams(u net.PacketConn) {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := u.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			answer := greeting(u.LocalAddr(), from) + fmt.Sprintln(n)
			u.WriteTo([]byte(answer), from)
		}
	}
}

// greeting is what a server says of itself and its client.
func greeting(own, client net.Addr) string {
	return fmt.Sprintf("%s %s\n", own, netip.MustParseAddrPort(client.String()).Addr().Unmap())
}

// pod returns a pod by its name.
func (f *Fleet) pod(t testing.TB, name string) *Pod {
	t.Helper()
	i := slices.IndexFunc(f.Pods, func(p *Pod) bool { return p.Name == name })
	if i < 0 {
		t.Fatalf("there is no pod %s", name)
	}
	return f.Pods[i]
}

// AddPod makes a pod an endpoint.
func (f *Fleet) AddPod(t testing.TB, name string) {
	t.Helper()
	p := f.pod(t, name)
	if p.doors == nil {
		p.start(t)
	}
	p.state = ready
	f.Apply(t)
}

// DrainPod has a pod terminate: it gets no new connections and keeps those it has.
func (f *Fleet) DrainPod(t testing.TB, name string) {
	t.Helper()
	f.pod(t, name).state = draining
	f.Apply(t)
}

// RemovePod ends a pod.
func (f *Fleet) RemovePod(t testing.TB, name string) {
	t.Helper()
	p := f.pod(t, name)
	p.stop()
	p.state = nil
	f.Apply(t)
}

// Serve sets what the one Service is like, and brings all pods back that were there
// at first.
func (f *Fleet) Serve(t testing.TB, family *FleetFamily, protocol pharos.Protocol, options ...option) {
	t.Helper()
	f.family, f.protocol, f.service = family, protocol, options
	f.only(t, func(p *Pod) bool { return p.Name[len(p.Name)-1] != 'a'+podsPerNode-1 })
	f.Apply(t)
}

// only makes the pods that keep wants endpoints, and no others. It applies nothing.
func (f *Fleet) only(t testing.TB, keep func(*Pod) bool) {
	t.Helper()
	for _, p := range f.Pods {
		p.state = nil
		if keep(p) {
			p.state = ready
		}
		if p.doors == nil {
			p.start(t)
		}
	}
}

// Choose makes the pods that keep wants endpoints, and no others.
func (f *Fleet) Choose(t testing.TB, keep func(*Pod) bool) {
	t.Helper()
	f.only(t, keep)
	f.Apply(t)
}

// snapshot is what the API says of the fleet.
func (f *Fleet) snapshot() *pharos.Snapshot {
	name := pharos.Name{Namespace: "default", Name: "web"}
	service := &pharos.Service{
		Name: name, Type: pharos.LoadBalancer, Created: time.Unix(1000, 0),
		ClusterIPs: []netip.Addr{f.family.ClusterIP().Addr()}, Ingress: []netip.Addr{f.family.VIP().Addr()},
		Ports: []pharos.ServicePort{{Name: "http", Protocol: f.protocol, Port: 80}},
	}
	for _, o := range f.service {
		o(service)
	}
	endpoints, nodes := &pharos.Endpoints{}, map[string]*pharos.Node{}
	for i, m := range f.Members {
		n := &pharos.Node{Name: m.Name, NotReady: m.dead}
		for _, r := range f.routes {
			n.Addresses, n.PodCIDRs = append(n.Addresses, r.Nodes[i]), append(n.PodCIDRs, r.PodNets[i])
		}
		nodes[m.Name] = n
	}
	for _, p := range f.Pods {
		if p.state == nil {
			continue
		}
		b := pharos.Backend{
			Addr: p.Addrs[f.family.index()].Addr(), Node: p.Node,
			Ports: []pharos.BackendPort{{Name: "http", Protocol: f.protocol, Port: targetPort}},
		}
		p.state(&b)
		if nodes[p.Node].NotReady {
			b.Ready, b.Serving = false, false
		}
		endpoints.Backends = append(endpoints.Backends, b)
	}
	slices.SortFunc(endpoints.Backends, func(a, b pharos.Backend) int { return bytes.Compare(a.Addr.AsSlice(), b.Addr.AsSlice()) })
	return &pharos.Snapshot{
		Revision: f.revision, Synced: true, Nodes: pharos.MapOf(nodes),
		Services:  pharos.MapOf(map[pharos.Name]*pharos.Service{name: service}),
		Endpoints: pharos.MapOf(map[pharos.Name]*pharos.Endpoints{name: endpoints}),
	}
}
