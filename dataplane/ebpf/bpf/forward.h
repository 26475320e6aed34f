// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The way to another node.
#pragma once
#include "toobig.h"

#define SECOND_CHANCE 0x37 // dataplane.SecondChance
#define PASSED 0x7068      // tc_index of what was forwarded: egress has nothing to do

// unwrap takes off the header of a tunnel.
INLINE int unwrap(struct __sk_buff *skb, struct packet *p)
{
	u32 n = p->tunnel;
	if (!n)
		return 0;
	if (adjust_room(skb, n == 40 ? -40 : -20, BPF_ADJ_ROOM_MAC, 0))
		return -1;
	p->l3 -= n;
	p->l4 -= n;
	p->quoted3 -= n;
	p->quoted4 -= n;
	p->tunnel = 0;
	return 0;
}

INLINE int outer_ipv4(struct __sk_buff *skb, struct packet *p, const struct leg *leg, u8 tos)
{
	struct ipv4 o = {
		.version_length = 0x45, .tos = tos, .length = be(p->length + 20), .fragment = be(0x4000),
		.ttl = 64, .protocol = IPV4_IN, .src = leg->self.w[3], .dst = leg->to.w[3],
	};
	o.check = ~fold(csum_diff(0, 0, &o, sizeof(o), 0));
	return store_bytes(skb, ETH, &o, sizeof(o), BPF_F_INVALIDATE_HASH) ? -1 : 0;
}

INLINE int outer_ipv6(struct __sk_buff *skb, struct packet *p, const struct leg *leg, u8 tos)
{
	struct ipv6 o = {
		.version_class = 0x60 | tos >> 4, .class_label = tos << 4, .length = be(p->length),
		.protocol = IPV6_IN, .ttl = 64,
	};
	__builtin_memcpy(o.src, &leg->self, 16);
	__builtin_memcpy(o.dst, &leg->to, 16);
	return store_bytes(skb, ETH, &o, sizeof(o), BPF_F_INVALIDATE_HASH) ? -1 : 0;
}

// wrap puts a packet into a tunnel, or into another one than it is in. The inner
// packet stays as it is; ECN is copied outside (RFC 6040, section 4.1).
INLINE int wrap(struct __sk_buff *skb, struct packet *p, const struct leg *leg, u8 dscp)
{
	u8 tos = dscp << 2 | (p->tos & 3);
	if (!p->tunnel) {
		u64 flags = p->v6 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;
		if (p->protocol == UDP)
			flags |= BPF_F_ADJ_ROOM_FIXED_GSO; // datagrams keep their size
		if (adjust_room(skb, p->v6 ? 40 : 20, BPF_ADJ_ROOM_MAC, flags))
			return -1;
	}
	return p->v6 ? outer_ipv6(skb, p, leg, tos) : outer_ipv4(skb, p, leg, tos);
}

INLINE int send_to(struct __sk_buff *skb, struct packet *p, const struct leg *leg)
{
	struct bpf_redir_neigh next = {};
	if (p->v6) {
		next.nh_family = INET6;
		__builtin_memcpy(next.ipv6_nh, &leg->to, 16);
	} else {
		next.nh_family = INET;
		next.ipv4_nh = leg->to.w[3];
	}
	return redirect_neigh(leg->device, &next, sizeof(next), 0);
}

#define LARGE (-3)

// forward sends a packet on to a node, unchanged but for the mark; or returns LARGE,
// if it doesn't fit the way there.
APART int forward(struct __sk_buff *skb, struct packet *p, u32 id, u32 mark)
{
	if (!p)
		return SHOT;
	struct node *n = map_lookup(&nodes, &id);
	if (!n)
		return drop(LOST);
	struct leg *leg = &n->legs[p->v6 ? 1 : 0];
	skb->tc_index = PASSED;
	if (leg->how == SEGMENT) {
		if (unwrap(skb, p) || (mark && set_class(skb, p, SECOND_CHANCE)) || hop(skb, p))
			return drop(FAILED);
		count(mark ? SECOND : FORWARDED);
		return send_to(skb, p, leg);
	}
	if (leg->how != TUNNEL)
		return drop(LOST);
	if (!fits(skb, p, leg))
		return LARGE;
	if (wrap(skb, p, leg, mark ? SECOND_CHANCE : 0))
		return drop(FAILED);
	count(mark ? SECOND : FORWARDED);
	return redirect_neigh(leg->device, 0, 0, 0);
}
