// Package bgptcp opens BGP's TCP connections on Linux: signed, with the right
// source address and time to live.
//
// It speaks no BGP. Sockets are opened in the network namespace of the calling
// thread.
//
//	bgp.Server ─ Dialer.Dial ─▶ socket: TCP_MD5SIG, IP_TTL, IP_MINTTL, bind, connect
//	           ─ Listen ──────▶ listening socket: one TCP_MD5SIG key per peer
//	                              └─ Accept: IP_TTL, IP_MINTTL of the peer it is from
//
// Invariants: a connection from a peer that has a password never gets past the
// kernel unsigned, nor a signed one from a peer that has none; passwords appear in
// no error.
//
// RFC 2385 (TCP MD5), RFC 5082 (GTSM), RFC 5482 (user timeout). Kernel pages:
// tcp(7), ip(7), ipv6(7); TCP_MD5SIG is in linux/tcp.h. Start reading at
// Dialer.Dial.
package bgptcp
