// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Translation: addresses and ports in packets, and in packets that errors quote.
#pragma once
#include "packet.h"

// Set by user space where the kernel has BPF_F_IPV6 for l4_csum_replace: without it,
// a checksum that the device has computed (CHECKSUM_COMPLETE) goes stale.
const volatile u64 ipv6_flag = 0;

// patch16 replaces two octets of an IPv4 header or of a packet.
INLINE long patch16(void *skb, u32 at, be16 to) { return store_bytes(skb, at, &to, 2, 0); }

// side is what a translation changes: one address with its port, and the port of
// the other side.
struct side {
	union addr addr;
	be16 port, other;
	u8 source; // it is the source that is replaced, not the destination
};

INLINE long put_address(void *skb, const struct packet *p, u32 l3, int source, const union addr *to)
{
	if (p->v6)
		return store_bytes(skb, l3 + (source ? 8 : 24), to, 16, 0);
	return store_bytes(skb, l3 + (source ? 12 : 16), &to->w[3], 4, 0);
}

INLINE u32 difference(const struct packet *p, const union addr *from, const union addr *to)
{
	if (p->v6)
		return csum_diff(from, 16, to, 16, 0);
	return csum_diff(&from->w[3], 4, &to->w[3], 4, 0);
}

// translate_error changes the packet that an error quotes, and the error's own
// address where it is the same. What the quoted packet's checksums are nobody
// looks at, but for the one of its IPv4 header.
APART int translate_error(struct __sk_buff *skb, struct packet *p, const struct side *s)
{
	if (!p || !s)
		return -1;
	u32 check = p->l4 + 2;
	const union addr *was = s->source ? &p->src : &p->dst;
	u32 diff = difference(p, was, &s->addr);
	if (p->outer & (s->source ? 2 : 1)) {
		if (p->v6) {
			if (l4_csum_replace(skb, check, 0, diff, BPF_F_PSEUDO_HDR | ipv6_flag))
				return -1;
		} else if (l3_csum_replace(skb, p->l3 + 10, 0, diff, 0)) {
			return -1;
		}
		if (put_address(skb, p, p->l3, s->source, &s->addr))
			return -1;
	}
	// Inside all is turned round. An IPv4 header's checksum makes up for its address.
	if (p->v6) {
		if (l4_csum_replace(skb, check, 0, diff, 0))
			return -1;
	} else if (l3_csum_replace(skb, p->quoted3 + 10, 0, diff, 0)) {
		return -1;
	}
	if (put_address(skb, p, p->quoted3, !s->source, &s->addr))
		return -1;
	u32 own = p->quoted4 + (s->source ? 2 : 0), other = p->quoted4 + (s->source ? 0 : 2);
	be16 port = s->source ? p->sport : p->dport, second = s->source ? p->dport : p->sport;
	if (l4_csum_replace(skb, check, port, s->port, 2) || l4_csum_replace(skb, check, second, s->other, 2))
		return -1;
	return patch16(skb, own, s->port) || patch16(skb, other, s->other) ? -1 : 0;
}

// translate gives a packet another address and port on one side, and another port
// on the other.
APART int translate(struct __sk_buff *skb, struct packet *p, const struct side *s)
{
	if (!p || !s)
		return -1;
	if (p->error)
		return translate_error(skb, p, s);
	u32 diff = difference(p, s->source ? &p->src : &p->dst, &s->addr);
	if (!p->later) {
		u32 check = p->l4 + (p->protocol == TCP ? 16 : 6);
		u64 flags = p->protocol == UDP && !p->v6 ? BPF_F_MARK_MANGLED_0 : 0;
		be16 port = s->source ? p->sport : p->dport, second = s->source ? p->dport : p->sport;
		if (l4_csum_replace(skb, check, 0, diff, BPF_F_PSEUDO_HDR | flags | (p->v6 ? ipv6_flag : 0)))
			return -1;
		if (port != s->port)
			l4_csum_replace(skb, check, port, s->port, flags | 2);
		if (second != s->other)
			l4_csum_replace(skb, check, second, s->other, flags | 2);
		be16 both[2] = {s->source ? s->port : s->other, s->source ? s->other : s->port};
		if (store_bytes(skb, p->l4, both, 4, 0))
			return -1;
	}
	if (!p->v6 && l3_csum_replace(skb, p->l3 + 10, 0, diff, 0))
		return -1;
	return put_address(skb, p, p->l3, s->source, &s->addr) ? -1 : 0;
}

// set_class writes the DSCP and leaves ECN (RFC 3168).
INLINE int set_class(struct __sk_buff *skb, struct packet *p, u8 dscp)
{
	u8 tos = dscp << 2 | (p->tos & 3), head[2];
	be16 was, is;
	if (load_bytes(skb, p->l3, head, 2))
		return -1;
	__builtin_memcpy(&was, head, 2);
	if (p->v6) {
		head[0] = 0x60 | tos >> 4;
		head[1] = tos << 4 | (head[1] & 15);
	} else {
		head[1] = tos;
	}
	__builtin_memcpy(&is, head, 2);
	p->tos = tos;
	if (!p->v6 && l3_csum_replace(skb, p->l3 + 10, was, is, 2))
		return -1;
	return store_bytes(skb, p->l3, head, 2, 0) ? -1 : 0;
}

// hop counts a packet down by one router.
INLINE int hop(struct __sk_buff *skb, struct packet *p)
{
	if (p->ttl <= 1)
		return -1;
	u8 ttl = p->ttl - 1;
	if (p->v6)
		return store_bytes(skb, p->l3 + 7, &ttl, 1, 0) ? -1 : 0;
	u8 pair[2];
	be16 was, is;
	if (load_bytes(skb, p->l3 + 8, pair, 2))
		return -1;
	__builtin_memcpy(&was, pair, 2);
	pair[0] = ttl;
	__builtin_memcpy(&is, pair, 2);
	if (l3_csum_replace(skb, p->l3 + 10, was, is, 2))
		return -1;
	return store_bytes(skb, p->l3 + 8, &ttl, 1, 0) ? -1 : 0;
}
