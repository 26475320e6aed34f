// Package bgptcp opens BGP's TCP connections on Linux: signed, with the right
// source address and time to live.
//
// It speaks no BGP. Sockets are opened in the network namespace of the calling
// thread.
//
//	bgp.Server ─ Dialer.Dial ─▶ socket: keys, device, IP_TTL, IP_MINTTL, bind, connect
//	           ─ Listen ──────▶ listening socket: keys of every peer's address or prefix
//	                              └─ Accept: IP_TTL, IP_MINTTL of the peer it is from
//	           ─ Conn.SetKeys ▶ other TCP-AO keys, while the session goes on
//
// Keys are TCP MD5 passwords or TCP-AO's; the longest prefix that covers an address
// decides, in the kernel as well as in Accept. An unsigned peer cannot be excepted
// from a signed prefix, nor can two links have different keys for one link-local
// address, as the kernel's keys know no zones: such peers are refused.
//
// Invariants: a connection from a peer that has a password or keys never gets past
// Accept unsigned, even if the kernel did not take the key, nor a signed one from a
// peer that has none; passwords and secrets appear in no error; a change of one
// peer's keys touches no other's.
//
// RFC 2385 (TCP MD5), RFC 5925 and 5926 (TCP-AO), RFC 5082 (GTSM), RFC 5482 (user
// timeout). Kernel pages: tcp(7), ip(7), ipv6(7), Documentation/networking/tcp_ao;
// the options are in linux/tcp.h. Start reading at Dialer.Dial and
// Listener.SetPeers.
package bgptcp
