package dptest

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
)

// again begins connections from ports whose earlier ones other nodes may remember: what
// those know takes no packets from the later ones. IPVS, which looks at no sequence numbers, has
// no such promise.
func (d *direct) again(t *testing.T) {
	d.Serve(t, d.family, pharos.TCP)
	defer d.RestoreAll(t)
	d.only(t, func(p *Pod) bool { return p.Node != "n3" })
	d.Apply(t)
	d.Alone(t, "n1")
	earlier := d.Connect(t)
	earlier.close()
	d.only(t, func(p *Pod) bool { return p.Node == "n3" })
	d.Apply(t)
	d.Alone(t, "n3")
	later := &Connections{}
	t.Cleanup(later.close)
	for _, was := range earlier.all {
		is, err := d.open(was.from)
		if err != nil {
			t.Fatal(err)
		}
		later.all = append(later.all, is)
	}
	for _, m := range d.Members {
		d.Alone(t, m.Name)
		if b := later.Check(); b.All() != 0 {
			t.Fatalf("by %s %d of %d connections from ports that are used again are broken, %d silently", m.Name, b.All(), len(later.all), b.Silent)
		}
	}
}

// restarted replaces the drivers one after the other: nothing is written.
func (d *direct) restarted(t *testing.T) {
	d.Serve(t, d.family, pharos.TCP)
	c, load := d.Connect(t), d.Load(t)
	for _, m := range d.Members {
		// What the node sees of the others may have changed since it was last looked at.
		if _, err := m.Driver().Verify(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.Restart(t, m.Name)
		load.Await(t, d.options.Requests)
		d.lost(t, "the driver of "+m.Name+" is replaced", c, none)
		if s := m.Driver().Status(); s.Added != 0 || s.Removed != 0 || s.Applied != 0 || s.Rebuilt != 0 {
			t.Errorf("%s: a new driver did something: %+v", m.Name, s)
		}
		if repaired, err := m.Driver().Verify(t.Context()); repaired || err != nil {
			t.Errorf("%s: verify: repaired %v, error %v", m.Name, repaired, err)
		}
	}
	served(t, load)
}

// strangers sends segments of connections that nobody knows, to each node.
func (d *direct) strangers(t *testing.T) {
	d.Serve(t, d.family, pharos.TCP)
	defer d.RestoreAll(t)
	for _, m := range d.Members {
		d.Alone(t, m.Name)
		for range 20 {
			from := d.source()
			if flags := d.newStranger(t, from.Addr()).send(t, from.Port(), 1000, flagACK, patience); flags&flagRST == 0 {
				t.Errorf("%s: what comes to %s of an unknown connection is answered with flags %#x, want a reset", from, m.Name, flags)
			}
		}
	}
}

// unready has a pod's readiness go and come back, as its probe may have it: what it
// has stays with it, and it gets nothing new.
func (d *direct) unready(t *testing.T) {
	d.Serve(t, d.family, pharos.TCP)
	defer d.RestoreAll(t)
	c := d.Connect(t)
	d.pod(t, "n2a").state = notReady
	d.Apply(t)
	d.lost(t, "a pod is not ready", c, none)
	if n := d.Connect(t).Pods()["n2a"]; n != 0 {
		t.Errorf("%d connections were begun with a pod that is not ready", n)
	}
	d.Withdraw(t, "n2")
	d.lost(t, "a pod is not ready and its node leaves", c, none)
	d.pod(t, "n2a").state = ready
	d.Apply(t)
	d.lost(t, "the pod is ready again", c, none)
}

// nobody asks while there are no endpoints.
func (d *direct) nobody(t *testing.T) {
	d.Serve(t, d.family, pharos.TCP)
	defer d.RestoreAll(t)
	d.only(t, func(*Pod) bool { return false })
	d.Apply(t)
	for _, m := range d.Members {
		d.Alone(t, m.Name)
		if l, err := d.open(d.source()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("by %s: %v, %v; want it refused", m.Name, l.pod, err)
		}
	}
}

// disagree gives each node another idea of who owns what. A packet is forwarded twice
// at most, and one that begins nothing is answered with a reset.
func (d *direct) disagree(t *testing.T) {
	d.Serve(t, d.family, pharos.TCP)
	defer d.RestoreAll(t)
	segments, _ := d.taps(t)
	sequence := uint32(d.revision) << 16
	type probed struct {
		what     string
		sequence uint32
		answered bool
	}
	var sent []probed
	for variant, other := range []int{-1, 2, 0} {
		for i, m := range d.Members {
			// Its next neighbor has all pods, and maybe another one those that drain.
			for _, p := range d.Pods {
				p.state = nil
				switch p.Node {
				case d.Members[(i+1)%fleetNodes].Name:
					p.state = ready
				case d.Members[(i+other+fleetNodes)%fleetNodes].Name:
					if other >= 0 {
						p.state = draining
					}
				}
			}
			d.revision++
			d.apply(t, m, d.snapshot())
		}
		for _, m := range d.Members {
			d.Alone(t, m.Name)
			for _, flags := range []byte{flagACK, flagSYN} {
				var sending sync.WaitGroup
				for range 10 {
					from := d.source()
					sequence += 16 // what the client's kernel makes of an answer has one more
					what := fmt.Sprintf("variant %d: what came to %s with flags %#x", variant, m.Name, flags)
					sent = append(sent, probed{what, sequence, flags == flagACK})
					sequence, stranger := sequence, d.newStranger(t, from.Addr())
					sending.Go(func() {
						wait := patience
						if flags == flagSYN {
							wait = impatience // it may vanish: its client asks again
						}
						if answer := stranger.send(t, from.Port(), sequence, flags, wait); flags == flagACK && answer&flagRST == 0 {
							t.Errorf("%s is answered with flags %#x, want a reset", what, answer)
						}
					})
				}
				sending.Wait()
			}
		}
	}
	forwards := map[int]int{}
	for _, p := range sent {
		n := 0
		for deadline := time.Now().Add(patience); ; {
			n = 0
			for _, s := range segments {
				n += s.count(p.sequence)
			}
			if n > 0 || !p.answered || time.Now().After(deadline) {
				break
			}
			<-time.After(time.Millisecond) // what was answered was forwarded, and will be seen
		}
		forwards[n]++
		if n > 2 || n == 0 && p.answered {
			t.Errorf("%s was forwarded %d times", p.what, n)
		}
	}
	t.Logf("packets by how many times they were forwarded: %v", forwards)
}

// affinity checks that a client has one pod at all nodes.
func (d *direct) affinity(t *testing.T) {
	d.Serve(t, d.family, pharos.TCP, func(s *pharos.Service) { s.Affinity = time.Hour })
	defer d.RestoreAll(t)
	has := map[netip.Addr]string{}
	for _, m := range d.Members {
		d.Alone(t, m.Name)
		for i := range 3 * clients {
			from := netip.AddrPortFrom(d.family.Clients[i%clients], d.source().Port())
			l, err := d.open(from)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if was := has[from.Addr()]; was != "" && was != l.pod {
				t.Errorf("%s had %s and has %s by %s", from.Addr(), was, l.pod, m.Name)
			}
			has[from.Addr()] = l.pod
			one := &Connections{all: []*long{l}}
			d.note(one)
			d.agree(t, "by "+m.Name, one)
		}
	}
}

// sources checks that only admitted clients get through, at every node.
func (d *direct) sources(t *testing.T) {
	admitted := netip.PrefixFrom(d.family.Clients[0], d.family.Clients[0].BitLen()-2)
	d.Serve(t, d.family, pharos.TCP, func(s *pharos.Service) { s.SourceRanges = []netip.Prefix{admitted} })
	defer d.RestoreAll(t)
	for _, m := range d.Members {
		d.Alone(t, m.Name)
		for i, client := range d.family.Clients {
			wait := patience
			if !admitted.Contains(client) {
				wait = impatience
			}
			if i > 4 {
				continue // one that is refused will do
			}
			conn, err := d.dial(netip.AddrPortFrom(client, d.source().Port()), wait)
			if err == nil {
				conn.Close()
			}
			if (err == nil) != admitted.Contains(client) {
				t.Errorf("%s by %s: %v", client, m.Name, err)
			}
		}
	}
}

// inside checks that nodes and pods reach the VIP, a pod itself too.
func (d *direct) inside(t *testing.T) {
	d.Serve(t, d.family, pharos.TCP)
	d.only(t, func(p *Pod) bool { return p.Name == "n2a" })
	d.Apply(t)
	n2a := d.pod(t, "n2a")
	type place struct {
		name string
		from netip.Addr
		dial func() (*long, error)
	}
	var places []place
	for _, p := range d.Pods {
		from := p.Addrs[d.family.index()].Addr()
		places = append(places, place{p.Name, from, func() (*long, error) {
			return d.greeted(dial(p.NS, d.protocol, netip.AddrPortFrom(from, 0), d.family.VIP(), patience))
		}})
	}
	for i, m := range d.Members {
		from := d.family.Nodes[i]
		places = append(places, place{m.Name, from, func() (*long, error) {
			return d.greeted(dial(m.NS, d.protocol, netip.AddrPortFrom(from, 0), d.family.VIP(), patience))
		}})
	}
	for _, p := range places {
		l, err := p.dial()
		if err != nil {
			t.Errorf("from %s: %v", p.name, err)
			continue
		}
		l.Close()
		if l.pod != n2a.Name {
			t.Errorf("from %s: %s answers", p.name, l.pod)
		}
		if p.name != n2a.Name && p.name != n2a.Node && len(p.name) == len(n2a.Name) && l.source != p.from {
			t.Errorf("from %s: %s saw %s", p.name, l.pod, l.source)
		}
	}
}
