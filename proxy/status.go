package proxy

import (
	"net/netip"
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
