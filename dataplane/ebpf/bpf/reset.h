// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The answer to segments of connections that nobody knows (RFC 9293, section 3.10.7.1).
#pragma once
#include "forward.h"

INLINE u32 pseudo(const struct packet *p, u32 length)
{
	be32 rest[2] = {(be32)be(length) << 16, (be32)TCP << 24};
	u32 sum = csum_diff(0, 0, rest, sizeof(rest), 0);
	if (p->v6) {
		sum = csum_diff(0, 0, &p->src, 16, sum);
		return csum_diff(0, 0, &p->dst, 16, sum);
	}
	sum = csum_diff(0, 0, &p->src.w[3], 4, sum);
	return csum_diff(0, 0, &p->dst.w[3], 4, sum);
}

APART int reset_header(struct __sk_buff *skb, struct packet *p)
{
	if (!p)
		return -1;
	if (p->v6) {
		struct ipv6 ip = {.version_class = 0x60, .length = be(20), .protocol = TCP, .ttl = 64};
		__builtin_memcpy(ip.src, &p->dst, 16);
		__builtin_memcpy(ip.dst, &p->src, 16);
		return store_bytes(skb, p->l3, &ip, sizeof(ip), 0) ? -1 : 0;
	}
	struct ipv4 ip = {
		.version_length = 0x45, .length = be(40), .fragment = be(0x4000), .ttl = 64, .protocol = TCP,
		.src = p->dst.w[3], .dst = p->src.w[3],
	};
	ip.check = ~fold(csum_diff(0, 0, &ip, sizeof(ip), 0));
	return store_bytes(skb, p->l3, &ip, sizeof(ip), 0) ? -1 : 0;
}

// turn makes the reset without taking the payload off, which a reset may carry (RFC
// 9293, section 3.5.3): all checksums follow from what is changed.
APART int turn(struct __sk_buff *skb, struct packet *p, const struct tcp *t, const struct tcp *r)
{
	if (!p || !t || !r)
		return -1;
	u32 check = p->l4 + 16;
	u8 was[2] = {t->offset, t->flags}, is[2] = {t->offset, r->flags};
	be16 from, to;
	__builtin_memcpy(&from, was, 2);
	__builtin_memcpy(&to, is, 2);
	be16 ports[2] = {r->sport, r->dport};
	if (l4_csum_replace(skb, check, t->seq, r->seq, 4) || l4_csum_replace(skb, check, t->ack, r->ack, 4) ||
	    l4_csum_replace(skb, check, from, to, 2) || store_bytes(skb, p->l4, ports, 4, 0) ||
	    store_bytes(skb, p->l4 + 4, &r->seq, 4, 0) || store_bytes(skb, p->l4 + 8, &r->ack, 4, 0) ||
	    patch16(skb, p->l4 + 12, to) || put_address(skb, p, p->l3, 1, &p->dst) || put_address(skb, p, p->l3, 0, &p->src))
		return -1;
	return 0;
}

// shorten makes the reset of a segment whose payload it takes off.
APART int shorten(struct __sk_buff *skb, struct packet *p, struct tcp *r, u32 left)
{
	if (!p || !r)
		return -1;
	r->offset = 5 << 4;
	u32 sum = pseudo(p, sizeof(*r));
	r->check = left ? fold(sum) : ~fold(csum_diff(0, 0, r, sizeof(*r), sum));
	return store_bytes(skb, p->l4, r, sizeof(*r), 0) || reset_header(skb, p) ? -1 : 0;
}

// reset turns a segment into the reset that answers it, and sends it to the client.
// Nothing answers a reset or an error; segments with options of the network layer
// are not worth an answer.
APART int reset(struct __sk_buff *skb, struct packet *p)
{
	if (!p)
		return SHOT;
	if (p->error || p->protocol != TCP || p->flags & RST || p->fragment || !p->plain)
		return drop(ASTRAY);
	struct tcp t;
	if (unwrap(skb, p) || load_bytes(skb, p->l4, &t, sizeof(t)))
		return drop(FAILED);
	struct tcp r = {.sport = t.dport, .dport = t.sport};
	if (t.flags & ACK) {
		r.seq = t.ack;
		r.flags = RST;
	} else {
		u32 payload = p->length - (p->l4 - p->l3) - 4 * (t.offset >> 4);
		u32 next = __builtin_bswap32(t.seq) + payload + (t.flags & SYN ? 1 : 0) + (t.flags & FIN ? 1 : 0);
		r.ack = __builtin_bswap32(next);
		r.flags = RST | ACK;
	}
	int left = partial(skb, p->l4 + 16);
	if (left < 0)
		return drop(FAILED);
	// What came in a tunnel may be marked so that the kernel refuses to shorten it; its
	// checksum is to be the one that it was then.
	if (change_tail(skb, p->l4 + sizeof(r), 0)
	    ? store_bytes(skb, p->l4 + 16, &t.check, 2, 0) || turn(skb, p, &t, &r)
	    : shorten(skb, p, &r, left))
		return drop(FAILED);
	count(RESET);
	skb->tc_index = PASSED;
	return redirect_neigh(skb->ifindex, 0, 0, 0);
}
