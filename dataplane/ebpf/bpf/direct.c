//go:build ignore

// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Mode direct in two programs for every uplink: ingress has a client's packet go to
// the node that owns the connection and, there, to its pod; egress gives the pod's
// answers the frontend's address. What they decide is dataplane.Model's table.
#include "flow.h"
#include "hash.h"
#include "reset.h"

char _license[] SEC("license") = "GPL"; // of the two offered: helpers want it

// What becomes of a packet.
#define PASS 1    // it is the stack's
#define DROP 2
#define DELIVER 3 // to the pod of decision.flow
#define BEGIN 4   // the same, and it is the first of a connection
#define FORWARD 5 // to decision.node
#define ANSWER 6  // with a reset

struct decision {
	struct flow flow;
	u32 node;
	u32 mark;
};

// owner_of copies an owner of a frontend's table; nobody's node is NOBODY.
INLINE void owner_of(struct frontend *f, u32 index, struct owner *o)
{
	o->node = NOBODY;
	asm volatile("" : "+r"(index)); // the verifier has to see this very value compared
	if (index < INLINED) {
		*o = f->owners[index];
	} else if (index != NOBODY) {
		struct further k = {f->version, index};
		struct owner *more = map_lookup(&owners, &k);
		if (more)
			*o = *more;
	}
}

// choice is what the table says of a packet.
struct choice {
	struct owner current, previous;
	u32 meter;
};

INLINE int choose(struct packet *p, const struct target *t, struct frontend *f, struct choice *c)
{
	for (int i = 0; i < 3; i++) {
		u32 version = f->version;
		if (f->flags & GUARDED) {
			struct source s = {.prefix = 32 + 128, .guard = f->guard, .addr = p->src};
			if (!map_lookup(&sources, &s)) {
				count(REFUSED);
				return DROP;
			}
		}
		u32 slot = f->slots[slot_of(p, f->flags & BY_ADDRESS) & (SLOTS - 1)];
		owner_of(f, slot & 0xffff, &c->current);
		owner_of(f, slot >> 16, &c->previous);
		c->meter = f->meter;
		barrier();
		// The kernel may give the memory of an element that is replaced to any other, even while
		// it is being read. What it had is right if that still is the target's.
		f = map_lookup(&frontends, t);
		if (!f)
			return PASS;
		if (f->version == version)
			return 0;
	}
	count(FAILED);
	return DROP;
}

INLINE int opens(const struct packet *p)
{
	return !p->error && !p->later && (p->protocol == UDP || (p->flags & (SYN | ACK | RST)) == SYN);
}

INLINE int begins(struct decision *d, const struct packet *p, const struct owner *o, u32 meter)
{
	d->flow.to = o->addr;
	d->flow.port = o->port;
	d->flow.client = p->sport;
	d->flow.meter = meter;
	return BEGIN;
}

INLINE int forwards(struct decision *d, u32 node, u32 mark)
{
	d->node = node;
	d->mark = mark;
	return FORWARD;
}

// decide says what becomes of a packet of a connection that this node does not know.
// f is the frontend as it was found.
APART int decide(struct packet *p, const struct target *t, struct frontend *f, struct decision *d)
{
	if (!p || !t || !f || !d)
		return DROP;
	struct choice c = {};
	int done = choose(p, t, f, &c);
	if (done)
		return done;
	u16 current = c.current.node, previous = c.previous.node;
	int first = opens(p);
	if (current == NOBODY) // the stack's rules refuse what isn't TCP
		return p->error ? DROP : p->protocol == TCP ? ANSWER : PASS;
	if (current == HERE) {
		if (first)
			return begins(d, p, &c.current, c.meter);
		if (previous != NOBODY && previous != HERE && !p->marked)
			return forwards(d, previous, 1);
		return ANSWER;
	}
	if (!p->sibling)
		return forwards(d, current, 0);
	// The sender's table is another one.
	if (first && previous == HERE && (p->marked || !c.previous.draining))
		return begins(d, p, &c.previous, c.meter);
	if (!p->marked)
		return forwards(d, current, 1);
	if (first) {
		count(ASTRAY);
		return DROP;
	}
	return ANSWER;
}

// knows reports whether a packet is of a connection that this node's pods have.
APART int knows(struct packet *p, struct decision *d)
{
	if (!p || !d)
		return 0;
	struct flow_key k;
	int young, first = opens(p);
	forth(p, &k);
	struct flow *f = find(&k, &young);
	if (!f)
		return 0;
	if ((first || p->protocol == UDP) && (f->state & CLOSED || !serves(p, f))) {
		if (p->protocol == TCP)
			forget(&k);
		return 0; // it ended, and another one begins, maybe elsewhere
	}
	if (f->state & CLOSED && !p->error && !p->later && !follows(p, f))
		return 0;
	d->flow = *f;
	if (p->flags & (FIN | RST) && !(f->state & CLIENT_CLOSED)) {
		f->sequence = __builtin_bswap32(p->sequence);
		f->state |= CLIENT_CLOSED;
	}
	int over = (f->state & CLOSED) == CLOSED;
	if (over && !young)
		retire(p, &d->flow);
	if (!over && young && !p->error && !p->later && (!first || p->protocol == UDP))
		establish(p, f);
	return 1;
}

