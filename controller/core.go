package controller

import (
	"fmt"
	"slices"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/ipam"
	"github.com/pharoslb/pharos/why"
)

// core decides. It is a plain value: it blocks on nothing, logs nothing and is
// told the time.
type core struct {
	class      string
	snap       *pharos.Snapshot                      // the last one that was worked in
	namespaces pharos.Map[string, *pharos.Namespace] // that the allocator knows
	alloc      *ipam.Allocator
	entries    map[pharos.Name]*entry
	gate       pharos.Gate

	updates, errors uint64
}

// entry is a Service whose status is the controller's to write.
type entry struct {
	service *pharos.Service // newest
	want    ipam.Assignment // to stand in the status
	reason  why.Reason
	lost    why.Reason // of addresses that the status may still show
	told    why.Reason // the last reason recorded as an event
	notice  bool       // the use of deprecated annotations is recorded
	refused why.Reason // what is recorded of the data plane's mode that it asks for

	writing bool            // a write is under way
	wrote   *pharos.Service // the version that the last write succeeded upon
}

// write is a status to be written: the decision about one version of a Service.
type write struct {
	entry   *entry
	service *pharos.Service
	ipam.Assignment
}

// event is a reason to record about a Service, or the configuration where it has
// no name.
type event struct {
	service pharos.Name
	reason  why.Reason
}

// effects are what a step of the core wants done at the edge.
type effects struct {
	dirty  []pharos.Name // Services to be written, in order
	events []event
}

func newCore(class string) *core {
	return &core{class: class, snap: &pharos.Snapshot{}, alloc: ipam.New(), entries: map[pharos.Name]*entry{}}
}

// reconcile works a Snapshot in.
func (c *core) reconcile(now time.Time, snap *pharos.Snapshot) effects {
	var fx effects
	if !snap.Synced {
		return fx
	}
	first := c.gate.Config == nil
	var gone []pharos.Name
	var claims, others []*pharos.Service
	sort := func(name pharos.Name, svc *pharos.Service) {
		switch {
		case svc == nil || !c.serves(svc):
			gone = append(gone, name)
			if svc != nil {
				others = append(others, svc)
			}
		default:
			claims = append(claims, svc)
		}
	}
	if !first {
		for name := range snap.Services.Diff(c.snap.Services) {
			svc, _ := snap.Services.Get(name)
			sort(name, svc)
		}
	}
	c.updates += uint64(len(gone) + len(claims))

	// What is given back goes first: a configuration may wait for it.
	touched := c.apply(c.alloc.Update(now, nil, gone), nil)
	touched = c.leave(gone, others, touched)
	touched = c.apply(c.relabel(now, snap), touched)
	if c.pass(snap, &fx) {
		touched = c.apply(c.alloc.SetPools(now, c.gate.Config.Pools), touched)
		if first {
			for name, svc := range snap.Services.All() {
				sort(name, svc)
			}
			c.updates += uint64(len(gone) + len(claims))
			touched = c.leave(nil, others, touched)
		}
	}
	if c.gate.Config == nil {
		c.snap = snap
		return fx
	}
	touched = c.apply(c.alloc.Update(now, claims, nil), touched)
	if c.gate.Refused() != nil && c.pass(snap, &fx) { // an edit may have given it back
		touched = c.apply(c.alloc.SetPools(now, c.gate.Config.Pools), touched)
	}
	c.snap = snap
	if !first {
		c.annotations(claims, &fx)
	}
	c.collect(touched, &fx)
	return fx
}

// step lets time pass.
func (c *core) step(now time.Time) effects {
	var fx effects
	c.collect(c.apply(c.alloc.Step(now), nil), &fx)
	return fx
}

// relabel tells the allocator of namespaces that changed.
func (c *core) relabel(now time.Time, snap *pharos.Snapshot) []ipam.Outcome {
	var changed []*pharos.Namespace
	var gone []string
	for name := range snap.Namespaces.Diff(c.namespaces) {
		if ns, ok := snap.Namespaces.Get(name); ok {
			changed = append(changed, ns)
		} else {
			gone = append(gone, name)
		}
	}
	c.namespaces = snap.Namespaces
	if len(changed)+len(gone) == 0 {
		return nil
	}
	return c.alloc.SetNamespaces(now, changed, gone)
}

// pass lets the newest configuration come into force, by the rule of
// pharos.Gate, and reports whether another one is in force now.
func (c *core) pass(snap *pharos.Snapshot, fx *effects) bool {
	had, was := c.gate.Config != nil, c.gate.Reason
	var uses pharos.Uses = c.alloc
	if !had {
		// What an earlier run gave out is in the statuses.
		uses = pharos.Noted{Services: snap.Services, Class: c.class}
	}
	changed := c.gate.Step(snap, uses)
	if changed {
		c.updates++
		if had || was.Code != why.OK {
			cfg := c.gate.Config
			fx.events = append(fx.events, event{reason: why.New(why.ConfigLoaded, "in force: %s, %s", count(len(cfg.Pools), "pool"), count(len(cfg.Peers), "peer"))})
		}
	}
	if r := c.gate.Reason; r != was && r.Code != why.OK {
		c.errors++
		fx.events = append(fx.events, event{reason: r})
	}
	return changed
}

