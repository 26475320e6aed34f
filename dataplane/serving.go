package dataplane

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/pharoslb/pharos"
)

// Serving is what a node's kernel holds of one Service of type LoadBalancer: what
// one has to know before one sends the Service's packets there.
type Serving struct {
	Name pharos.Name `json:"name"`

	// Digest is that of the Service and the endpoints that the plan in the kernel was
	// made of.
	Digest Digest `json:"digest"`

	// Elsewhere says that another proxy is to serve it, so that nothing is in the
	// kernel by this one.
	Elsewhere bool `json:"elsewhere,omitempty"`

	// Frontends are those for the Service's load balancer addresses.
	Frontends []Served `json:"frontends,omitempty"`
}

// Equal reports whether both say the same.
func (s *Serving) Equal(other *Serving) bool {
	return s.Name == other.Name && s.Digest == other.Digest && s.Elsewhere == other.Elsewhere && slices.Equal(s.Frontends, other.Frontends)
}

// Served is a frontend in the kernel.
type Served struct {
	Addr     netip.Addr      `json:"addr"`
	Protocol pharos.Protocol `json:"protocol"`
	Port     uint16          `json:"port"`

	// Backends are the endpoints that get new connections from outside. Local are those
	// of the node itself that get connections, be it only the ones that they have.
	Backends int `json:"backends"`
	Local    int `json:"local"`
}

// ServingOf returns what the kernel of a node holds that holds a plan. plan may be nil: nothing
// is planned. endpoints may be nil: there are none. The result is nil for a Service
// that is not of type LoadBalancer or has no address.
func ServingOf(node string, service *pharos.Service, endpoints *pharos.Endpoints, plan *Service) *Serving {
	if service == nil || service.Type != pharos.LoadBalancer || len(service.Ingress) == 0 {
		return nil
	}
	s := &Serving{Name: service.Name, Digest: DigestOf(service, endpoints)}
	if s.Elsewhere = plan == nil || len(plan.Frontends)+len(plan.Refused) == 0; s.Elsewhere {
		return s
	}
	for i := range plan.Frontends {
		f := &plan.Frontends[i]
		if f.Kind != LoadBalancer {
			continue
		}
		served := Served{Addr: f.Addr, Protocol: f.Protocol, Port: f.Target.Port}
		g := &plan.Groups[f.Outside]
		served.Backends = len(g.Backends)
		for _, b := range g.Backends {
			if b.Local {
				served.Local++
			}
		}
		if f.Direct && g.Table != nil {
			served.Local = 0
			for i := range g.Table.Owners {
				if o := &g.Table.Owners[i]; o.Node == node && !o.Unready {
					served.Local++
				}
			}
		}
		s.Frontends = append(s.Frontends, served)
	}
	return s
}

// DigestFormat tells digests apart that are made in different ways, as versions of
// the program may make them, or of objects that are converted in different ways: they
// say nothing of each other.
const DigestFormat = 1

// Digest stands for all that a Service's plan is made of. A plan is a function of
// that, its table included: who finds the same digest would plan the same, on
// whichever node. What all Services depend on, the nodes and the planner's options,
// is not in it.
type Digest uint64

// MarshalText renders the digest in hexadecimal.
func (d Digest) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%016x", uint64(d)), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Digest) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 16, 64)
	if err != nil {
		return fmt.Errorf("digest: %w", err)
	}
	*d = Digest(n)
	return nil
}

// DigestOf returns the digest of a Service and its endpoints, which may be nil.
func DigestOf(service *pharos.Service, endpoints *pharos.Endpoints) Digest {
	var room [1024]byte
	b := writer(room[:0])
	_, foreign := service.Labels[proxyNameLabel]
	b.texts(string(service.Type), string(service.Mode))
	b.flags(foreign, service.ExternalLocal, service.InternalLocal)
	b.number(uint64(service.Affinity / time.Second))
	b.addrs(service.ClusterIPs)
	b.addrs(service.ExternalIPs)
	b.addrs(service.Ingress)
	b.number(uint64(len(service.Ports)))
	for _, p := range service.Ports {
		b.texts(p.Name, string(p.Protocol))
		b.number(uint64(p.Port)<<16 | uint64(p.NodePort))
	}
	b.number(uint64(len(service.SourceRanges)))
	for _, r := range service.SourceRanges {
		b.texts(r.String())
	}
	if endpoints == nil {
		endpoints = &pharos.Endpoints{}
	}
	b.number(uint64(len(endpoints.Backends)))
	for i := range endpoints.Backends {
		e := &endpoints.Backends[i]
		b.addrs([]netip.Addr{e.Addr})
		b.texts(e.Node)
		b.flags(e.Ready, e.Serving, e.Terminating)
		b.number(uint64(len(e.Ports)))
		for _, p := range e.Ports {
			b.texts(p.Name, string(p.Protocol))
			b.number(uint64(p.Port))
		}
	}
	sum := sha256.Sum256(b)
	return Digest(binary.BigEndian.Uint64(sum[:8]))
}

// writer puts values behind each other so that different ones differ.
type writer []byte

func (w *writer) number(n uint64) { *w = binary.AppendUvarint(*w, n) }

func (w *writer) texts(texts ...string) {
	for _, t := range texts {
		w.number(uint64(len(t)))
		*w = append(*w, t...)
	}
}

func (w *writer) flags(flags ...bool) {
	var n uint64
	for _, f := range flags {
		n <<= 1
		if f {
			n |= 1
		}
	}
	w.number(n)
}

func (w *writer) addrs(addrs []netip.Addr) {
	w.number(uint64(len(addrs)))
	for _, a := range addrs {
		raw := a.AsSlice()
		w.number(uint64(len(raw)))
		*w = append(*w, raw...)
	}
}
