package speaker

import (
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/why"
)

// Kernel is what a Plan is told of the own node's data plane about one Service. Its
// zero value asks nothing of it.
type Kernel struct {
	// Gates says that the node has a data plane that tells what it holds: what it does
	// not serve is not announced.
	Gates bool

	// Whole says that it has told all that it holds, at least once. Problem says why
	// nothing is heard of it now; empty: it is heard.
	Whole   bool
	Problem string

	// Serving is what it holds of the Service, as far as it told; nil: nothing.
	Serving *dataplane.Serving

	// Want is the digest that Serving has once the data plane has followed; Comparable
	// says that the digests can be compared.
	Want       dataplane.Digest
	Comparable bool

	// Stands are the addresses that the node announces already, Lost those that it did
	// until the data plane gave them up, and Late says that the data plane has not followed
	// the Service's last change for too long.
	Stands, Lost []netip.Addr
	Late         bool
}

// verdict says why the data plane keeps the node from announcing an address of the
// Service; OK where it does not. To begin, the kernel has to hold what was planned of
// the very endpoints that the announcement is decided by. What stands is not taken back
// because the two differ for a moment, nor because nothing is heard of the data plane,
// whose rules stay in the kernel: only because it is said not to serve the address.
func (k *Kernel) verdict(addr netip.Addr, local bool) why.Reason {
	stands := slices.Contains(k.Stands, addr)
	code := why.DataPlaneAwaited
	if stands || slices.Contains(k.Lost, addr) {
		code = why.DataPlaneBehind
	}
	silent := ""
	if k.Problem != "" {
		silent = ", and its proxy is not heard: " + k.Problem
	}
	switch {
	case !k.Gates, !k.Whole && stands:
		return why.Reason{}
	case !k.Whole && silent == "":
		return why.New(code, "this node's proxy has put nothing into the kernel yet")
	case !k.Whole:
		return why.New(code, "this node's proxy is not heard: %s", k.Problem)
	case k.Serving == nil:
		return why.New(code, "this node's data plane does not have the Service%s", silent)
	case k.Serving.Elsewhere:
		return why.Reason{}
	}
	var held, here bool
	for i := range k.Serving.Frontends {
		if f := &k.Serving.Frontends[i]; f.Addr == addr {
			held, here = true, here || f.Local > 0
		}
	}
	switch {
	case !held:
		return why.New(code, "this node's data plane does not answer at %s for the Service%s", addr, silent)
	case local && !here:
		return why.New(code, "traffic policy is Local, and this node's data plane has no endpoint of the node%s", silent)
	case k.lags() && (!stands || k.Late):
		return why.New(code, "this node's data plane has the Service as it was before its last change%s", silent)
	}
	return why.Reason{}
}

// Phase is how far a node's drain has come.
type Phase uint8

// The phases of a drain.
const (
	Stays      Phase = iota // the node is not being drained
	LastResort              // its routes are marked to be used only where there are no others (RFC 8326)
	Gone                    // it announces nothing
)
