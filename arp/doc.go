// Package arp reads and writes the Address Resolution Protocol for IPv4 on Ethernet:
// questions, answers, announcements and probes, as whole frames.
//
// It keeps no table and opens no socket. Which addresses are answered for, when they are
// announced, and who counts as a rival is decided by layer2.Responder, for IPv4 and IPv6
// alike; the frames go through internal/linux/lan.
//
//	frame ──▶ Parse ──▶ Packet ──▶ Asks: who has this address?      ──▶ Answer ──▶ Append ──▶ frame
//	                           └─▶ Claims: this address is at this MAC
//
//	Announce, Probe ──▶ Packet ──▶ Append ──▶ frame
//
//	octet  0      6      12   14   16   18 19 20   22      28      32      38      42
//	       ├ dst ─┼ src ─┼0806┼0001┼0800┼ 6┼ 4┼ op ┼ sender┼ sender┼ target┼ target┤ padding
//	                                                  MAC     IP      MAC     IP
//
// Invariants: what Parse accepts is ARP for IPv4 on Ethernet, from one station to
// whomever, and Append writes the same again, without padding; nothing allocates memory
// but Append, if its buffer is too small.
//
// RFC 826 (ARP), RFC 5227 (announcements, probes, conflicts). Start reading at Packet.
package arp
