// Package ndp reads and writes the two messages of Neighbor Discovery that find
// addresses on an Ethernet link, Neighbor Solicitation and Neighbor Advertisement, as
// whole frames.
//
// It keeps no neighbor cache and opens no socket, and leaves routers to others (package
// radv). Which addresses are answered for, when they are announced, and who counts as a
// rival is decided by layer2.Responder, for IPv4 and IPv6 alike; the frames go through
// internal/linux/lan.
//
//	frame ──▶ Parse ──▶ Message ──▶ Asks: who has this address?      ──▶ Answer ──▶ Append ──▶ frame
//	                            └─▶ Claims: this address is at this MAC
//
//	Announce, Probe ──▶ Message ──▶ Append ──▶ frame
//	Groups: address ──▶ the multicast group in which it is asked for
//
//	octet  0        14                        54                          78
//	       ├Ethernet┼ IPv6, hop limit 255 ────┼ ICMPv6 type, flags, target┼ options ┤
//
// Whole frames, because the answer goes to the station that the question came from: a
// question without link-layer address (RFC 4861 §7.2.2 allows that for one to a single
// node, and §4.3 demands it in Duplicate Address Detection) would otherwise need a
// neighbor cache. So the checksum, and the hop limit that proves that a message comes
// from the link itself, are seen to here; the codec is written out, as those that read
// ICMPv6 alone leave both to the kernel.
//
// Answers never override what is known (O=0): where a client sends its packets is
// changed by the announcement of a take-over alone, so that a node which still answers
// while it hands an address over takes nothing back.
//
// Invariants: what Parse accepts keeps RFC 4861 §7.1, and has no extension headers (RFC
// 6980 forbids fragments); what Append writes, Parse accepts; nothing allocates memory
// but Append, if its buffer is too small, and Groups.
//
// RFC 4861 (Neighbor Discovery), RFC 4862 §5.4 (Duplicate Address Detection), RFC 4291
// §2.7.1 (solicited-node groups). Start reading at Message.
package ndp
