package rib

import "fmt"

// Reason is why a path is used or not. The zero value says that nothing speaks
// against it.
type Reason uint8

// Reasons. Those from LongLivedStale to PathIdentifier are the steps of the
// decision, in their order: the path lost to the best one at that step.
const (
	OK Reason = iota

	Deleted            // the session that it came from is down
	NextHopUnreachable // the next hop is on no connected network that is up
	RouteLeak          // it came from where no such route may come from (RFC 9234 §5)

	LongLivedStale // kept for long after its session ended (RFC 9494 §4.3)
	Weight
	LocalPref
	GracefulShutdown // its local preference is 0 because it is about to go (RFC 8326)
	LocallyOriginated
	ASPathLength
	Origin
	MED
	Internal // the best path is external
	Metric   // of the way to the next hop
	Newer    // the best path is older
	RouterID
	ClusterList
	PeerAddress
	PathIdentifier // of two paths of one neighbor (RFC 7911)

	MultipathOff       // maximum-paths is 1 for this kind of path
	MultipathFull      // as many paths as allowed are used
	ASPathDiffers      // equally long but not equal, and no multipath-relax
	NextHopInUse       // a better path has the same next hop
	NotBestEnough      // it lost before the tie-break
	LocalASInPath      // a loop (RFC 4271 §9.1.2)
	OwnOriginator      // our own route came back (RFC 4456 §8)
	LimitExceeded      // the neighbor sent more prefixes than it may
	TooManyPaths       // the neighbor has as many paths to this prefix as it may
	AttributesExceeded // the neighbor's attributes take more memory than they may
	reasonsEnd
)

var reasonTexts = [reasonsEnd]string{
	OK:                 "none",
	Deleted:            "deleted",
	NextHopUnreachable: "next hop unreachable",
	RouteLeak:          "route leak",
	LongLivedStale:     "long-lived stale",
	Weight:             "Weight",
	LocalPref:          "Local Preference",
	GracefulShutdown:   "graceful shutdown",
	LocallyOriginated:  "Locally originated",
	ASPathLength:       "AS Path",
	Origin:             "Origin",
	MED:                "MED",
	Internal:           "Internal path",
	Metric:             "IGP metric",
	Newer:              "newer EBGP path",
	RouterID:           "Router Id",
	ClusterList:        "Cluster list",
	PeerAddress:        "Neighbor Address",
	PathIdentifier:     "path identifier",
	MultipathOff:       "multipath not configured",
	MultipathFull:      "maximum-paths reached",
	ASPathDiffers:      "AS path differs",
	NextHopInUse:       "next hop in use",
	NotBestEnough:      "not equal to the best path",
	LocalASInPath:      "own AS number in AS path",
	OwnOriginator:      "own originator ID",
	LimitExceeded:      "maximum prefixes exceeded",
	TooManyPaths:       "maximum paths of one prefix exceeded",
	AttributesExceeded: "memory for attributes exceeded",
}

// String is the reason in the words that NX-OS prints after "not best reason:"
// where it has some.
func (r Reason) String() string {
	if r < reasonsEnd {
		return reasonTexts[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// MarshalText renders the reason as String does.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *Reason) UnmarshalText(text []byte) error {
	for i, known := range reasonTexts {
		if known == string(text) {
			*r = Reason(i)
			return nil
		}
	}
	return fmt.Errorf("unknown reason %q", text)
}
