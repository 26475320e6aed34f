package dptest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// RunLive checks what only a kernel can show: what happens to connections while
// the driver works, and how much it does. fresh makes another driver, as a new
// process would.
func RunLive(t *testing.T, w *World, fresh func(netns int) dataplane.Driver) {
	for _, f := range Families {
		t.Run(f.Name, func(t *testing.T) {
			l := &live{w: w, f: f, fresh: fresh, planner: dataplane.NewPlanner(dataplane.Options{Node: NodeName})}
			t.Run("established connections stay", l.established)
			t.Run("no request fails while others change", l.undisturbed)
			t.Run("UDP follows the endpoints", l.follow)
			t.Run("nothing to do is nothing done", l.idle)
			t.Run("a small change is small", l.small)
		})
	}
}

type live struct {
	w        *World
	f        *Family
	fresh    func(netns int) dataplane.Driver
	planner  *dataplane.Planner
	revision uint64
}

func (l *live) apply(t testing.TB, c *cluster) {
	t.Helper()
	l.revision++
	apply(t, l.w, l.planner, c, l.revision)
}

// restart replaces the driver and has it apply the last state again.
func (l *live) restart(t testing.TB, c *cluster) {
	t.Helper()
	l.w.Restart(l.fresh(l.w.NS[Node1].Fd()))
	l.apply(t, c)
}

func (l *live) web(pods ...Place) *cluster {
	return newCluster().add(l.f, pharos.TCP, web(), pods...)
}

// crowd adds n Services that nobody asks for, each with two endpoints.
func (c *cluster) crowd(f *Family, n, seed int) *cluster {
	for i := range n {
		name := pharos.Name{Namespace: "crowd", Name: fmt.Sprintf("s%d", i)}
		c.services[name] = &pharos.Service{
			Name: name, Type: pharos.ClusterIP, Created: time.Unix(int64(i), 0),
			ClusterIPs: []netip.Addr{distant(f.Services.Addr(), 2000+i)},
			Ports:      []pharos.ServicePort{{Protocol: pharos.TCP, Port: 80}},
		}
		e := &pharos.Endpoints{}
		for j := range 2 {
			e.Backends = append(e.Backends, pharos.Backend{
				Addr: distant(f.PodNets[1].Addr(), 20+(7*i+j+seed)%200), Node: OtherNode, Ready: true,
				Ports: []pharos.BackendPort{{Protocol: pharos.TCP, Port: 80}}})
		}
		c.endpoints[name] = e
	}
	return c
}

// distant returns the n-th address after a.
func distant(a netip.Addr, n int) netip.Addr {
	b := a.AsSlice()
	b[len(b)-2] += byte(n >> 8)
	b[len(b)-1] += byte(n)
	a, _ = netip.AddrFromSlice(b)
	return a
}

// connection is an open one and who answers it.
type connection struct {
	net.Conn
	to netip.Addr
}

func (l *live) open(t testing.TB, n int) []connection {
	t.Helper()
	var all []connection
	for range n {
		conn, err := l.w.Dial(Client, l.f.Packet(Client, l.f.VIP(1), 80, pharos.TCP), patience)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		o, err := Greet(conn, pharos.TCP, patience)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, connection{conn, o.Backend.Addr()})
	}
	return all
}

// echo reports whether the connection still works.
func (c *connection) echo() error {
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 5))
	return err
}

func (l *live) established(t *testing.T) {
	l.apply(t, l.web(Pod1, Pod2, Pod3))
	connections := l.open(t, 24)
	try := func(when string, gone Place) {
		t.Helper()
		n := 0
		for i := range connections {
			c := &connections[i]
			if gone >= 0 && c.to == l.f.Addrs[gone] {
				continue
			}
			n++
			if err := c.echo(); err != nil {
				t.Errorf("%s: connection to %s: %v", when, c.to, err)
			}
		}
		if n == 0 {
			t.Errorf("%s: nothing was tried", when)
		}
	}
	try("at first", -1)
	l.apply(t, l.web(Pod1, Pod3))
	try("without pod 2", Pod2)
	l.apply(t, l.web(Pod1, Pod2, Pod3).crowd(l.f, 50, 1))
	try("with others", -1)
	l.restart(t, l.web(Pod1, Pod2, Pod3).crowd(l.f, 50, 2))
	try("after a restart", -1)
	l.apply(t, l.web())
	try("without endpoints", -1)
}

// undisturbed keeps asking while Services come, go and change, the asked one's
// endpoints among them, and the driver is replaced.
func (l *live) undisturbed(t *testing.T) {
	l.apply(t, l.web(Pod1, Pod2))
	ctx, cancel := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	var requests, failures atomic.Int64
	for range 4 {
		asking.Go(func() {
			for ctx.Err() == nil {
				o := l.w.Send(t, Client, l.f.Packet(Client, l.f.VIP(1), 80, pharos.TCP), patience)
				requests.Add(1)
				if o.Action != dataplane.Accept {
					failures.Add(1)
				}
			}
		})
	}
	defer asking.Wait()
	defer cancel()
	for i := range 60 {
		c := l.web(Pod1, Pod2)
		if i%2 == 0 {
			c = l.web(Pod2, Pod1, Pod3)
		}
		c.crowd(l.f, 20*(i%5), i)
		if i%20 == 19 {
			l.restart(t, c)
		} else {
			l.apply(t, c)
		}
	}
	// The changes may be quicker than the first answers.
	for deadline := time.Now().Add(patience); requests.Load() < 100 && time.Now().Before(deadline); {
		l.apply(t, l.web(Pod1, Pod2).crowd(l.f, 10, int(l.revision)))
	}
	cancel()
	asking.Wait()
	if failures.Load() > 0 || requests.Load() < 100 {
		t.Errorf("%d of %d requests failed", failures.Load(), requests.Load())
	}
}

