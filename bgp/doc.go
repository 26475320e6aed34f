// Package bgp is a BGP speaker engine: sessions with a set of peers, the routes
// each of them shall have, and word of the routes they send.
//
// It chooses no paths and keeps no table of received routes (package rib does),
// opens no sockets itself (bgp/bgptcp does) and knows nothing of
// Kubernetes. The codec is package wire.
//
//	SetPeers, Apply ─▶ Server ──┬──▶ peer ──▶ Machine   pure: RFC 4271 §8, Step and Deadline
//	                            │     │  ▲ events │ effects
//	Status          ◀───────────┤     ▼  └────────┘
//	                            │    conn ──▶ reader ─▶ wire.Decode ─▶ Handler
//	Listener ─ by address ──────┘          └▶ writer ◀─ adjOut (desired ≠ sent ─▶ UPDATEs)
//
// The machine's states, for one connection; a session has one or two connections
// while it comes up (collision.go):
//
//	        ┌────────────── pause after a failure ◀──────────────┐
//	        ▼                                                    │
//	Start ▶ Idle ─▶ Connect ─ TCP ─▶ OpenSent ─ OPEN ─▶ OpenConfirm ─ KEEPALIVE ─▶ Established
//	          └───▶ Active ─ TCP from the peer ─▲
//
// # Where the engine goes beyond, or against, the letter of RFC 4271
//
//   - Pauses grow: 100 ms, doubled up to Config.ConnectRetry while the peer does
//     not answer at all; 100 ms, doubled up to 30 s after sessions that were refused
//     or lost early. So a peer that comes back is found within about a second, and
//     one that refuses us after OPEN is not hammered. All are jittered (§10).
//
//   - In the pause (Idle with IdleHoldTimer) the peer's own connections are taken,
//     except for a quarter of a second after an OPEN exchange that failed, or after
//     the second session in a row that was lost early.
//
//   - A connection waits 30 s for OPEN, not four minutes.
//
//   - When a peer with an Established session connects again, the new connection is
//     kept aside for a second while the old one is probed: a peer that lost its
//     power is back at once, without waiting for the hold timer. See
//     Machine.challenge.
//
//   - A newer incoming connection replaces an older one that is not Established.
//
//   - A hold timer found expired more than a second late is extended once, by a
//     second: it was we who did not run.
//
//   - There is no DelayOpenTimer. KEEPALIVEs are sent even if an UPDATE was sent a
//     moment ago.
//
//   - Established sessions whose peer offered graceful restart give way to its next
//     connection as soon as an OPEN has come on it, not already at the handshake, and
//     not in their first five seconds: that may be a collision.
//
//   - The Server's end says nothing on sessions whose peer is to keep our routes.
//
// # What a peer's restart leaves
//
//	session ends ─ Down.Retain? ─ no ─▶ routes gone
//	                 │ RFC 4724 §4.2, 8538 §4: TCP lost; with the N bit also hold
//	                 │ timer and NOTIFICATION, unless Hard Reset; never PathDown
//	                 ▼
//	  stale, for Restart ─ not back ─▶ long-lived stale, for LongLived (RFC 9494) ─▶ gone
//	                 │ back: Preserved has the family, or its routes are gone
//	                 ▼
//	  announced again, or gone with End-of-RIB; gone at once if the path is found dead meanwhile
//
// The engine says which routes and for how long; who keeps the table acts on it.
//
// Invariants: constructors start nothing; Run owns every goroutine and waits for
// them; one goroutine per peer owns its machine. A peer that reads slowly, sends
// slowly, floods or lies costs bounded memory and disturbs no other peer. Only
// prefixes given to Apply are ever sent, and only in negotiated families. At most
// one session per peer is Established. Handler calls of a peer are in order:
// Established, then routes, then Closed.
//
// RFC 4271, 4486 (CEASE), 6608 (FSM errors), 7606 (UPDATE errors), 6286
// (identifier), 4724, 8538, 9494 (graceful restart), 2918 and 7313 (route refresh),
// 9687 (send hold timer), 7911 (several paths), 8326 (graceful shutdown), 9003
// (shutdown texts), 8950 (IPv4 over IPv6), 9234 (roles), 5882 (BFD), 8654, 6793,
// 4760, 5492 through package wire; 2385, 5082 and 5925 through the transport.
//
// Start reading at Machine.Step, then peer.run.
package bgp
