package controller

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/ipam"
	"github.com/pharoslb/pharos/why"
)

// Status is a controller as it was at one moment: a copy.
type Status struct {
	Synced   bool       `json:"synced"`   // the cluster is known in full
	Revision uint64     `json:"revision"` // of the Snapshot
	API      why.Reason `json:"api"`      // why the Snapshot may be out of date; OK where it is not

	// Standby says who works in this one's place; all else is zero then. It is
	// empty where this one works.
	Standby string `json:"standby,omitempty"`

	// Updates counts Services and configurations worked in, UpdateErrors what
	// could not be.
	Updates      uint64 `json:"updates"`
	UpdateErrors uint64 `json:"updateErrors"`

	Config   ConfigStatus    `json:"config"`
	Pools    []ipam.Usage    `json:"pools"`    // by name
	Services []ServiceStatus `json:"services"` // of type LoadBalancer, by name
	Waiting  int             `json:"waiting"`  // how many of them have no address
	Writes   WriteStatus     `json:"writes"`
}

// ConfigStatus says whether the newest configuration is in force.
type ConfigStatus struct {
	Loaded bool       `json:"loaded"` // there is one in force
	Stale  bool       `json:"stale"`  // it is not the newest
	Reason why.Reason `json:"reason"` // why the newest is not in force; OK where it is
}

// ServiceStatus is one Service of type LoadBalancer.
type ServiceStatus struct {
	Name      pharos.Name  `json:"name"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
	Pool      string       `json:"pool,omitempty"`
	Reason    why.Reason   `json:"reason"`
	Written   bool         `json:"written"` // the status says so
}

// WriteStatus counts the writes of Services' statuses.
type WriteStatus struct {
	Queued  int    `json:"queued"`
	Written uint64 `json:"written"`
	Failed  uint64 `json:"failed"`
}

// Status returns the present state. It may be called from any goroutine.
func (c *Controller) Status() Status {
	api := c.edge.Source.Problem()
	newest := c.edge.Source.Snapshot()
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.core
	st := Status{
		Synced: k.snap.Synced, Revision: k.snap.Revision, API: api,
		Updates: k.updates, UpdateErrors: k.errors,
		Config:   ConfigStatus{Loaded: k.gate.Config != nil, Stale: k.gate.Reason.Code != why.OK, Reason: k.gate.Reason},
		Pools:    k.alloc.Usage(),
		Services: make([]ServiceStatus, 0, len(k.entries)),
		Writes:   c.counts,
	}
	st.Writes.Queued = len(c.queue) + c.flying + len(c.retries)
	if !newest.Synced {
		st.Config.Stale, st.Config.Reason = true, why.Reason{Code: why.NotSynced}
	}
	for name, svc := range newest.Services.All() {
		if svc.Type != pharos.LoadBalancer {
			continue
		}
		s := ServiceStatus{Name: name, Addresses: svc.Ingress, Pool: svc.AllocatedFrom}
		e := k.entries[name]
		switch {
		case svc.Class != k.class:
			s.Reason = why.New(why.ClassMismatch, "loadBalancerClass %q is not %q", svc.Class, k.class)
		case e != nil:
			s.Addresses, s.Pool, s.Reason = e.want.Addrs, e.want.Pool, e.reason
			s.Written = slices.Equal(svc.Ingress, e.want.Addrs) && svc.AllocatedFrom == e.want.Pool
		case k.gate.Config != nil:
			s.Reason = why.Reason{Code: why.NotSynced} // newer than what was worked in
		default:
			s.Reason = st.Config.Reason
		}
		if len(s.Addresses) == 0 {
			st.Waiting++
		}
		st.Services = append(st.Services, s)
	}
	slices.SortFunc(st.Services, func(a, b ServiceStatus) int { return a.Name.Compare(b.Name) })
	return st
}

// Healthy returns why the controller can't do its work yet, or nil. It costs
// nothing, so that a probe may ask often.
func (c *Controller) Healthy() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.core.snap.Synced {
		return errors.New("the cluster is not yet known in full")
	}
	return nil
}
