package dptest

import (
	"fmt"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane/table"
)

// RunDirect shows that mode direct loses no connection but those whose pod is gone,
// and that every driver does with each packet what the model of a fleet does.
func RunDirect(t *testing.T, f *Fleet) {
	for _, family := range f.routes {
		t.Run(family.Name, func(t *testing.T) {
			d := &direct{f, family}
			for _, row := range []struct {
				name string
				run  func(*testing.T)
				ours bool // follows from the Group's table, second chances, and memory by sequence numbers
			}{
				{name: "each connection has its owner", run: d.owners},
				{name: "nodes leave and come back", run: d.withdrawn},
				{name: "pods come and go and so does a node", run: d.scaled},
				{name: "a pod is not ready for a while", run: d.unready, ours: true},
				{name: "a node loses its power", run: d.powerless},
				{name: "ports are used again", run: d.again, ours: true},
				{name: "drivers are replaced", run: d.restarted},
				{name: "a stranger is reset", run: d.strangers},
				{name: "nodes disagree", run: d.disagree, ours: true},
				{name: "UDP", run: d.datagrams},
				{name: "fragments", run: d.fragments, ours: true},
				{name: "path MTU", run: d.pathMTU, ours: true},
				{name: "session affinity", run: d.affinity},
				{name: "source ranges", run: d.sources},
				{name: "from inside", run: d.inside},
				{name: "no endpoints", run: d.nobody},
			} {
				if !row.ours || !f.options.KernelTable {
					t.Run(row.name, row.run)
				}
			}
		})
	}
}

type direct struct {
	*Fleet
	family *FleetFamily
}

// owners checks who gets which connection, that its source stays, and that the load is
// as even as the table is.
func (d *direct) owners(t *testing.T) {
	d.Serve(t, d.family, pharos.TCP)
	c := d.Connect(t)
	d.agree(t, "at first", c)
	for _, l := range c.all {
		if l.source != l.from.Addr() {
			t.Fatalf("%s saw %s, the client is %s", l.pod, l.source, l.from)
		}
	}
	shares := d.shares(t)
	chi := 0.0
	for pod, share := range shares {
		expected := share * float64(len(c.all))
		delta := float64(c.Pods()[pod]) - expected
		chi += delta * delta / expected
	}
	// With five degrees of freedom a fair choice exceeds 40 once in seven million runs.
	if chi > 40 || len(c.Pods()) != len(shares) {
		t.Errorf("connections spread as %v, the table as %v: chi-squared is %.1f", c.Pods(), shares, chi)
	}
}

// shares returns which share of new connections each pod has to get.
func (d *direct) shares(t *testing.T) map[string]float64 {
	t.Helper()
	shares := map[string]float64{}
	if d.options.KernelTable {
		for _, p := range d.Pods {
			if p.state != nil {
				shares[p.Name] = 1.0 / (fleetNodes * (podsPerNode - 1))
			}
		}
		return shares
	}
	for _, s := range d.Members[0].State().Services.All() {
		for _, g := range s.Groups {
			if g.Table == nil {
				continue
			}
			for _, slot := range g.Table.Slots {
				shares[d.who(g.Table.Owners[slot.Current].Addr)] += 1.0 / table.Size
			}
		}
	}
	return shares
}

// agree checks that every connection is where the model has it, whichever node its
// packets come to, and broken where it breaks there.
func (d *direct) agree(t *testing.T, when string, c *Connections) {
	t.Helper()
	if d.options.KernelTable {
		return
	}
	differ := 0
	for _, l := range c.all {
		for _, m := range d.Members {
			if m.away {
				continue
			}
			p := d.packet(l)
			p.Ongoing = d.protocol == pharos.TCP
			path := d.model.Send(time.Unix(1e9, 0), m.Name, p)
			works := d.who(path.Backend()) == l.pod && l.life == d.pod(t, l.pod).life
			if works != (l.broken == nil) {
				if differ++; differ <= 5 {
					t.Errorf("%s: connection %s of %s works: %v (%v); in the model, by %s: %+v", when, l.from, l.pod, l.broken == nil, l.broken, m.Name, path)
				}
			}
		}
	}
	if differ > 5 {
		t.Errorf("%s: and %d more", when, differ-5)
	}
}

// lost checks that so many connections of each pod are broken since they were opened,
// none silently, and no others.
func (d *direct) lost(t *testing.T, when string, c *Connections, want map[string]int) {
	t.Helper()
	b := c.Check()
	if fmt.Sprint(b.Pods) != fmt.Sprint(want) || b.Silent != 0 {
		t.Errorf("%s: of %d connections (%v) %d are broken, by pod %v, %d of them silent; want %v", when, len(c.all), c.Pods(), b.All(), b.Pods, b.Silent, want)
	}
	d.agree(t, when, c)
}

// none is what is lost where nothing may be.
var none = map[string]int{}

