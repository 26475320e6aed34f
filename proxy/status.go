package proxy

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/table"
	"github.com/pharoslb/pharos/why"
)

// Status is what one node's proxy does and how it fares, as plain values.
type Status struct {
	Node     string                 `json:"node"`
	Synced   bool                   `json:"synced"`   // the cluster has been seen in full once
	Revision uint64                 `json:"revision"` // of the newest Snapshot that was tried
	Ready    bool                   `json:"ready"`    // that Snapshot is in the kernel
	Since    time.Time              `json:"since"`    // of the last change of Ready
	Problem  why.Reason             `json:"problem"`  // why it is not
	Driver   dataplane.DriverStatus `json:"driver"`

	Mode   pharos.DataPlaneMode `json:"mode,omitempty"`   // of Services that ask for none
	Beside bool                 `json:"beside,omitempty"` // direct frontends alone; another proxy does the rest
	Chosen why.Trail            `json:"chosen,omitempty"` // why this driver

	Sysctls      []Sysctl      `json:"sysctls"`
	HealthChecks []HealthCheck `json:"healthChecks,omitempty"`
	Services     []Service     `json:"services"` // by name
}

// Sysctl is one kernel setting that the data plane depends on.
type Sysctl struct {
	Key    string     `json:"key"`
	Want   string     `json:"want"`
	Found  string     `json:"found"`  // before the proxy touched it
	Set    bool       `json:"set"`    // the proxy set it
	Reason why.Reason `json:"reason"` // SysctlWrong with the command that fixes it, or OK
}

// HealthCheck is a Service's health check port on this node.
type HealthCheck struct {
	Service   pharos.Name `json:"service"`
	Port      uint16      `json:"port"`
	Endpoints int         `json:"endpoints"`
	Reason    why.Reason  `json:"reason"` // PortUnavailable, or OK
}

// Service is what the data plane does for one Service.
type Service struct {
	Name      pharos.Name `json:"name"`
	Mode      why.Reason  `json:"mode"` // how it is carried, and who says so
	Frontends []Frontend  `json:"frontends"`
	Tables    []Table     `json:"tables,omitempty"` // of direct frontends; each may refer to the same
	Problems  why.Trail   `json:"problems,omitempty"`
}

// Frontend is one address of a Service and where packets to it go.
type Frontend struct {
	Addr       netip.Addr           `json:"addr"` // unspecified: the node's addresses
	Port       uint16               `json:"port"`
	Protocol   pharos.Protocol      `json:"protocol"`
	Kind       dataplane.Kind       `json:"kind"`
	Scope      dataplane.Scope      `json:"scope"`  // of the backends for packets from outside
	Action     dataplane.Action     `json:"action"` // of packets from outside
	Masquerade dataplane.Masquerade `json:"masquerade"`
	Affinity   time.Duration        `json:"affinity,omitempty"`
	Sources    []netip.Prefix       `json:"sources,omitempty"`
	Table      int                  `json:"table,omitempty"` // number, from 1, among the Service's Tables; zero: not direct
	Backends   []Backend            `json:"backends"`
}

// Backend is one endpoint behind a Frontend.
type Backend struct {
	Addr  netip.AddrPort `json:"addr"`
	Node  string         `json:"node,omitempty"`
	Local bool           `json:"local,omitempty"`
}

// Table says which endpoint owns how much of the connections of direct frontends.
type Table struct {
	Generation string  `json:"generation"` // equal on nodes that agree
	Slots      int     `json:"slots"`
	Owners     []Owner `json:"owners"`
}

// Owner is an endpoint with its part of a Table.
type Owner struct {
	dataplane.Owner
	Current  int `json:"current"`  // slots whose connections it gets
	Previous int `json:"previous"` // slots of which it gets what the current owner does not know
}

// Status returns what the proxy does, as it is now: a copy. With ten thousand
// Services it is some megabytes.
func (p *Proxy) Status() Status {
	p.mu.Lock()
	status, state, snapshot := p.status, p.state, p.serving.snapshot
	status.Sysctls = slices.Clone(status.Sysctls)
	p.mu.Unlock()
	status.Driver = p.edge.Driver.Status()
	status.HealthChecks = p.checks.status()
	status.Services = make([]Service, 0, state.Services.Len())
	for _, s := range state.Services.All() {
		status.Services = append(status.Services, p.service(snapshot, s))
	}
	slices.SortFunc(status.Services, func(a, b Service) int { return a.Name.Compare(b.Name) })
	return status
}

// Summary is a Status without what grows with the cluster.
type Summary struct {
	Ready    bool
	Services int
	Mode     pharos.DataPlaneMode
	Driver   dataplane.DriverStatus
	Sysctls  []Sysctl
}

// Summary returns the proxy's Summary, as it is now: a copy.
func (p *Proxy) Summary() Summary {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Summary{
		Ready: p.status.Ready, Services: p.state.Services.Len(), Mode: p.status.Mode,
		Driver: p.edge.Driver.Status(), Sysctls: slices.Clone(p.status.Sysctls),
	}
}

