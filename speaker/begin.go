package speaker

import (
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// beginTime bounds how long speakers of which none announces anything yet wait for each
// other. When all are restarted at once, the first would else take every address over,
// only to give most of them back.
const beginTime = 3 * time.Second

// begin is how far a speaker has come.
type begin struct {
	ready  time.Time // since when it could announce; zero: it could not
	acting bool      // it does
	waits  bool      // for others, until due
}

// step finds out whether the speaker may announce, and what it tells of that. links says
// that the node's links are known.
func (b *begin) step(now time.Time, self string, snap *pharos.Snapshot, links bool, st *MembershipStatus) (ready, acting bool) {
	b.waits = false
	if !snap.Synced || !links || !st.Settled || st.Reason.Code != why.OK {
		*b = begin{}
		return false, false
	}
	if b.ready.IsZero() {
		b.ready = now
	}
	b.acting = b.acting || !now.Before(b.due()) || begun(self, snap, st)
	b.waits = !b.acting
	return true, b.acting
}

func (b *begin) due() time.Time { return b.ready.Add(beginTime) }

// deadline is when step has to be called; zero: never.
func (b *begin) deadline() time.Time {
	if b.waits {
		return b.due()
	}
	return time.Time{}
}

// begun reports whether another speaker announces already, or all nodes have one that could.
func begun(self string, snap *pharos.Snapshot, st *MembershipStatus) bool {
	ready := map[string]bool{self: true}
	for i := range st.Members {
		m := &st.Members[i]
		if m.Name == self || m.leaving() {
			continue
		}
		if m.Facts == nil || m.Facts.Acting {
			return true
		}
		ready[m.Name] = m.Facts.Ready
	}
	for name := range snap.Nodes.All() {
		if !ready[name] {
			return false
		}
	}
	return true
}

// leaving reports whether a member said that it is about to end.
func (m *Member) leaving() bool { return m.Facts != nil && m.Facts.Leaving }
