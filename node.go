package pharos

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/pharoslb/pharos/why"
)

// ExcludeLabel takes a node out of external load balancing by its presence.
const ExcludeLabel = "node.kubernetes.io/exclude-from-external-load-balancers"

// DrainAnnotation on a Node, together with spec.unschedulable (kubectl cordon),
// takes the traffic of load balancer addresses off the node: it is "true", or how
// long the node goes on announcing them as the last resort, as in "30s".
const DrainAnnotation = "pharoslb.io/drain"

// Node is one machine of the cluster.
type Node struct {
	Name      string
	Labels    map[string]string
	Addresses []netip.Addr   // internal addresses, in the API's order
	PodCIDRs  []netip.Prefix // the node's share of the pod network

	// NetworkUnavailable is the condition of that name being true; NotReady is
	// the condition Ready being anything else than true: the kubelet has not been
	// heard of, or says so.
	NetworkUnavailable bool
	NotReady           bool

	// Drain says that the node is to lose its traffic: it is cordoned and has
	// DrainAnnotation.
	Drain Drain
}

// Drain is what a Node says of being drained.
type Drain struct {
	Asked bool

	// Time is how long the node's addresses are announced as the last resort; 0 is
	// the speaker's default.
	Time time.Duration

	// Refused says why the annotation is neither yes nor no; then nothing is asked.
	Refused why.Reason
}

// maxDrain bounds Drain.Time: what is longer is a slip.
const maxDrain = 24 * time.Hour

// ParseDrain reads DrainAnnotation of a Node that is cordoned: true, false, or a
// duration of up to a day.
func ParseDrain(text string) Drain {
	if yes, err := strconv.ParseBool(text); err == nil {
		return Drain{Asked: yes}
	}
	d, err := time.ParseDuration(text)
	if err == nil && (d <= 0 || d > maxDrain) {
		err = fmt.Errorf("%v is not between 0 and %v", d, maxDrain)
	}
	if err != nil {
		return Drain{Refused: why.New(why.DrainInvalid, "the annotation %s is %q, neither true, false nor a duration: %v", DrainAnnotation, text, err)}
	}
	return Drain{Asked: true, Time: d}
}

// Excluded reports whether the node carries ExcludeLabel.
func (n *Node) Excluded() bool {
	_, ok := n.Labels[ExcludeLabel]
	return ok
}