// serves reports whether a Service is ours to give an address to.
func (c *core) serves(svc *pharos.Service) bool {
	return svc.Type == pharos.LoadBalancer && svc.Class == c.class
}

// apply takes the allocator's outcomes over, and returns touched with their
// entries.
func (c *core) apply(outcomes []ipam.Outcome, touched []*entry) []*entry {
	for _, o := range outcomes {
		e := c.entries[o.Service.Name]
		if e == nil || e.service.UID != o.Service.UID {
			e = &entry{}
			c.entries[o.Service.Name] = e
		}
		e.service, e.want, e.reason = o.Service, o.Assignment, o.Reason
		if e.lost.Code == why.OK {
			e.lost = o.Lost
		}
		touched = append(touched, e)
	}
	return touched
}

// leave lets go of Services that are deleted or not ours any more. What one that
// is no load balancer still carries of ours is cleared; one of another class is
// somebody else's to write.
func (c *core) leave(gone []pharos.Name, others []*pharos.Service, touched []*entry) []*entry {
	for _, name := range gone {
		delete(c.entries, name)
	}
	for _, svc := range others {
		if svc.Type != pharos.LoadBalancer && (len(svc.Ingress) > 0 || svc.AllocatedFrom != "") {
			e := &entry{service: svc, reason: why.Reason{Code: why.NotLoadBalancer}}
			c.entries[svc.Name] = e
			touched = append(touched, e)
		}
	}
	return touched
}

// collect finds out which of the touched entries have to be written and which
// reasons are new.
func (c *core) collect(touched []*entry, fx *effects) {
	slices.SortFunc(touched, func(a, b *entry) int {
		if order := a.service.Created.Compare(b.service.Created); order != 0 {
			return order
		}
		return a.service.Name.Compare(b.service.Name)
	})
	for i, e := range touched {
		name := e.service.Name
		if i > 0 && touched[i-1] == e || c.entries[name] != e {
			continue
		}
		if e.dirty() {
			fx.dirty = append(fx.dirty, name)
		}
		switch e.reason.Code {
		case why.IPAllocated, why.NotLoadBalancer:
			e.told = why.Reason{} // the event follows the write
		default:
			if e.told != e.reason {
				e.told = e.reason
				c.errors++
				fx.events = append(fx.events, event{name, e.reason})
			}
		}
	}
}

// annotations warns of annotations with the old prefix, and of a mode of the data
// plane that does not exist, once for each Service that is created or edited. The
// latter is nothing to the controller; but each node's proxy would say it.
func (c *core) annotations(claims []*pharos.Service, fx *effects) {
	for _, svc := range claims {
		e := c.entries[svc.Name]
		if svc.DeprecatedAnnotations && !e.notice {
			e.notice = true
			fx.events = append(fx.events, event{svc.Name, why.Reason{Code: why.DeprecatedAnnotation}})
		}
		if svc.ModeRefused != e.refused {
			e.refused = svc.ModeRefused
			if e.refused.Code != why.OK {
				fx.events = append(fx.events, event{svc.Name, e.refused})
			}
		}
	}
}

// dirty reports whether the status has to be written, and can be now. A version
// that was written upon does not show it yet: the next one will.
func (e *entry) dirty() bool {
	return !e.writing && e.wrote != e.service &&
		!(slices.Equal(e.service.Ingress, e.want.Addrs) && e.service.AllocatedFrom == e.want.Pool)
}

// next returns what is to be written to a Service now, if anything is, and takes
// it for being under way.
func (c *core) next(name pharos.Name) (write, bool) {
	e := c.entries[name]
	if e == nil || !e.dirty() {
		return write{}, false
	}
	e.writing = true
	return write{e, e.service, e.want}, true
}

// done works in how a write ended. It returns the events of one that succeeded,
// and whether the Service has to be written (again): after a failure it should
// be, after a pause.
func (c *core) done(w write, err error) (fx effects, again bool) {
	e := w.entry
	e.writing = false
	name := w.service.Name
	if err != nil {
		c.errors++
		return fx, c.entries[name] == e && e.dirty()
	}
	e.wrote = w.service
	if c.entries[name] != e {
		return fx, false
	}
	if !slices.Equal(w.service.Ingress, w.Addrs) {
		if e.lost.Code != why.OK && len(w.service.Ingress) > 0 {
			fx.events = append(fx.events, event{name, e.lost})
		}
		if len(w.Addrs) > 0 && slices.Equal(w.Addrs, e.want.Addrs) {
			reason := e.reason
			if reason.Code != why.IPAllocated {
				reason = why.New(why.IPAllocated, "assigned %v from pool %s", w.Addrs, w.Pool)
			}
			fx.events = append(fx.events, event{name, reason})
		}
	}
	e.lost = why.Reason{}
	return fx, e.dirty()
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