// follow sends from one UDP port all the time, as a resolver does. Connection
// tracking would hold on to whatever it was sent to first.
func (l *live) follow(t *testing.T) {
	cluster := func(pods ...Place) *cluster { return newCluster().add(l.f, pharos.UDP, web(), pods...) }
	for name, to := range map[string]netip.AddrPort{
		"cluster IP": netip.AddrPortFrom(l.f.ClusterIP(1), 80),
		"node port":  netip.AddrPortFrom(l.f.Addrs[Node1], nodePort),
	} {
		l.apply(t, newCluster())
		conn, err := l.w.Dial(Pod2, l.f.Packet(Pod2, to.Addr(), to.Port(), pharos.UDP), patience)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		answers := func(want Place) {
			t.Helper()
			// An ICMP error of an earlier packet may be reported first.
			var o Observation
			var err error
			for range 5 {
				if o, err = Greet(conn, pharos.UDP, patience/5); err == nil {
					break
				}
			}
			if err != nil || o.Backend.Addr() != l.f.Addrs[want] {
				t.Fatalf("%s: %s answered (%v), want %s", name, o.Backend, err, want)
			}
		}
		conn.Write([]byte("?")) // passes untranslated: nobody serves the address yet
		l.apply(t, cluster(Pod1))
		answers(Pod1)
		l.apply(t, cluster(Pod3))
		answers(Pod3)
		l.apply(t, cluster())
		conn.Write([]byte("?")) // refused
		l.apply(t, cluster(Pod1))
		answers(Pod1)
		l.apply(t, cluster(Pod1, Pod3))
		answers(Pod1) // its backend is still there, so it stays
	}
	if l.w.Driver().Status().Flushed == 0 {
		t.Error("the driver counts no connection that it made the kernel forget")
	}
}

// idle checks that a State that is in the kernel already is not written again,
// neither by the driver that did it nor by its successor.
func (l *live) idle(t *testing.T) {
	c := func() *cluster {
		return newCluster().add(l.f, pharos.TCP, web(externalLocal, func(s *pharos.Service) {
			s.Affinity = time.Hour
			s.SourceRanges = []netip.Prefix{l.f.Segment, l.f.PodNets[0]}
		}), Pod1, Pod3).second(l.f, pharos.TCP, time.Unix(1, 0), Pod2).crowd(l.f, 30, 3)
	}
	l.apply(t, c())
	before := l.w.Driver().Status()
	l.apply(t, c())
	if after := l.w.Driver().Status(); after.Applied != before.Applied || after.Added != before.Added || after.Removed != before.Removed {
		t.Errorf("the same again: was %+v, is %+v", before, after)
	}
	l.restart(t, c())
	if s := l.w.Driver().Status(); s.Applied != 0 || s.Added != 0 || s.Removed != 0 || s.Adopted != 1 {
		t.Errorf("a new driver did something: %+v", s)
	}
	if repaired, err := l.w.Driver().Verify(t.Context()); repaired || err != nil {
		t.Errorf("verify: repaired %v, error %v", repaired, err)
	}
	// What was taken over can be changed.
	l.apply(t, l.web(Pod2))
	p := probe{Client, l.f.VIP(1), 80, dataplane.Accept, []Place{Pod2}, masked}
	p.run(t, l.w, l.f, pharos.TCP, 1)
}

// small checks that an endpoint's change writes as many objects among many
// Services as among few.
func (l *live) small(t *testing.T) {
	var cost []uint64
	for _, n := range []int{5, 500} {
		l.apply(t, l.web(Pod1, Pod2).crowd(l.f, n, 1))
		before := l.w.Driver().Status()
		l.apply(t, l.web(Pod1, Pod2, Pod3).crowd(l.f, n, 1))
		after := l.w.Driver().Status()
		cost = append(cost, after.Added+after.Removed-before.Added-before.Removed)
		if after.Applied != before.Applied+1 {
			t.Errorf("%d transactions for one change", after.Applied-before.Applied)
		}
	}
	if cost[0] != cost[1] || cost[0] == 0 || cost[0] > 24 {
		t.Errorf("one endpoint more writes %d objects among 5 other Services, %d among 500", cost[0], cost[1])
	}
	if err := l.w.Driver().Remove(t.Context()); err != nil {
		t.Error(err)
	}
	p := probe{from: Client, to: l.f.VIP(1), port: 80, action: dataplane.Pass}
	p.run(t, l.w, l.f, pharos.TCP, 1)
}
