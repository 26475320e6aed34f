// Package election decides which node announces an address on layer 2, and says why
// not another one.
//
// It knows nothing of who is alive but what it is told, asks nobody and tells nobody:
// every speaker comes to the same answer from the same Snapshot and the same members.
// It sends no frame (package layer2), and reads no clock.
//
//	Nodes, layer 2 advertisements ──► Ballot of a pool
//	                                     │  Service's labels, endpoints, who is alive
//	                                     ▼
//	                                Candidates ──► rank ──► the first announces
//	                                   each with a weight      weight, then hash
//
// The rule is MetalLB's, so that an upgrade moves no address. Candidates are the nodes
// with a speaker that is alive, whose network is available, that are not excluded from
// load balancing, that an advertisement of the pool selects for this Service, and that
// have an endpoint where the Service's traffic policy is Local. The one with the highest
// sum of preferences announces; of several, the one whose SHA-256 of node, "#" and
// address is lowest.
//
// Two options change it (Policy): who holds an address may keep it while it is a candidate
// that no other outweighs (Claims remember who does), and no node may have much more than
// its share (Spread). Quorum is apart from all that: it says when a node has lost touch
// with so many of the speakers that it must not answer for anything.
//
// Invariants: equal input, equal answer, whatever its order; a node that goes changes
// nothing but the addresses that it announced, unless Spread is asked for; with Spread
// no node has more than its bound while another candidate has room.
//
// FIPS 180-4 (SHA-256). Start reading at Ballot.Candidates, then Elect.
package election