// Service returns what the data plane does for one Service, or, of one without
// Frontends, that it leaves it to the kube-proxy beside; false where nobody carries
// it, because there is none such, or because it has no address of its own.
func (p *Proxy) Service(name pharos.Name) (Service, bool) {
	p.mu.Lock()
	state, snapshot := p.state, p.serving.snapshot
	p.mu.Unlock()
	s, ok := state.Services.Get(name)
	if !ok {
		asked, known := snapshot.Services.Get(name)
		if !p.opts.Beside || !known || len(asked.ClusterIPs) == 0 {
			return Service{Name: name}, false
		}
		s = &dataplane.Service{Name: name}
	}
	return p.service(snapshot, s), true
}

// Trace tells the way of a connection's packets that reach this node.
func (p *Proxy) Trace(packet dataplane.Packet) dataplane.Trace {
	p.mu.Lock()
	state := p.state
	p.mu.Unlock()
	return state.Trace(packet)
}

// Carried is what the data plane has counted of mode direct.
type Carried struct {
	Traffic []dataplane.Traffic // by Service and frontend
	Events  *dataplane.Events   // nil: the driver does not count them
}

// Carried reads the driver's counters; they are empty where it has none, or the
// kernel does not give them.
func (p *Proxy) Carried() Carried {
	var c Carried
	if m, ok := p.edge.Driver.(dataplane.Meter); ok {
		c.Traffic, _ = m.Traffic()
	}
	if w, ok := p.edge.Driver.(dataplane.Witness); ok {
		if e, err := w.Events(); err == nil {
			c.Events = &e
		}
	}
	return c
}

// mode says how a Service is carried, who chose that, and who carries it where that
// is somebody else.
func (p *Proxy) mode(snapshot *pharos.Snapshot, s *dataplane.Service) why.Reason {
	mode, external := pharos.NAT, false
	for i := range s.Frontends {
		f := &s.Frontends[i]
		external = external || f.Kind == dataplane.LoadBalancer || f.Kind == dataplane.ExternalIP
		if f.Direct {
			mode = pharos.Direct
		}
	}
	asked, ok := snapshot.Services.Get(s.Name)
	left := "" // to whom
	if p.opts.Beside && len(s.Frontends) == 0 {
		left = "; the kube-proxy beside carries it, for this proxy carries mode direct alone"
		external = ok && len(asked.Ingress)+len(asked.ExternalIPs) > 0
	}
	switch {
	case !external:
		return why.New(why.DataPlaneMode, "%s, as all cluster IPs and node ports%s", mode, left)
	case ok && asked.Mode == mode:
		return why.New(why.DataPlaneMode, "%s, as the Service's annotation asks%s", mode, left)
	case mode != p.opts.Mode, ok && asked.Mode != pharos.ModeDefault:
		return why.New(why.DataPlaneMode, "%s, though another one is asked for%s", mode, left)
	}
	return why.New(why.DataPlaneMode, "%s, the proxy's default%s", mode, left)
}

func (p *Proxy) service(snapshot *pharos.Snapshot, s *dataplane.Service) Service {
	result := Service{Name: s.Name, Mode: p.mode(snapshot, s), Frontends: make([]Frontend, 0, len(s.Frontends))}
	tables := map[int]int{} // by group
	for i := range s.Frontends {
		f := &s.Frontends[i]
		g := &s.Groups[f.Outside]
		shown := Frontend{
			Addr: f.Addr, Port: f.Target.Port, Protocol: f.Protocol, Kind: f.Kind, Scope: g.Scope,
			Action: dataplane.Accept, Masquerade: f.Masquerade, Affinity: g.Affinity, Sources: slices.Clone(f.Sources),
			Backends: make([]Backend, 0, len(g.Backends)),
		}
		if len(g.Backends) == 0 {
			shown.Action = g.Empty
		}
		for _, b := range g.Backends {
			shown.Backends = append(shown.Backends, Backend(b))
		}
		if f.Direct {
			if tables[f.Outside] == 0 {
				result.Tables = append(result.Tables, tableStatus(g.Table))
				tables[f.Outside] = len(result.Tables)
			}
			shown.Table = tables[f.Outside]
		}
		result.Frontends = append(result.Frontends, shown)
	}
	for _, r := range s.Refused {
		result.Problems = append(result.Problems, r.Reason)
	}
	if s.ModeRefused != (why.Reason{}) {
		result.Problems = append(result.Problems, s.ModeRefused)
	}
	return result
}

func tableStatus(t *table.Table) Table {
	result := Table{Generation: fmt.Sprintf("%016x", t.Generation), Slots: len(t.Slots), Owners: make([]Owner, len(t.Owners))}
	for i := range t.Owners {
		result.Owners[i].Owner = dataplane.OwnerOf(&t.Owners[i])
	}
	for _, slot := range t.Slots {
		if slot.Current != table.None {
			result.Owners[slot.Current].Current++
		}
		if slot.Previous != table.None {
			result.Owners[slot.Previous].Previous++
		}
	}
	return result
}
