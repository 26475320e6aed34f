package gossip

import (
	"time"

	"github.com/pharoslb/pharos/bfd"
)

// Paths watches paths by BFD: bfd.Server, as a rule. It may watch others' besides; those
// have other names.
type Paths interface {
	// Set replaces the sessions that are wanted.
	Set([]bfd.Config) error
}

// PathPrefix begins the names of the sessions that a Cluster asks Paths for. The node's
// name follows.
const PathPrefix = "member/"

const (
	// trust is how long a failed path makes its member dead against memberlist's word.
	// By then memberlist has found out by itself if the node is dead; if it says that it
	// is not, BFD alone is cut off, and the member is alive.
	trust = 5 * time.Second

	// forever is longer than it takes until something wakes Run.
	forever = time.Hour
)

// path is what BFD says of the path to a member.
type path struct {
	up   bool
	lost time.Time // when it failed last; zero: it did not since it was up
}

func (p *path) dead(now time.Time) bool { return !p.lost.IsZero() && now.Sub(p.lost) < trust }

// StateChanged takes in what Paths has found. It does not wait.
func (c *Cluster) StateChanged(ch bfd.Change) {
	if len(ch.Name) <= len(PathPrefix) || ch.Name[:len(PathPrefix)] != PathPrefix {
		return
	}
	name := ch.Name[len(PathPrefix):]
	c.mu.Lock()
	m := c.members[name]
	if m != nil {
		m.path.up = ch.To == bfd.Up
		switch {
		case m.path.up:
			m.path.lost = time.Time{}
		case ch.Failed():
			m.path.lost = time.Now()
		}
	}
	c.mu.Unlock()
	if m == nil {
		return
	}
	if ch.Failed() {
		c.log.Info("path to speaker failed", "node", name, "reason", ch.Reason)
	}
	c.signal()
	token(c.wake)
}

// watch has Paths watch the members that there are now.
func (c *Cluster) watch() {
	if c.opt.Paths == nil {
		return
	}
	c.mu.Lock()
	self := c.self
	var sessions []bfd.Config
	for name, m := range c.members {
		if name == c.opt.Name || !self.IsValid() || self.Is4() != m.addr.Is4() {
			continue
		}
		// The other node may be in another subnet.
		sessions = append(sessions, bfd.Config{Name: PathPrefix + name, Remote: m.addr, Local: self, Multihop: true, Profile: c.opt.Profile})
	}
	c.mu.Unlock()
	if err := c.opt.Paths.Set(sessions); err != nil {
		c.log.Error("paths to speakers are not watched", "err", err)
	}
}

// recheck is how long nothing is to be done unless something happens.
func (c *Cluster) recheck() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	next, now := forever, time.Now()
	for _, m := range c.members {
		if m.path.dead(now) {
			next = min(next, m.path.lost.Add(trust).Sub(now))
		}
	}
	return next
}
