// Package bfdudp sends and receives BFD's datagrams on Linux.
//
// It speaks no BFD: package bfd does. Sockets are opened in the network namespace of
// the thread that calls Open, whatever thread uses them later. It needs no privilege but
// for sessions on a device (SO_BINDTODEVICE, before Linux 5.7) and for echoes
// (CAP_NET_RAW).
//
//	ports 3784, 4784 × IPv4, IPv6 ─ recvmmsg ─┐  SO_TIMESTAMPNS, IP_PKTINFO, IP_RECVTTL
//	the same, on the device of a VRF ─────────┤
//	echoes that come back: packet socket ─────┴─▶ Transport.Receive
//
//	Endpoint, one a session ─ connected socket ─▶ 3784, 4784   TTL 255, DSCP CS6, own source port
//	                        └ packet socket ────▶ 3785 of our own address, by the peer's MAC
//
// Sessions have a socket each to send by, as each must have a source port of its own:
// sendmmsg serves one socket only, so packets are sent one by one. What a system call
// costs is small beside what the kernel does for a datagram.
//
// The kernel drops what came to port 3784 with another time to live than 255 (RFC 5881
// §5), so that a flood from beyond the link fills no buffer; one in sixteen gets through,
// so that it is counted. The kernel's pacing (SO_TXTIME) works only under the queueing
// disciplines fq and etf and is not used; see package bfd.
//
// Echoes go to our own address by way of the peer, which no ordinary socket would do, and
// come back from our own address, which the kernel drops as martian after the packet
// socket has seen it.
//
// Invariants: nothing blocks but Wait; memory is fixed when Open returns, but for one
// socket a session and four a VRF; receive times are on the monotonic clock, never later than now, and a
// step of the wall clock makes none earlier than it was.
//
// RFC 5881, RFC 5883. Kernel pages: socket(7), ip(7), ipv6(7), udp(7), packet(7),
// recvmmsg(2). Start reading at Transport.Receive.
package bfdudp
