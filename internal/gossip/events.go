package gossip

import (
	"net/netip"

	"github.com/hashicorp/memberlist"
)

// events hears from memberlist of members that come and go. Memberlist is locked
// meanwhile, and waits.
type events Cluster

// NotifyJoin implements memberlist.EventDelegate.
func (e *events) NotifyJoin(n *memberlist.Node) {
	addr := e.set(n)
	e.log.Info("speaker is alive", "node", n.Name, "address", addr)
}

// NotifyUpdate implements memberlist.EventDelegate.
func (e *events) NotifyUpdate(n *memberlist.Node) { e.set(n) }

func (e *events) set(n *memberlist.Node) netip.Addr {
	addr, _ := netip.AddrFromSlice(n.Addr)
	addr = addr.Unmap()
	e.mu.Lock()
	m := e.members[n.Name]
	if m == nil || m.addr != addr {
		m = &member{addr: addr}
		e.members[n.Name] = m
	}
	m.facts = decodeFacts(n.Meta)
	delete(e.left, n.Name)
	e.size.Store(int32(len(e.members)))
	e.mu.Unlock()
	(*Cluster)(e).signal()
	token(e.wake)
	return addr
}

// NotifyLeave implements memberlist.EventDelegate.
func (e *events) NotifyLeave(n *memberlist.Node) {
	e.mu.Lock()
	m := e.members[n.Name]
	goodbye := m != nil && m.facts != nil && m.facts.Leaving
	delete(e.members, n.Name)
	if goodbye {
		e.left[n.Name] = true
	}
	e.size.Store(int32(len(e.members)))
	e.mu.Unlock()
	(*Cluster)(e).signal()
	token(e.wake)
	token(e.rejoin)
	e.log.Info("speaker left or died", "node", n.Name, "goodbye", goodbye)
}
