package speaker

import (
	"net/netip"
	"sync"
	"time"

	"github.com/pharoslb/pharos/layer2"
)

const (
	// takeoverTime is within what time a speaker that has begun has found the others: one
	// that claimed an address and is not heard of by then is cut off from this one.
	takeoverTime = 10 * time.Second

	// noticeTime is within what time both sides of a cut have noticed it: who is heard of
	// so long after its claim was not cut off when it made it.
	noticeTime = 2 * time.Second

	// conflictPause lies between two events about the same address and host.
	conflictPause = time.Minute

	// maxConflicts is how many disputes are told of in a conflictPause, and maxClaims how
	// many claims wait for being looked at, or have been made by other speakers lately.
	maxConflicts = 256
	maxClaims    = 4096

	// maxSpeakers is how many MACs of speakers are remembered, of the dead as well.
	maxSpeakers = 1 << 14
)

// judge tells other speakers that take addresses over from hosts that should not have
// them. It has a lock of its own, since the Announcer calls it while it may be called
// itself.
type judge struct {
	wake chan struct{} // capacity 1: there is something in claims

	mu       sync.Mutex
	speakers map[layer2.MAC]string    // whose they are; also of speakers that died
	gone     map[netip.Addr]time.Time // when an address went to another node
	told     map[dispute]time.Time
	claims   []claimed
	// rivals are the last speakers to claim addresses, for takeoverTime.
	rivals map[netip.Addr]rival
}

// rival is a speaker that claims an address.
type rival struct {
	claimed
	at     time.Time
	member *bool // it was heard of noticeTime later, and will find out by itself; nil: not yet known
}

// due is when there is something to decide.
func (r *rival) due() time.Time {
	if r.member == nil {
		return r.at.Add(noticeTime)
	}
	return r.at.Add(takeoverTime)
}

type dispute struct {
	addr netip.Addr
	mac  layer2.MAC
}

// claimed is another host's claim, with the node whose speaker it is; empty: no speaker.
type claimed struct {
	layer2.Conflict
	node string
}

func newJudge() *judge {
	return &judge{
		wake:     make(chan struct{}, 1),
		speakers: map[layer2.MAC]string{}, gone: map[netip.Addr]time.Time{},
		told: map[dispute]time.Time{}, rivals: map[netip.Addr]rival{},
	}
}

// know notes whose MACs are speakers'.
func (j *judge) know(members []Member) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.speakers) > maxSpeakers {
		clear(j.speakers)
	}
	for i := range members {
		if f := members[i].Facts; f != nil {
			for _, l := range f.Links {
				j.speakers[l.MAC] = members[i].Name
			}
		}
	}
}

// move notes that addresses came here or went.
func (j *judge) move(now time.Time, addrs []netip.Addr, here func(netip.Addr) bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for a, at := range j.gone {
		if now.Sub(at) >= takeoverTime {
			delete(j.gone, a)
		}
	}
	for _, a := range addrs {
		delete(j.rivals, a) // the owner is another than when it was claimed
		if delete(j.gone, a); !here(a) {
			j.gone[a] = now
		}
	}
}

// claimant returns the node whose speaker claimed an address lately; empty: none did.
func (j *judge) claimant(a netip.Addr) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.rivals[a].node
}

// deadline is when the next rival is disputed; zero: there is none.
func (j *judge) deadline() time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	var next time.Time
	for _, r := range j.rivals {
		if due := r.due(); next.IsZero() || due.Before(next) {
			next = due
		}
	}
	return next
}

// Conflict implements layer2.Handler. An address is defended against any host but a
// speaker, unless it is just being handed over.
func (j *judge) Conflict(c layer2.Conflict) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	node := j.speakers[c.MAC]
	if len(j.claims) < maxClaims {
		j.claims = append(j.claims, claimed{c, node})
	}
	select {
	case j.wake <- struct{}{}:
	default:
	}
	_, gone := j.gone[c.Addr]
	return node == "" && !gone
}

// take returns the claims since it was asked last: the addresses that other speakers
// take over, as it seems, and those claims that somebody has to be told of. member
// reports whether a node's speaker is a member.
func (j *judge) take(now time.Time, member func(node string) bool) (takeovers []netip.Addr, disputes []claimed) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for k, at := range j.told {
		if now.Sub(at) >= conflictPause {
			delete(j.told, k)
		}
	}
	for _, c := range j.claims {
		_, gone := j.gone[c.Addr]
		switch {
		case c.node == "" && !gone:
			disputes = j.dispute(now, c, disputes)
		case c.node != "" && !gone && len(j.rivals) < maxClaims:
			if _, ok := j.rivals[c.Addr]; !ok {
				j.rivals[c.Addr] = rival{claimed: c, at: now}
			}
		}
		if c.node != "" {
			takeovers = append(takeovers, c.Addr)
		}
	}
	j.claims = nil
	for a, r := range j.rivals {
		switch {
		case now.Before(r.due()):
		case r.member == nil:
			is := member(r.node)
			r.member = &is
			j.rivals[a] = r
		default:
			delete(j.rivals, a)
			if !*r.member && !member(r.node) {
				disputes = j.dispute(now, r.claimed, disputes)
			}
		}
	}
	return takeovers, disputes
}

// dispute adds a claim, unless it has been told of lately.
func (j *judge) dispute(now time.Time, c claimed, to []claimed) []claimed {
	k := dispute{c.Addr, c.MAC}
	if _, ok := j.told[k]; ok || len(j.told) >= maxConflicts {
		return to
	}
	j.told[k] = now
	return append(to, c)
}
