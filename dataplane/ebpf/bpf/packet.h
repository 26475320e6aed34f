// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What a packet says of itself.
#pragma once
#include "maps.h"

// A header of the network layer and what stands behind its extensions.
struct header {
	union addr src, dst;
	u32 id;       // of the datagram that it is a fragment of
	u16 l3, l4;   // offsets
	u16 length;   // from l3 to the end, as the header has it
	u8 protocol;
	u8 tos, ttl;
	u8 fragment;  // any at all
	u8 later;     // not the first
	u8 plain;     // neither options nor extensions
	u8 whole;     // may not be fragmented
};

// A packet, seen as one of a connection. An ICMP error is seen as one that goes
// where it goes: the packet that it quotes, turned round.
struct packet {
	union addr src, dst;
	be16 sport, dport;
	u16 l3, l4;
	u16 quoted3, quoted4; // of an error
	u16 length;
	u16 tunnel; // octets of the header around it
	u32 sequence, acknowledged;
	u32 id; // of a fragment's datagram
	u8 protocol;
	u8 v6;
	u8 flags; // of TCP
	u8 error;
	u8 later, fragment;
	u8 tos, ttl;
	u8 outer;  // of an error: 1: it is to dst, 2: it is from src, as the connection's packets
	u8 plain;  // neither options nor extensions
	u8 marked; // SecondChance
	u8 sibling; // a node of the cluster has sent it on
	u8 whole;
};

INLINE int read_ipv4(void *skb, u32 l3, struct header *h)
{
	struct ipv4 ip;
	if (load_bytes(skb, l3, &ip, sizeof(ip)) || ip.version_length >> 4 != 4 || ip.version_length < 0x45)
		return -1;
	mapped(&h->src, ip.src);
	mapped(&h->dst, ip.dst);
	h->l3 = l3;
	h->l4 = l3 + 4 * (ip.version_length & 15);
	h->length = be(ip.length);
	h->protocol = ip.protocol;
	h->tos = ip.tos;
	h->ttl = ip.ttl;
	h->id = ip.id;
	h->fragment = (ip.fragment & be(0x3fff)) != 0;
	h->later = (ip.fragment & be(0x1fff)) != 0;
	h->plain = ip.version_length == 0x45;
	h->whole = (ip.fragment & be(0x4000)) != 0;
	return 0;
}

INLINE int read_ipv6(void *skb, u32 l3, struct header *h)
{
	struct ipv6 ip;
	if (load_bytes(skb, l3, &ip, sizeof(ip)) || ip.version_class >> 4 != 6)
		return -1;
	__builtin_memcpy(&h->src, ip.src, 16);
	__builtin_memcpy(&h->dst, ip.dst, 16);
	h->l3 = l3;
	h->length = be(ip.length) + sizeof(ip);
	h->tos = ip.version_class << 4 | ip.class_label >> 4;
	h->ttl = ip.ttl;
	h->id = 0;
	h->fragment = h->later = 0;
	h->plain = h->whole = 1;
	u32 at = l3 + sizeof(ip);
	u8 next = ip.protocol;
	for (int i = 0; i < 6; i++) { // RFC 8200, section 4
		u8 x[8];
		if (next != 0 && next != 43 && next != 60 && next != 44)
			break;
		if (load_bytes(skb, at, x, sizeof(x)))
			return -1;
		if (next == 43 && x[3]) // it goes on from here, and its checksum is for where it ends
			return -1;
		h->plain = 0;
		if (next == 44) {
			u32 offset = x[2] << 8 | x[3];
			h->fragment = 1;
			h->later = offset >> 3 != 0;
			__builtin_memcpy(&h->id, x + 4, 4);
			at += 8;
			next = x[0];
			if (h->later)
				break;
			continue;
		}
		at += 8 * (x[1] + 1);
		next = x[0];
	}
	h->protocol = next;
	h->l4 = at;
	return 0;
}

INLINE int read_header(void *skb, u32 l3, u8 v6, struct header *h)
{
	return v6 ? read_ipv6(skb, l3, h) : read_ipv4(skb, l3, h);
}

INLINE void fragment_of(const struct packet *p, struct fragment *f)
{
	f->src = p->src;
	f->dst = p->dst;
	f->id = p->id;
	f->protocol = p->protocol;
}

// recall finds the ports of a fragment after the first.
INLINE int recall(struct packet *p)
{
	struct fragment f;
	fragment_of(p, &f);
	struct ports *ports = map_lookup(&fragments, &f);
	if (!ports)
		return -1;
	p->sport = ports->sport;
	p->dport = ports->dport;
	return 0;
}

// remember notes the ports of a first fragment.
INLINE void remember(struct packet *p)
{
	if (!p->fragment || p->later)
		return;
	struct fragment f;
	struct ports ports = {p->sport, p->dport};
	fragment_of(p, &f);
	map_update(&fragments, &f, &ports, BPF_ANY);
}

// read_packet reads the packet whose network header is at l3, and returns -1 if it
// is none for the programs.
APART int read_packet(struct __sk_buff *skb, struct packet *p, u32 l3)
{
	if (!p)
		return -1;
	struct header h = {};
	if (read_header(skb, l3, p->v6, &h))
		return -1;
	p->src = h.src;
	p->dst = h.dst;
	p->l3 = h.l3;
	p->l4 = h.l4;
	p->length = h.length;
	p->protocol = h.protocol;
	p->tos = h.tos;
	p->ttl = h.ttl;
	p->whole = h.whole;
	p->fragment = h.fragment;
	p->later = h.later;
	p->id = h.id;
	p->plain = h.plain;
	p->error = 0;
	p->outer = 0;
	p->flags = 0;
	if (h.protocol == TCP || h.protocol == UDP) {
		struct tcp t = {};
		if (h.later)
			return recall(p);
		if (h.protocol == UDP ? load_bytes(skb, h.l4, &t, 8) : load_bytes(skb, h.l4, &t, sizeof(t)))
			return -1;
		p->sport = t.sport;
		p->dport = t.dport;
		if (h.protocol == TCP) {
			p->flags = t.flags;
			p->sequence = t.seq;
			p->acknowledged = t.ack;
		}
		return 0;
	}
	if (h.protocol != (p->v6 ? ICMPV6 : ICMP) || h.later)
		return -1;
	u8 type;
	if (load_bytes(skb, h.l4, &type, 1))
		return -1;
	if (p->v6 ? type == 0 || type > 4 : type != 3 && type != 11 && type != 12) // RFC 4443, 2.1; RFC 792
		return -1;
	struct header q = {};
	if (read_header(skb, h.l4 + 8, p->v6, &q) || q.later || (q.protocol != TCP && q.protocol != UDP))
		return -1;
	struct ports ports;
	if (load_bytes(skb, q.l4, &ports, sizeof(ports)))
		return -1;
	p->error = 1;
	p->fragment = 0;
	p->protocol = q.protocol;
	p->src = q.dst;
	p->dst = q.src;
	p->sport = ports.dport;
	p->dport = ports.sport;
	p->quoted3 = q.l3;
	p->quoted4 = q.l4;
	if (equal(&h.dst, &q.src))
		p->outer |= 1;
	if (equal(&h.src, &q.dst))
		p->outer |= 2;
	return 0;
}