// steer takes a packet to a frontend where it belongs.
INLINE int steer(struct __sk_buff *skb, struct packet *p, const struct target *t, struct frontend *f)
{
	struct decision d = {};
	remember(p);
	switch (knows(p, &d) ? DELIVER : decide(p, t, f, &d)) {
	case DELIVER:
		return deliver(skb, p, &d.flow, 0);
	case BEGIN:
		begin(p, &d.flow);
		return deliver(skb, p, &d.flow, 1);
	case FORWARD: {
		int sent = forward(skb, p, d.node, d.mark);
		return sent == LARGE ? too_big(skb, p, d.node) : sent;
	}
	case ANSWER:
		return reset(skb, p);
	case PASS:
		return NEXT;
	}
	return SHOT;
}

// origin finds out who sent a packet on, and reads the packet in a tunnel.
INLINE int origin(struct __sk_buff *skb, struct packet *p)
{
	struct header o = {};
	if (read_header(skb, ETH, p->v6, &o) || o.protocol != (p->v6 ? IPV6_IN : IPV4_IN) || o.fragment || !o.plain)
		return -1;
	u32 *from = map_lookup(&hosts, &o.src), *to = map_lookup(&hosts, &o.dst);
	if (!from || !to || *from != SIBLING || *to != SELF)
		return -1;
	u32 inner = p->v6 ? 40 : 20;
	if (read_packet(skb, p, ETH + inner))
		return -1;
	p->tunnel = inner;
	p->sibling = 1;
	p->marked = o.tos >> 2 == SECOND_CHANCE;
	return 0;
}

INLINE int version(struct __sk_buff *skb, struct packet *p)
{
	if (skb->protocol == be(IPV6))
		p->v6 = 1;
	else if (skb->protocol != be(IPV4))
		return -1;
	// Another device's, which has programs of its own; VLAN 0 is none (IEEE 802.1Q).
	return skb->vlan_present && skb->vlan_tci & 0xfff ? -1 : 0;
}

SEC("tc")
int ingress(struct __sk_buff *skb)
{
	struct packet p = {};
	if (version(skb, &p))
		return NEXT;
	if (read_packet(skb, &p, ETH) && origin(skb, &p))
		return NEXT;
	struct target t = {.addr = p.dst, .port = p.dport, .protocol = p.protocol};
	struct frontend *f = map_lookup(&frontends, &t);
	if (!f)
		return NEXT;
	if (!p.tunnel) {
		struct mac m = {};
		if (load_bytes(skb, 6, m.octets, 6))
			return NEXT;
		if (map_lookup(&macs, &m)) {
			p.sibling = 1;
			p.marked = p.tos >> 2 == SECOND_CHANCE;
		}
	}
	return steer(skb, &p, &t, f);
}

// clamp lowers the MSS of a SYN-ACK to what fits a tunnel (RFC 9293, section 3.7.1).
APART int clamp(struct __sk_buff *skb, u32 l4, u32 v6)
{
	u32 zero = 0, at = 20; // from l4
	struct tuning *s = map_lookup(&settings, &zero);
	u32 most = s ? s->mss[v6 & 1] : 0;
	u8 offset;
	if (!most || load_bytes(skb, l4 + 12, &offset, 1))
		return 0;
	u32 end = 4 * (offset >> 4);
	for (int i = 0; i < 12 && at + 4 <= end; i++) {
		u8 option[4];
		if (load_bytes(skb, l4 + at, option, 4) || option[0] == 0)
			return 0;
		if (option[0] == 1) {
			at++;
			continue;
		}
		if (option[0] == 2 && option[1] == 4) {
			if ((u32)(option[2] << 8 | option[3]) <= most)
				return 0;
			be16 was, is = be(most);
			__builtin_memcpy(&was, option + 2, 2);
			// An option may begin at an odd octet; then its halves count the other way.
			u32 odd = at & 1;
			if (l4_csum_replace(skb, l4 + 16, odd ? be(was) : was, odd ? be(is) : is, 2))
				return 0;
			patch16(skb, l4 + at + 2, is);
			return 0;
		}
		if (option[1] < 2)
			return 0;
		at += option[1];
	}
	return 0;
}

// close notes that a pod has closed. f and here are the entry and key of its answers. After a
// reset the client closes without a word.
INLINE void close(struct packet *p, struct flow *f, const struct flow_key *here)
{
	struct flow_key k = {.from = p->dst, .to = f->to, .sport = f->client, .dport = f->port, .protocol = p->protocol};
	u32 closed = p->flags & RST ? CLOSED : POD_CLOSED;
	int young;
	f->state |= closed;
	struct flow *there = find(&k, &young);
	if (!there)
		return;
	if (!(there->state & CLOSED))
		there->sequence = __builtin_bswap32(p->acknowledged);
	there->state |= closed;
	if (!young && (there->state & CLOSED) == CLOSED)
		demote(&k, here);
}

SEC("tc")
int egress(struct __sk_buff *skb)
{
	struct packet p = {};
	if (skb->tc_index == PASSED || version(skb, &p) || read_packet(skb, &p, ETH))
		return NEXT;
	struct flow_key k = {.from = p.src, .to = p.dst, .sport = p.sport, .dport = p.dport, .protocol = p.protocol, .answer = 1};
	int young;
	struct flow *f = find(&k, &young);
	if (!f)
		return NEXT;
	remember(&p);
	struct side s = {.addr = f->to, .port = f->port, .other = f->client, .source = 1};
	if (!p.error && !p.later) {
		if (young) {
			f->state |= ANSWERED;
			if (p.flags & SYN)
				f->sequence = p.sequence;
		}
		if (p.flags & SYN)
			clamp(skb, p.l4, p.v6);
		if (p.flags & (FIN | RST))
			close(&p, f, &k);
	}
	if (translate(skb, &p, &s))
		return drop(FAILED);
	return NEXT;
}
