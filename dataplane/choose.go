package dataplane

import (
	"fmt"
	"strings"

	"github.com/pharoslb/pharos/why"
)

// Candidate is a driver that may be chosen.
type Candidate struct {
	Name    string
	Missing error // what keeps it from running on this node; nil if nothing does
}

// Choose returns the name of the first candidate that can run, and the reasons,
// the deciding one last. named says that a user asked for that one and no other.
// Where none can run, the error says of each why.
func Choose(named bool, candidates ...Candidate) (string, why.Trail, error) {
	var trail why.Trail
	for _, c := range candidates {
		if c.Missing != nil {
			trail = append(trail, why.New(why.DriverUnavailable, "%s can't run here: %v", c.Name, c.Missing))
			continue
		}
		reason := why.New(why.DriverChosen, "%s, which this node's kernel can run", c.Name)
		if named {
			reason = why.New(why.DriverChosen, "%s, as asked for by name", c.Name)
		}
		return c.Name, append(trail, reason), nil
	}
	var problems []string
	for _, r := range trail {
		problems = append(problems, r.String())
	}
	return "", trail, fmt.Errorf("no data plane: %s", strings.Join(problems, "; "))
}
