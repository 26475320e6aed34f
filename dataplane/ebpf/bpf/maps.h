// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What user space tells the programs, and what they remember. Layouts are those of
// layout.go.
#pragma once
#include "kernel.h"

#define SLOTS 512     // table.Size
#define INLINED 80    // owners kept in the frontend itself, so that it fits in 4 KiB
#define NOBODY 0xffff // no owner, or one whose node is unknown
#define HERE 0        // the node itself

struct target {
	union addr addr;
	be16 port;
	u8 protocol, pad;
};

struct owner {
	union addr addr;
	be16 port;
	u16 node; // index of nodes
	u32 draining;
};

#define BY_ADDRESS 1 // session affinity: the hash is of the client's address alone
#define GUARDED 2    // clients have to be in sources

struct frontend {
	u32 flags;
	u32 meter;   // key of meters
	u32 version; // differs from that of every other frontend, and of this one before
	u32 guard;   // first part of keys of sources
	u32 slots[SLOTS]; // index of the current owner; of the previous one in the upper half
	struct owner owners[INLINED];
};

// One element is a whole table: the kernel swaps it in one step, without waiting
// for readers as it does for maps in maps.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct target);
	__type(value, struct frontend);
} frontends SEC(".maps");

struct further {
	u32 version;
	u32 index;
};

// Owners beyond those in the frontend.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, struct further);
	__type(value, struct owner);
} owners SEC(".maps");

struct source {
	u32 prefix; // bits, those of guard included
	u32 guard;
	union addr addr;
};

// loadBalancerSourceRanges.
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1048576);
	__type(key, struct source);
	__type(value, u32);
} sources SEC(".maps");

// Backends of this node that get new connections; UDP leaves those that don't.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct target);
	__type(value, u32);
} pods SEC(".maps");

#define UNREACHABLE 0
#define SEGMENT 1 // on a segment that this node is on: by its next hop
#define TUNNEL 2  // else: in an IP packet (RFC 2003, RFC 2473)

struct leg {
	u32 how;
	u32 device;
	u32 mtu;
	u32 pad;
	union addr to;
	union addr self; // source of a tunnel's packets
};

struct node {
	struct leg legs[2]; // for IPv4 and IPv6
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, struct node);
} nodes SEC(".maps");

struct mac {
	u8 octets[6];
	u16 pad;
};

// The hardware addresses of the other nodes on our segments, and their addresses:
// what comes from them has been forwarded already.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct mac);
	__type(value, u32);
} macs SEC(".maps");

#define SIBLING 1
#define SELF 2

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, union addr);
	__type(value, u32);
} hosts SEC(".maps");

struct tuning {
	u32 mss[2]; // largest in a SYN-ACK that fits a tunnel, for IPv4 and IPv6; zero: as it is
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct tuning);
} settings SEC(".maps");

struct flow_key {
	union addr from, to;
	be16 sport, dport;
	u8 protocol;
	u8 answer; // 0: client to frontend; 1: pod to client
	u16 pad;
};

#define ANSWERED 1      // the pod has sent something
#define CLIENT_CLOSED 2 // it has sent FIN or RST
#define POD_CLOSED 4
#define CLOSED (CLIENT_CLOSED | POD_CLOSED)

struct flow {
	union addr to;  // the pod; of answers, the frontend
	be16 port;      // its port
	be16 client;    // the client's port: as the pod sees it; of answers, its own
	u32 meter;
	u32 sequence;   // of answers: the SYN-ACK's; else, once it is closed: the client's
	u32 state;
};

// Connections that were seen both ways. No flood of first packets puts any out, nor do
// those that come and go: a connection that was closed from both ends goes back to fresh.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct flow_key);
	__type(value, struct flow);
} known SEC(".maps");

// Connections that weren't yet, and those that are over but for stragglers.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct flow_key);
	__type(value, struct flow);
} fresh SEC(".maps");

struct fragment {
	union addr src, dst;
	u32 id;
	u32 protocol;
};

struct ports {
	be16 sport, dport;
};

// Fragments after the first have no ports.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct fragment);
	__type(value, struct ports);
} fragments SEC(".maps");

struct meter {
	u64 packets, bytes, connections;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, u32);
	__type(value, struct meter);
} meters SEC(".maps");

// What happened, by the constants below.
#define FORWARDED 0   // to the current owner's node
#define SECOND 1      // to another node, marked
#define RESET 2       // by the program
#define REFUSED 3     // not in the source ranges
#define ASTRAY 4      // dropped: nodes disagree, or an error about nothing
#define LOST 5        // dropped: no way to the owner's node
#define TOO_BIG 6     // answered with path MTU
#define UNTRACKED 7   // delivered without being remembered: a map is full
#define FAILED 8      // a packet could not be rewritten
#define EVENTS 16

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EVENTS);
	__type(key, u32);
	__type(value, u64);
} events SEC(".maps");

INLINE void count(u32 event)
{
	u64 *n = map_lookup(&events, &event);
	if (n)
		*n += 1;
}

INLINE int drop(u32 event)
{
	count(event);
	return SHOT;
}
