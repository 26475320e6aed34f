// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The answer to packets that don't fit a tunnel (RFC 1191; RFC 4443, section 3.2).
#pragma once
#include "checksum.h"

#define QUOTED 128 // octets of the packet that an error quotes: what connections are told by, and more

struct icmp {
	u8 type, code;
	be16 check;
	be32 mtu; // the lower half of it, for IPv4
};

// fits reports whether a packet is no larger than its way, with a tunnel's header around. What
// the kernel has joined it cuts to fit.
INLINE int fits(struct __sk_buff *skb, const struct packet *p, const struct leg *leg)
{
	return skb->gso_segs > 1 || p->length + (p->v6 ? 40u : 20u) <= leg->mtu;
}

// quoted sums up what an error will quote. A checksum that is left to the device will be
// filled in there too; then all that it covers will sum up to what is in its place now, inverted.
APART int quoted(struct __sk_buff *skb, struct packet *p)
{
	u8 b[QUOTED / 2];
	if (!p || load_bytes(skb, p->l3, b, sizeof(b)))
		return -1;
	int left = 0;
	if (!p->fragment && (p->protocol == TCP || p->protocol == UDP)) {
		u32 check = p->l4 + (p->protocol == TCP ? 16 : 6);
		be16 seed;
		if (load_bytes(skb, check, &seed, 2))
			return -1;
		left = partial(skb, check);
		if (left < 0 || store_bytes(skb, check, &seed, 2, 0))
			return -1;
		if (left)
			return fold((u16)~seed + (u32)csum_diff(0, 0, b, p->v6 ? 40 : 20, 0));
	}
	u32 sum = csum_diff(0, 0, b, sizeof(b), 0);
	if (load_bytes(skb, p->l3 + sizeof(b), b, sizeof(b)))
		return -1;
	return fold(csum_diff(0, 0, b, sizeof(b), sum));
}

// too_big turns a packet into the error that tells its sender what fits.
APART int too_big(struct __sk_buff *skb, struct packet *p, u32 id)
{
	struct node *n = map_lookup(&nodes, &id);
	if (!p || !n || p->tunnel || p->error || (!p->plain && !p->fragment))
		return drop(LOST);
	struct leg *leg = &n->legs[p->v6 ? 1 : 0];
	int sum = quoted(skb, p);
	u32 room = p->v6 ? 48 : 28, mtu = leg->mtu - (p->v6 ? 40 : 20);
	if (sum < 0 || change_tail(skb, p->l3 + QUOTED, 0) || adjust_room(skb, room == 48 ? 48 : 28, BPF_ADJ_ROOM_MAC, 0))
		return drop(FAILED);
	struct icmp e = {.type = p->v6 ? 2 : 3, .code = p->v6 ? 0 : 4, .mtu = __builtin_bswap32(mtu)};
	if (p->v6) {
		struct ipv6 ip = {.version_class = 0x60, .length = be(8 + QUOTED), .protocol = ICMPV6, .ttl = 64};
		__builtin_memcpy(ip.src, &leg->self, 16);
		__builtin_memcpy(ip.dst, &p->src, 16);
		be32 rest[2] = {(be32)be(8 + QUOTED) << 16, (be32)ICMPV6 << 24};
		u32 all = csum_diff(0, 0, rest, sizeof(rest), sum);
		all = csum_diff(0, 0, ip.src, 32, all); // and dst, which follows
		e.check = ~fold(csum_diff(0, 0, &e, sizeof(e), all));
		if (store_bytes(skb, ETH, &ip, sizeof(ip), BPF_F_INVALIDATE_HASH))
			return drop(FAILED);
	} else {
		struct ipv4 ip = {
			.version_length = 0x45, .tos = 0xc0, .length = be(28 + QUOTED), .ttl = 64, .protocol = ICMP,
			.src = leg->self.w[3], .dst = p->src.w[3],
		};
		ip.check = ~fold(csum_diff(0, 0, &ip, sizeof(ip), 0));
		e.check = ~fold(csum_diff(0, 0, &e, sizeof(e), sum));
		if (store_bytes(skb, ETH, &ip, sizeof(ip), BPF_F_INVALIDATE_HASH))
			return drop(FAILED);
	}
	if (store_bytes(skb, ETH + (p->v6 ? 40 : 20), &e, sizeof(e), 0))
		return drop(FAILED);
	count(TOO_BIG);
	return redirect_neigh(skb->ifindex, 0, 0, 0);
}
