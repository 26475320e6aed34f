package gossip

import (
	"encoding/binary"
	"net/netip"

	"github.com/hashicorp/memberlist"

	"github.com/pharoslb/pharos/election"
)

// Who holds which address travels in two ways: each claim is told to some members, who
// tell others; and when two members exchange all that they know, as when one joins,
// claims are a part of it. Both carry claims one after the other:
//
//	length of the address (4 or 16), the address, epoch (8 octets), length of the node's
//	name, its name
const (
	claimsVersion = 1
	maxNodeName   = 253
)

func appendClaim(out []byte, c election.Claim) []byte {
	out = append(out, byte(c.Addr.BitLen()/8))
	out = append(out, c.Addr.AsSlice()...)
	out = binary.BigEndian.AppendUint64(out, c.Epoch)
	out = append(out, byte(min(len(c.Node), maxNodeName)))
	return append(out, c.Node[:min(len(c.Node), maxNodeName)]...)
}

// decodeClaims calls each with the claims, up to the first that is broken. It reads no
// more of them than a table holds.
func decodeClaims(b []byte, each func(election.Claim)) {
	if len(b) == 0 || b[0] != claimsVersion {
		return
	}
	b = b[1:]
	for range election.MaxClaims {
		if len(b) == 0 {
			return
		}
		n := int(b[0])
		if n != 4 && n != 16 || len(b) < 1+n+8+1 {
			return
		}
		addr, _ := netip.AddrFromSlice(b[1 : 1+n])
		epoch := binary.BigEndian.Uint64(b[1+n:])
		b = b[1+n+8:]
		length := int(b[0])
		if length > maxNodeName || len(b) < 1+length {
			return
		}
		each(election.Claim{Addr: addr, Epoch: epoch, Node: string(b[1 : 1+length])})
		b = b[1+length:]
	}
}

// Hold implements speaker.Membership.
func (c *Cluster) Hold(addrs []netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range addrs {
		if claim, ok := c.claims.Take(a, c.opt.Name); ok {
			c.queue.QueueBroadcast(broadcast(claim))
		}
	}
}

// Holder implements speaker.Membership.
func (c *Cluster) Holder(addr netip.Addr) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.claims.Holder(addr)
}

// Heard implements speaker.Membership.
func (c *Cluster) Heard() []netip.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]netip.Addr, 0, len(c.heard))
	for a := range c.heard {
		list = append(list, a)
	}
	clear(c.heard)
	return list
}

// merge takes in what another member claims, and passes news on.
func (c *Cluster) merge(b []byte, pass bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	news := false
	decodeClaims(b, func(claim election.Claim) {
		if !c.claims.Merge(claim) {
			return
		}
		news = true
		c.heard[claim.Addr] = true
		if pass {
			c.queue.QueueBroadcast(broadcast(claim))
		}
	})
	if news {
		c.signal()
	}
}

// broadcast is a claim on its way. A later one to the same address takes its place.
type broadcast election.Claim

// Invalidates implements memberlist.Broadcast.
func (b broadcast) Invalidates(other memberlist.Broadcast) bool {
	o, ok := other.(broadcast)
	return ok && o.Addr == b.Addr
}

// Name implements memberlist.NamedBroadcast.
func (b broadcast) Name() string { return b.Addr.String() }

// Message implements memberlist.Broadcast.
func (b broadcast) Message() []byte {
	return appendClaim(append(make([]byte, 0, 64), claimsVersion), election.Claim(b))
}

// Finished implements memberlist.Broadcast.
func (b broadcast) Finished() {}

// delegate is what memberlist asks a Cluster for.
type delegate Cluster

// NodeMeta implements memberlist.Delegate.
func (d *delegate) NodeMeta(limit int) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return encodeFacts(&d.facts, limit)
}

// NotifyMsg implements memberlist.Delegate.
func (d *delegate) NotifyMsg(b []byte) { (*Cluster)(d).merge(b, true) }

// GetBroadcasts implements memberlist.Delegate.
func (d *delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.queue.GetBroadcasts(overhead, limit)
}

// LocalState implements memberlist.Delegate.
func (d *delegate) LocalState(bool) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := []byte{claimsVersion}
	for _, claim := range d.claims.All() {
		out = appendClaim(out, claim)
	}
	return out
}

// MergeRemoteState implements memberlist.Delegate.
func (d *delegate) MergeRemoteState(b []byte, _ bool) { (*Cluster)(d).merge(b, false) }
