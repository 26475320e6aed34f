package dataplane

import (
	"context"
	"net/netip"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane/table"
)

// Trace tells what becomes of a connection's packets that reach a node, and why,
// for people who look for them.
type Trace struct {
	Service pharos.Name `json:"service"` // the zero value where no frontend matches
	Kind    Kind        `json:"kind"`
	Direct  bool        `json:"direct"` // carried by a table; else translated by the node that it reaches
	Source  bool        `json:"source"` // the client is among the frontend's Sources

	// Slot is the connection's in the table of that Generation and number of Slots, Current and Previous
	// its owners, nil where there is none. They are set where Direct is.
	Slot       int    `json:"slot"`
	Slots      int    `json:"slots"` // of the table
	Generation uint64 `json:"generation"`
	Current    *Owner `json:"current,omitempty"`
	Previous   *Owner `json:"previous,omitempty"`

	// First is the way of a connection's first packet, and Later that of any other
	// whose connection no node remembers.
	First Way `json:"first"`
	Later Way `json:"later"`
}

// Owner is one who owns a slot.
type Owner struct {
	Addr     netip.AddrPort `json:"addr"`
	Node     string         `json:"node"`
	Draining bool           `json:"draining,omitempty"`
	Unready  bool           `json:"unready,omitempty"`
	Dead     bool           `json:"dead,omitempty"`
}

// Way is where a packet goes.
type Way struct {
	Nodes        []string  `json:"nodes"` // that it comes to, the one that was asked first
	Action       Action    `json:"action"`
	SecondChance bool      `json:"secondChance,omitempty"` // its last way was one
	Masquerade   bool      `json:"masquerade,omitempty"`
	Backends     []Backend `json:"backends,omitempty"` // who may get it
}

// Trace follows packets of a connection from the State's node through the nodes
// that they are sent on to, which are taken to have the same tables. p's Ongoing
// and From count for nothing.
func (s *State) Trace(p Packet) Trace {
	p.From, p.Error = Network, false
	nodes := []string{s.Node.Name}
	m := NewModel(0)
	m.Apply(context.Background(), s.only(p))
	var t Trace
	if e, ok := m.lookup(p); ok {
		t.Service, t.Kind, t.Source = e.service.Name, e.frontend.Kind, e.frontend.Admits(p.Src)
		inside := p.Own || contains(s.Node.PodCIDRs, p.Src)
		if group := &e.service.Groups[e.frontend.Outside]; e.frontend.Direct && !inside {
			t.Direct, t.Slot, t.Slots, t.Generation = true, group.Slot(p.Src, p.SrcPort), table.Size, group.Table.Generation
			slot := group.Table.Slots[t.Slot]
			t.Current, t.Previous = owner(group.Table, slot.Current), owner(group.Table, slot.Previous)
			for _, o := range []*Owner{t.Current, t.Previous} {
				if o != nil {
					nodes = append(nodes, o.Node)
				}
			}
		}
	}
	t.First = s.way(nodes, p)
	p.Ongoing = true
	t.Later = s.way(nodes, p)
	return t
}

// way follows a packet whose connection nobody remembers.
func (s *State) way(nodes []string, p Packet) Way {
	f := NewFleet(0)
	for _, name := range nodes {
		there := *s.only(p)
		there.Node.Name = name
		f.Apply(&there)
	}
	path := f.Send(time.Time{}, s.Node.Name, p)
	w := Way{Nodes: path.Nodes, Action: path.Answer.Action, SecondChance: path.SecondChance(), Masquerade: path.Answer.Masquerade, Backends: path.Answer.Backends}
	if w.Action == Accept && !p.Ongoing {
		// Where chance decides, all that it may choose.
		if all := f.nodes[path.Nodes[len(path.Nodes)-1]].Where(p).Backends; len(path.Nodes) == 1 && len(all) > 0 {
			w.Backends = all
		}
	}
	return w
}

// only returns the State with those Services alone that a packet may be for: to
// look at ten thousand for one is a waste.
func (s *State) only(p Packet) *State {
	var services pharos.Map[pharos.Name, *Service]
	for name, service := range s.Services.All() {
		for i := range service.Frontends {
			if f := &service.Frontends[i]; f.Addr == p.Dst.Addr() || f.Kind == NodePort && f.Target.Port == p.Dst.Port() {
				services = services.With(name, service)
				break
			}
		}
	}
	found := *s
	found.Services = services
	return &found
}

// OwnerOf returns an endpoint of a table as it is shown.
func OwnerOf(e *table.Endpoint) Owner {
	return Owner{Addr: e.Addr, Node: e.Node, Draining: e.Draining, Unready: e.Unready, Dead: e.Dead}
}

func owner(t *table.Table, i uint16) *Owner {
	if i == table.None {
		return nil
	}
	o := OwnerOf(&t.Owners[i])
	return &o
}
