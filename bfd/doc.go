// Package bfd is a BFD engine: sessions that find within milliseconds that the path
// to a peer has failed.
//
// It opens no sockets (bfd/bfdudp does), routes nothing, and knows neither
// BGP nor Kubernetes: it tells a Handler, and the Handler knows what hangs on a path.
//
//	Set ──▶ Server ─ one goroutine ──┬─ sessions, by discriminator and by addresses
//	Status ◀──┘                      │      └─▶ Machine  pure: RFC 5880 §6, Step and Deadline
//	Handler ◀── Change, at once ─────┤             │ Send, SendEcho
//	                                 ▼             ▼
//	       Wait ─▶ Receive all ─▶ events     heap of deadlines
//	                    ▲                          │
//	                 Transport: datagrams with the kernel's receive times, one Endpoint a session
//
// The states of a session (RFC 5880 §6.2); the words are what the peer's packets say:
//
//	          ┌──────────────── Down, or nothing for the detection time ─────────────┐
//	          ▼                                                                      │
//	 ┌────▶ Down ──── Down ────▶ Init ───────── Init, Up ───────────────────────▶ Up │
//	 │        │ └──── Init ───────│──────────────────────────────────────────────▶│ ─┘
//	 │        ◀── AdminDown, ─────┘
//	 │            or nothing
//	AdminDown ◀─ Disabled, in every state
//
// # Time
//
// Silence is judged by when the kernel received packets, not by when this process
// looked at them: a detection time counts as expired only when everything that the
// sockets held up to that moment has been looked at. If the process did not run for an
// interval of the peer's or more, the peer gets two intervals from when it went on, once:
// sockets hold only so much, and a peer that lives has sent by then. So neither a paused
// process nor a flood makes a session fail.
//
// The goroutine that runs the sessions has a thread of its own, which the transport may
// have the kernel prefer to others; what other goroutines ask for is done on it, so that
// none of them holds a lock that the sessions need while it waits for a processor.
//
// Packets are sent by this process, jittered as RFC 5880 §6.8.7 asks, on a grid of a
// millisecond that all sessions share. The kernel could pace them (SO_TXTIME) only under
// the queueing disciplines fq and etf, which many kernels and most virtual devices lack,
// and not renew them while the process is stopped: what was handed over would say that
// a process lives that does not. So a process that is stopped for longer than the peer's
// detection time is, rightly, taken for dead by the peer.
//
// # Where the engine goes beyond, or against, the letter of RFC 5880
//
//   - Authentication by simple password or MD5 is recognised and refused.
//   - What the peer said of its intervals is forgotten with its discriminator when the
//     detection time passes, so that a peer that wanted no packets and died is found again.
//   - Several Polls that arrived together get one Final.
//   - Demand mode is the peer's to ask for; this end never does.
//
// Invariants: NewServer and Set start nothing; Run owns its goroutine. A Machine sends
// only in Step of Tick. Nothing that a stranger sends changes a session or takes memory;
// a packet from the session's own address changes nothing unless its time to live, and
// its digest if there is a key, are right. Set never takes a session down whose addresses
// stay. The Handler hears of changes in their order and before anything else is done.
//
// RFC 5880 (BFD), RFC 5881 (one hop), RFC 5882 (use by clients), RFC 5883 (several hops).
//
// Start reading at Machine.Step, then Server.Run.
package bfd
