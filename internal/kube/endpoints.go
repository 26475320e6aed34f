package kube

import (
	"maps"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/pharoslb/pharos"
)

// slice is one EndpointSlice, converted.
type slice struct{ backends []pharos.Backend }

// endpointSlice converts an EndpointSlice of addresses; one of host names is
// empty.
func endpointSlice(in *discoveryv1.EndpointSlice) *slice {
	out := &slice{}
	if in.AddressType != discoveryv1.AddressTypeIPv4 && in.AddressType != discoveryv1.AddressTypeIPv6 {
		return out
	}
	var ports []pharos.BackendPort // shared by all the slice's endpoints
	for _, p := range in.Ports {
		if p.Port == nil {
			continue // every port: only for consumers that know which they want
		}
		port := pharos.BackendPort{Protocol: pharos.TCP, Port: uint16(*p.Port)}
		if p.Name != nil {
			port.Name = *p.Name
		}
		if p.Protocol != nil {
			port.Protocol = pharos.Protocol(*p.Protocol)
		}
		ports = append(ports, port)
	}
	for i := range in.Endpoints {
		e := &in.Endpoints[i]
		// discovery/v1 EndpointConditions: a nil ready means true, a nil serving
		// the same as ready, a nil terminating false.
		c := e.Conditions
		ready := c.Ready == nil || *c.Ready
		b := pharos.Backend{
			Ready:       ready,
			Serving:     c.Serving == nil && ready || c.Serving != nil && *c.Serving,
			Terminating: c.Terminating != nil && *c.Terminating,
			Ports:       ports,
		}
		if e.NodeName != nil {
			b.Node = *e.NodeName
		}
		// discovery/v1 gives an endpoint's further addresses no meaning.
		if a := addrs(e.Addresses[:min(len(e.Addresses), 1)]); len(a) > 0 {
			b.Addr = a[0]
			out.backends = append(out.backends, b)
		}
	}
	return out
}

// quality orders copies of one endpoint: while it moves from slice to slice, the
// copy that serves is the one to believe.
func quality(b *pharos.Backend) int {
	switch {
	case b.Ready:
		return 3
	case b.Serving && !b.Terminating:
		return 2
	case b.Serving:
		return 1
	}
	return 0
}

// merge makes a Service's Endpoints of its slices: sorted by address, each
// address and port once.
func merge(parts map[string]*slice) *pharos.Endpoints {
	var all []pharos.Backend
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		all = append(all, parts[name].backends...)
	}
	slices.SortStableFunc(all, func(a, b pharos.Backend) int {
		if c := a.Addr.Compare(b.Addr); c != 0 {
			return c
		}
		return quality(&b) - quality(&a)
	})

	kept := all[:0]
	for _, b := range all {
		first := len(kept)
		for first > 0 && kept[first-1].Addr == b.Addr {
			first--
		}
		if b, ok := without(b, kept[first:]); ok {
			kept = append(kept, b)
		}
	}
	return &pharos.Endpoints{Backends: kept}
}

// without takes the ports that better copies have already out of a backend. It
// reports whether anything is left that they don't say.
func without(b pharos.Backend, better []pharos.Backend) (pharos.Backend, bool) {
	if len(better) == 0 {
		return b, true
	}
	var left []pharos.BackendPort
	for _, p := range b.Ports {
		if !slices.ContainsFunc(better, func(o pharos.Backend) bool { return slices.Contains(o.Ports, p) }) {
			left = append(left, p)
		}
	}
	if len(left) != len(b.Ports) {
		b.Ports = left
	}
	return b, len(left) > 0
}

// owner is the Service that an EndpointSlice belongs to; its Name is empty if
// there is none.
func owner(in *discoveryv1.EndpointSlice) pharos.Name {
	return pharos.Name{Namespace: in.Namespace, Name: in.Labels[discoveryv1.LabelServiceName]}
}

func sameBackends(a, b *pharos.Endpoints) bool {
	return slices.EqualFunc(a.Backends, b.Backends, func(a, b pharos.Backend) bool {
		return a.Addr == b.Addr && a.Node == b.Node && a.Ready == b.Ready && a.Serving == b.Serving &&
			a.Terminating == b.Terminating && slices.Equal(a.Ports, b.Ports)
	})
}
