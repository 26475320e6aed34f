package layer2

import "time"

const (
	// claimants of one address are remembered, each.
	claimants = 4
	// reports are made in a ConflictInterval, of all addresses. Most are of another speaker
	// that takes addresses over, perhaps thousands at once.
	reports = 4096
)

// claim is what is known of another host that claims an address.
type claim struct {
	Conflict
	reported time.Time
}

// quota bounds what a flood of claims makes of the reports.
type quota struct {
	since time.Time
	used  int
}

func (q *quota) take(now time.Time) bool {
	if q.since.IsZero() || now.Sub(q.since) >= ConflictInterval {
		*q = quota{since: now}
	}
	q.used++
	return q.used <= reports
}

// claimed counts a claim and reports it, unless the same was reported lately, or too
// many others. A host that goes from asking for the address to having it is reported
// again at once.
func (r *Responder) claimed(now time.Time, e Claimed) []Effect {
	a := r.addrs[e.Addr]
	if a == nil || r.macs[e.MAC] {
		return nil
	}
	p := a.find(e.Link)
	if p == nil {
		return nil
	}
	a.Counters.Claims++
	c, fresh := a.claimant(now, e.MAC)
	if c == nil {
		return nil
	}
	worse := c.Probe && !e.Probe
	c.Time, c.Interface = now, p.name
	if !fresh && !worse && now.Sub(c.reported) < ConflictInterval {
		return nil
	}
	c.Probe = e.Probe
	if !r.quota.take(now) {
		return nil
	}
	c.reported = now
	return []Effect{Report{c.Conflict}}
}

// claimant is what is known of a host that claims the address, or a place for it: nil if
// all are taken by hosts that were heard lately.
func (a *address) claimant(now time.Time, mac MAC) (c *claim, fresh bool) {
	oldest := -1
	for i := range a.claims {
		c := &a.claims[i]
		if c.MAC == mac {
			return c, false
		}
		if oldest < 0 || c.Time.Before(a.claims[oldest].Time) {
			oldest = i
		}
	}
	fresh = true
	switch {
	case len(a.claims) < claimants:
		a.claims = append(a.claims, claim{})
		c = &a.claims[len(a.claims)-1]
	case now.Sub(a.claims[oldest].Time) >= ConflictInterval:
		c = &a.claims[oldest]
	default:
		return nil, false
	}
	*c = claim{Conflict: Conflict{Addr: a.Addr, MAC: mac}}
	return c, true
}
