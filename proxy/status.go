package proxy

import (
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
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
	Frontends []Frontend  `json:"frontends"`
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
	Backends   []Backend            `json:"backends"`
}

// Backend is one endpoint behind a Frontend.
type Backend struct {
	Addr  netip.AddrPort `json:"addr"`
	Node  string         `json:"node,omitempty"`
	Local bool           `json:"local,omitempty"`
}

// Status returns what the proxy does, as it is now: a copy. With ten thousand
// Services it is some megabytes.
func (p *Proxy) Status() Status {
	p.mu.Lock()
	status, state := p.status, p.state
	status.Sysctls = slices.Clone(status.Sysctls)
	p.mu.Unlock()
	status.Driver = p.edge.Driver.Status()
	status.HealthChecks = p.checks.status()
	status.Services = make([]Service, 0, state.Services.Len())
	for _, s := range state.Services.All() {
		status.Services = append(status.Services, serviceStatus(s))
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

func serviceStatus(s *dataplane.Service) Service {
	result := Service{Name: s.Name, Frontends: make([]Frontend, 0, len(s.Frontends))}
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