// served checks that a load's requests were all answered.
func served(t *testing.T, l *Load) {
	t.Helper()
	requests, failures := l.Stop()
	if len(failures) > 0 {
		t.Errorf("%d of %d requests failed, the first one with: %v", len(failures), requests, failures[0])
	}
}

// withdrawn takes each node out of the router's choice and brings it back, and then all
// but one.
func (d *direct) withdrawn(t *testing.T) {
	d.Serve(t, d.family, pharos.TCP)
	defer d.RestoreAll(t)
	c, load := d.Connect(t), d.Load(t)
	for _, m := range d.Members {
		d.Withdraw(t, m.Name)
		d.lost(t, m.Name+" is withdrawn", c, none)
		load.Await(t, d.options.Requests)
		d.Restore(t, m.Name)
		d.lost(t, m.Name+" is back", c, none)
	}
	for _, m := range d.Members {
		d.Alone(t, m.Name)
		d.lost(t, m.Name+" is alone", c, none)
	}
	served(t, load)
}

// scaled makes five pods six and five again, while nodes leave.
func (d *direct) scaled(t *testing.T) {
	d.Serve(t, d.family, pharos.TCP)
	defer d.RestoreAll(t)
	segments, pods := d.taps(t)
	d.pod(t, "n3b").state = nil
	d.Apply(t)
	c, load := d.Connect(t), d.Load(t)
	if n := c.Pods()["n3b"]; n != 0 {
		t.Fatalf("%d connections lead to a pod that is not there", n)
	}
	d.AddPod(t, "n3b")
	d.Withdraw(t, "n1")
	if d.options.KernelTable {
		// The kernel's table gives a sixth of them to the new pod.
		if b := c.Check(); 100*b.All() > 40*len(c.all) {
			t.Errorf("with a pod more and a node less %d of %d connections are broken", b.All(), len(c.all))
		}
		return
	}
	d.lost(t, "with a pod more and a node less", c, none)
	load.Await(t, d.options.Requests)
	later := d.Connect(t)
	d.agree(t, "the later ones", later)
	d.DrainPod(t, "n3b")
	d.RestoreAll(t)
	d.lost(t, "a pod drains", c, none)
	d.lost(t, "a pod drains, the later ones", later, none)
	d.Withdraw(t, "n3")
	d.lost(t, "a pod drains and its node leaves", c, none)
	d.lost(t, "a pod drains and its node leaves, the later ones", later, none)
	load.Await(t, d.options.Requests)
	d.RemovePod(t, "n3b")
	d.lost(t, "the pod is gone", c, none)
	d.lost(t, "the pod is gone, the later ones", later, map[string]int{"n3b": later.Pods()["n3b"]})
	load.Await(t, d.options.Requests)
	served(t, load)
	marks := 0
	for _, s := range segments {
		marks += s.marks()
	}
	if marks == 0 {
		t.Error("no packet on the segment got a second chance: nothing was shown")
	}
	for i, p := range pods {
		if p.marks() != 0 {
			t.Errorf("%s saw %d packets with the second chance's mark", d.Pods[i].Name, p.marks())
		}
	}
}

// taps sees what nodes send to the VIP by their segments, and what pods get.
func (d *direct) taps(t *testing.T) (segments, pods []*tap) {
	t.Helper()
	for i, s := range d.segments {
		var cables []string
		for j, m := range d.Members {
			if d.place(j) == i {
				cables = append(cables, m.cable)
			}
		}
		segments = append(segments, listen(t, s, d.family.VIP(), cables...))
	}
	for _, p := range d.Pods {
		pods = append(pods, listen(t, p.NS, p.Addrs[d.family.index()]))
	}
	return segments, pods
}

// powerless takes a node's power: the connections to its pods are lost, and their
// clients are told as soon as the others know.
func (d *direct) powerless(t *testing.T) {
	d.Serve(t, d.family, pharos.TCP)
	c := d.Connect(t)
	defer d.PowerOn(t, "n3")
	d.PowerOff(t, "n3")
	d.Dead(t, "n3")
	want := map[string]int{"n3a": c.Pods()["n3a"], "n3b": c.Pods()["n3b"]}
	if d.options.KernelTable {
		// Of those that came by the node, the kernel's table gives a few to other pods.
		b, all := c.Check(), want["n3a"]+want["n3b"]
		if b.Pods["n3a"]+b.Pods["n3b"] != all || b.Silent != 0 || 10*(b.All()-all) > len(c.all) {
			t.Errorf("a node has no power: of %d connections %d are broken, %d of them silently, by pod %v; want %v and few others", len(c.all), b.All(), b.Silent, b.Pods, want)
		}
	} else {
		d.lost(t, "a node has no power", c, want)
	}
	load := d.Load(t)
	load.Await(t, d.options.Requests)
	served(t, load)
}
