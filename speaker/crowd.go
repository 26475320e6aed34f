package speaker

import (
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos/election"
	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/why"
)

// crowd is who takes part in elections, as far as this node knows at one moment. It is
// immutable, but for holder, which is asked.
type crowd struct {
	self string
	// reason says why this node takes no part; OK where it does. What others announce
	// is not known then.
	reason why.Reason
	// fenced says why this node keeps quiet though it takes part; OK where it need not.
	fenced why.Reason
	// keeps are the addresses that this node may go on with while it hears too few of the
	// others to take more over; nil: it hears enough.
	keeps map[netip.Addr]bool
	// members are the speakers that are alive and ready, and not about to end, with their
	// facts; nil: nobody knows who is alive, so that every node counts.
	members map[string]*Facts
	policy  election.Policy         // that all members were told to apply
	holder  func(netip.Addr) string // of policy's Sticky
	seats   map[netip.Addr]string   // of policy's Spread: who announces what
	links   []layer2.LinkStatus     // of this node; none: they are not yet known
}

// everybody is the crowd of a View that was not told of any.
func everybody(self string) *crowd { return &crowd{self: self} }

// gather puts together who takes part, of what the membership says.
func gather(self string, own Facts, st *MembershipStatus) *crowd {
	c := &crowd{self: self}
	switch {
	case st.Reason.Code == why.SecretMissing:
		// All nodes have the same Secret or lack it: without one, nobody knows who is
		// alive, as if the membership were turned off.
		return c
	case st.Reason.Code != why.OK:
		c.reason = why.New(why.AnnounceFailed, "the other speakers do not know of this one, so that it takes no part in layer 2: %s", st.Reason)
		return c
	case !st.Settled:
		c.reason = why.New(why.NotSynced, "the other speakers are being looked for")
		return c
	case !own.Ready:
		c.reason = why.New(why.NotSynced, "the cluster and this node's links are not yet known")
		return c
	case !own.Acting:
		c.reason = why.New(why.NotSynced, "no speaker announces anything yet, and those of other nodes may be about to begin")
		return c
	}
	c.members = map[string]*Facts{}
	c.policy = own.Policy
	for i := range st.Members {
		m := &st.Members[i]
		if m.leaving() || m.Facts != nil && !m.Facts.Ready {
			continue
		}
		if m.Name != self {
			c.members[m.Name] = m.Facts
			if m.Facts == nil || m.Facts.Policy != own.Policy {
				c.policy = election.Policy{}
			}
		}
	}
	if !own.Leaving {
		c.members[self] = &own
	}
	return c
}

// alive reports whether a node's speaker takes part.
func (c *crowd) alive(node string) bool {
	if c.members == nil {
		return true
	}
	_, ok := c.members[node]
	return ok
}

// reaches reports whether a node has a link, as far as it told, on which it could
// announce an address.
func (c *crowd) reaches(node string, addr netip.Addr, interfaces []string) bool {
	f := c.members[node]
	if f == nil || f.Partial {
		return true
	}
	return slices.ContainsFunc(f.Links, func(l Link) bool {
		usable := l.IPv4
		if addr.Is6() {
			usable = l.IPv6
		}
		return usable && (len(interfaces) == 0 || slices.Contains(interfaces, l.Name))
	})
}

// differ returns the nodes that take part in only one of two crowds, or have told other
// facts: those that may have lost what they announce, and those that may win.
func (c *crowd) differ(was *crowd) (lost, won []string) {
	for name, f := range was.members {
		now, ok := c.members[name]
		switch {
		case !ok:
			lost = append(lost, name)
		case now != f && !sameLinks(now, f):
			lost, won = append(lost, name), append(won, name)
		}
	}
	for name := range c.members {
		if _, ok := was.members[name]; !ok {
			won = append(won, name)
		}
	}
	return lost, won
}

func sameLinks(a, b *Facts) bool {
	return a != nil && b != nil && a.Partial == b.Partial && slices.Equal(a.Links, b.Links)
}

// alike reports whether the crowds differ in nothing but members and links.
func (c *crowd) alike(was *crowd) bool {
	return c.reason == was.reason && c.policy == was.policy && (c.members == nil) == (was.members == nil)
}

// linksOf tells of the links that addresses can be announced on.
func linksOf(list []layer2.LinkStatus) []Link {
	var out []Link
	for i := range list {
		l := &list[i]
		if v4, v6 := l.IPv4 == layer2.Usable, l.IPv6 == layer2.Usable; v4 || v6 {
			out = append(out, Link{Name: l.Name, MAC: l.MAC, IPv4: v4, IPv6: v6})
		}
	}
	return out
}
