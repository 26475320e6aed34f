package controller

import (
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// Change is what a controller would write to one Service.
type Change struct {
	Service pharos.Name `json:"service"`

	// Has is what the status shows and Gets what it would; they are equal where
	// only the name of the pool beside them changes.
	Has      []netip.Addr `json:"has,omitempty"`
	HasPool  string       `json:"hasPool,omitempty"`
	Gets     []netip.Addr `json:"gets,omitempty"`
	GetsPool string       `json:"getsPool,omitempty"`

	Reason why.Reason `json:"reason"` // for what it gets, or gets nothing
	Lost   why.Reason `json:"lost"`   // why it does not keep what it has; OK where it does
}

// Moves reports whether addresses change, and not only what is noted beside them.
func (c *Change) Moves() bool { return !slices.Equal(c.Has, c.Gets) }

// Preview tells what a controller that started with a Snapshot would write,
// sorted by the Services' names, and does nothing. The reason says why the
// Snapshot's configuration would not come into force; its code is OK where it
// would.
func Preview(o Options, snap *pharos.Snapshot) ([]Change, why.Reason) {
	if !snap.Synced {
		return nil, why.Reason{Code: why.NotSynced}
	}
	c := newCore(o.Class)
	// Of a cool-down nothing is known at a start, so that the time is no matter.
	var changes []Change
	for _, name := range c.reconcile(time.Time{}, snap).dirty {
		e := c.entries[name]
		changes = append(changes, Change{
			Service: name, Has: e.service.Ingress, HasPool: e.service.AllocatedFrom,
			Gets: e.want.Addrs, GetsPool: e.want.Pool, Reason: e.reason, Lost: e.lost,
		})
	}
	slices.SortFunc(changes, func(a, b Change) int { return a.Service.Compare(b.Service) })
	return changes, c.gate.Reason
}
