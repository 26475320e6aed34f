// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The connections that this node's pods have: two entries each, one for either
// direction.
#pragma once
#include "forward.h"

INLINE void forth(const struct packet *p, struct flow_key *k)
{
	__builtin_memset(k, 0, sizeof(*k));
	k->from = p->src;
	k->to = p->dst;
	k->sport = p->sport;
	k->dport = p->dport;
	k->protocol = p->protocol;
}

// back is the key of the answers to a flow's packets.
INLINE void back(const struct packet *p, const struct flow *f, struct flow_key *k)
{
	__builtin_memset(k, 0, sizeof(*k));
	k->from = f->to;
	k->to = p->src;
	k->sport = f->port;
	k->dport = f->client;
	k->protocol = p->protocol;
	k->answer = 1;
}

INLINE struct flow *find(const struct flow_key *k, int *young)
{
	struct flow *f = map_lookup(&known, k);
	*young = 0;
	if (!f) {
		f = map_lookup(&fresh, k);
		*young = 1;
	}
	return f;
}

// serves reports whether a pod of this node gets new connections.
INLINE int serves(const struct packet *p, const struct flow *f)
{
	struct target t = {.addr = f->to, .port = f->port, .protocol = p->protocol};
	return map_lookup(&pods, &t) != 0;
}

// establish keeps a connection that was seen both ways: the client has
// acknowledged what the pod's answer began with, so it exists. f is its entry in fresh.
APART int establish(struct packet *p, struct flow *f)
{
	if (!p || !f)
		return 0;
	struct flow_key there, here;
	struct flow forward = *f, answer;
	back(p, f, &here);
	struct flow *a = map_lookup(&fresh, &here);
	if (!a || !(a->state & ANSWERED))
		return 0;
	if (p->protocol == TCP && __builtin_bswap32(p->acknowledged) - __builtin_bswap32(a->sequence) - 1 > 0xffff)
		return 0;
	answer = *a;
	forth(p, &there);
	if (map_update(&known, &here, &answer, BPF_ANY) || map_update(&known, &there, &forward, BPF_ANY)) {
		map_delete(&known, &here);
		return 0;
	}
	return 0; // fresh forgets by itself; now, others may just be looking there
}

// demote puts a connection that is over among those that others may put out. The order is
// that of find, which thus misses neither.
APART int demote(const struct flow_key *there, const struct flow_key *here)
{
	if (!there || !here)
		return 0;
	for (int i = 0; i < 2; i++) {
		const struct flow_key *k = i ? here : there;
		struct flow *f = map_lookup(&known, k);
		if (!f)
			continue;
		struct flow copy = *f;
		copy.state |= CLOSED;
		if (!map_update(&fresh, k, &copy, BPF_ANY))
			map_delete(&known, k);
	}
	return 0;
}

// retire demotes the connection of a client's packet. f is a copy of its entry.
INLINE void retire(const struct packet *p, const struct flow *f)
{
	struct flow_key there, here;
	forth(p, &there);
	back(p, f, &here);
	demote(&there, &here);
}

// forget makes room for another connection from the same port of the client's. The
// answers' entry stays, for stragglers.
INLINE void forget(const struct flow_key *there)
{
	map_delete(&known, there);
	map_delete(&fresh, there);
}

#define NEAR (1 << 22) // octets that may be on their way
#define LAST (1 << 16) // octets of a segment with a FIN

// follows reports whether a segment is of a connection that was closed, and not of
// a later one from the same port, which may be another node's: that has its sequence
// numbers from elsewhere (RFC 9293, section 3.4.1).
INLINE int follows(const struct packet *p, struct flow *f)
{
	int ahead = __builtin_bswap32(p->sequence) - f->sequence;
	if (ahead < -NEAR || ahead > (f->state & CLIENT_CLOSED ? LAST : NEAR))
		return 0;
	if (ahead > 0 && !(f->state & CLIENT_CLOSED))
		f->sequence += ahead;
	return 1;
}

// taken reports whether another connection's answers have the key.
INLINE int taken(const struct packet *p, const struct flow_key *answers)
{
	int young;
	struct flow *f = find(answers, &young);
	return f && !(f->state & CLOSED) && (f->port != p->dport || f->client != p->sport || !equal(&f->to, &p->dst));
}

// begin remembers a new connection. A client may have connections from one port to
// two frontends of one pod: the later one gets another port.
APART int begin(struct packet *p, struct flow *f)
{
	if (!p || !f)
		return 0;
	struct flow_key there, here;
	back(p, f, &here);
	for (int i = 0; i < 4 && taken(p, &here); i++) {
		f->client = be(0x8000 | (random_u32() & 0x7fff));
		here.dport = f->client;
	}
	forth(p, &there);
	struct flow answer = {.to = p->dst, .port = p->dport, .client = p->sport, .meter = f->meter};
	map_delete(&known, &here);
	map_delete(&known, &there);
	if (map_update(&fresh, &here, &answer, BPF_ANY) || map_update(&fresh, &there, f, BPF_ANY))
		count(UNTRACKED);
	return 0;
}

INLINE void measure(struct __sk_buff *skb, const struct packet *p, u32 key, int connection)
{
	struct meter *m = map_lookup(&meters, &key);
	if (!m)
		return;
	m->packets += skb->gso_segs ? skb->gso_segs : 1;
	m->bytes += skb->len - p->l3;
	m->connections += connection;
}

// deliver translates a packet for the pod that its flow names, and leaves it to the
// stack, which routes it there and tracks it.
INLINE int deliver(struct __sk_buff *skb, struct packet *p, const struct flow *f, int connection)
{
	struct side s = {.addr = f->to, .port = f->port, .other = f->client};
	if (unwrap(skb, p) || (p->marked && p->tos >> 2 == SECOND_CHANCE && set_class(skb, p, 0)))
		return drop(FAILED);
	measure(skb, p, f->meter, connection);
	if (translate(skb, p, &s))
		return drop(FAILED);
	return NEXT;
}
