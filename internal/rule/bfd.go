package rule

import (
	"time"

	"github.com/pharoslb/pharos"
)

// Limits are the least and the greatest value of a number.
type Limits struct{ Low, High uint64 }

// The limits of a BFD profile's numbers; intervals are in milliseconds.
var (
	BFDInterval   = Limits{10, 60000}
	BFDMultiplier = Limits{2, 255}
	BFDMinimumTTL = Limits{1, 254}
)

// DefaultBFD is a BFD profile that says nothing.
func DefaultBFD() pharos.BFDProfile {
	return pharos.BFDProfile{
		ReceiveInterval:  300 * time.Millisecond,
		TransmitInterval: 300 * time.Millisecond,
		DetectMultiplier: 3,
		EchoInterval:     50 * time.Millisecond,
		MinimumTTL:       254,
	}
}

// Check refuses a number outside the limits.
func (l Limits) Check(n uint64) *Fault {
	if n < l.Low || n > l.High {
		return faultf("", "%d is not from %d to %d", n, l.Low, l.High)
	}
	return nil
}
