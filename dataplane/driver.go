package dataplane

import (
	"context"
	"time"

	"github.com/pharoslb/pharos"
)

// Driver makes one kernel mechanism do what a State says. Its methods may be
// called from any goroutine; it does one thing at a time.
//
// A driver keeps to what is its own: it never changes what other programs put
// into the kernel.
type Driver interface {
	// Name is the mechanism's, as users choose it.
	Name() string

	// Apply brings the kernel from whatever it holds to state, in one step that
	// packets see whole. Only what differs from the state before is sent; the
	// first call reads the kernel first, and keeps what an earlier process left
	// and state still wants. On an error the kernel is as it was, and the next
	// call compares everything again.
	Apply(ctx context.Context, state *State) error

	// Verify compares the kernel with the state applied last and repairs what
	// somebody else changed. It reports whether there was anything to repair.
	Verify(ctx context.Context) (repaired bool, err error)

	// Remove takes away everything that Apply of this or an earlier process
	// made. Established connections may break.
	Remove(ctx context.Context) error

	// Status returns a copy of the driver's counters.
	Status() DriverStatus
}

// Partial is a Driver that may leave out frontends which others on the node stand in
// the way of, and serve all the rest.
type Partial interface {
	// Refused returns what is left out of the State applied last, by Service.
	Refused() map[pharos.Name][]Refused
}

// DriverStatus tells what a driver did since it was made. Objects are the
// mechanism's own: a map's element, a virtual server.
type DriverStatus struct {
	Driver   string `json:"driver"`
	Revision uint64 `json:"revision"` // of the State in the kernel

	Applied  uint64 `json:"applied"`  // transactions that changed something
	Added    uint64 `json:"added"`    // objects written
	Removed  uint64 `json:"removed"`  // objects taken away
	Rebuilt  uint64 `json:"rebuilt"`  // times that everything was written anew
	Adopted  uint64 `json:"adopted"`  // times that an earlier process's work was taken over
	Repaired uint64 `json:"repaired"` // times that Verify found a difference
	Failed   uint64 `json:"failed"`   // calls that returned an error
	Flushed  uint64 `json:"flushed"`  // connections forgotten because their backend is gone

	LastDuration time.Duration `json:"lastDuration"` // of the last transaction
	LastError    string        `json:"lastError,omitempty"`

	// Degraded tells what of the State in the kernel does not work there, and why,
	// while all the rest does. The driver keeps trying. Empty: everything works.
	Degraded string `json:"degraded,omitempty"`
}

// Note counts a call by how it ended, and returns its error.
func (s *DriverStatus) Note(err error) error {
	s.LastError = ""
	if err != nil {
		s.Failed++
		s.LastError = err.Error()
	}
	return err
}
