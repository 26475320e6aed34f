// Package rule says what single settings may be, and when two of them
// contradict each other, for every form that a configuration is written in.
//
// It reads no format: packages configmap and crd bring the text or number of one
// setting and where it stands, and tell the operator.
//
//	configmap ─┐                  ┌─► a value that can't be wrong
//	           ├─► rule, a setting┤
//	crd ───────┘                  └─► *Fault: reason and hint, in the same words
//
// Invariants: nothing is accepted that the nouns or the engines can't be given;
// no Fault quotes a password.
//
// Start reading at Addresses.
package rule

import (
	"fmt"
	"strconv"
)

// Fault is why a setting is refused, and what to write instead.
type Fault struct {
	Reason string // as said behind the field's name: `"x" is not an IP address`
	Hint   string // may be empty
}

func faultf(hint, format string, args ...any) *Fault {
	return &Fault{Reason: fmt.Sprintf(format, args...), Hint: hint}
}

// Quote renders a setting for a person, cut where it is long.
func Quote(text string) string {
	const most = 64
	if len(text) > most {
		return fmt.Sprintf("%q…", text[:most])
	}
	return strconv.Quote(text)
}
