// Package gossip lets the speakers of a cluster know which of them are alive,
// with hashicorp/memberlist (the SWIM protocol), encrypted.
//
// It elects nobody: BGP needs no election, and layer 2 takes the members that
// it lists as candidates. It asks no API where the others are: the speaker hands
// it the nodes' addresses, so that no right to read pods is needed.
//
//	          Set(own address, others'), Tell(facts), Hold(addresses)
//	                    │
//	Run: secret there? ─┴─► listen TCP+UDP 7946 ─► join those not yet members ─┐
//	      │ no: Status says secretMissing              ▲      every now and then │
//	      └──────── asked again after a pause          └───────────────────────┘
//	      ctx ends: Leave, at most half a second, and close
//
//	memberlist ── a member comes, goes, tells new facts, claims an address ──► Changed
//	BFD ───────── the path to a member fails ────────────────────────────────────┘
//
// A speaker that ends says so in its facts before it leaves: that is how a goodbye
// is told from a death. Tuning says how fast a death is found out, and BFD, where it is
// asked for, finds it out faster. BFD is believed for some seconds against memberlist,
// no longer, so that a filter between two nodes does not make each take the other for dead.
//
// Every packet and stream is sealed with AES-256-GCM under a key that is the
// SHA-256 of the Secret's text. MetalLB cuts the text's first bytes off instead,
// which a text with a constant beginning would make no secret at all; so a
// MetalLB speaker and this one do not hear each other, and while a cluster is
// moved from one to the other each elects among its own. Without a secret there
// is no membership, rather than one that anybody may join.
//
// Invariants: nothing of the speaker waits for the membership; a node whose
// key is another is never a member; the secret is in no log and no Status.
//
// Start reading at Cluster.Run.
package gossip
