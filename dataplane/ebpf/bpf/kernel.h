// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What the programs use of the kernel: types, headers on the wire and helpers
// (bpf-helpers(7)), so that building them takes clang and linux/bpf.h alone.
#pragma once
#include <linux/bpf.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __u16 be16;
typedef __u32 be32;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
// A function that the verifier checks once and on its own, whoever calls it; so it
// has to check pointers for null (since Linux 5.13).
#define APART __attribute__((noinline))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name

#define be(x) ((be16)__builtin_bswap16((u16)(x))) // the programs are little-endian
#define barrier() asm volatile("" ::: "memory")

static void *(*map_lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*map_update)(void *map, const void *key, const void *value, u64 flags) = (void *)BPF_FUNC_map_update_elem;
static long (*map_delete)(void *map, const void *key) = (void *)BPF_FUNC_map_delete_elem;
static u32 (*random_u32)(void) = (void *)BPF_FUNC_get_prandom_u32;
static long (*load_bytes)(const void *skb, u32 offset, void *to, u32 len) = (void *)BPF_FUNC_skb_load_bytes;
static long (*store_bytes)(void *skb, u32 offset, const void *from, u32 len, u64 flags) = (void *)BPF_FUNC_skb_store_bytes;
static long (*l3_csum_replace)(void *skb, u32 offset, u64 from, u64 to, u64 size) = (void *)BPF_FUNC_l3_csum_replace;
static long (*l4_csum_replace)(void *skb, u32 offset, u64 from, u64 to, u64 flags) = (void *)BPF_FUNC_l4_csum_replace;
static long (*csum_diff)(const void *from, u32 from_size, const void *to, u32 to_size, u32 seed) = (void *)BPF_FUNC_csum_diff;
static long (*change_tail)(void *skb, u32 len, u64 flags) = (void *)BPF_FUNC_skb_change_tail;
static long (*adjust_room)(void *skb, int diff, u32 mode, u64 flags) = (void *)BPF_FUNC_skb_adjust_room;
static long (*redirect_neigh)(u32 ifindex, void *params, int size, u64 flags) = (void *)BPF_FUNC_redirect_neigh;

// What a program returns: NEXT leaves the packet to the programs after this one
// and then to the stack, in TCX as in cls_bpf.
#define NEXT (-1)
#define SHOT 2

#define IPV4 0x0800
#define IPV6 0x86dd
#define INET 2
#define INET6 10

#define ICMP 1
#define TCP 6
#define UDP 17
#define ICMPV6 58
#define IPV4_IN 4  // RFC 2003
#define IPV6_IN 41 // RFC 2473

#define FIN 1
#define SYN 2
#define RST 4
#define ACK 16

union addr { // IPv4 as ::ffff:a.b.c.d
	u8 b[16];
	be32 w[4];
};

struct ipv4 {
	u8 version_length, tos;
	be16 length, id, fragment;
	u8 ttl, protocol;
	be16 check;
	be32 src, dst;
};

struct ipv6 {
	u8 version_class, class_label;
	be16 label, length;
	u8 protocol, ttl;
	be32 src[4], dst[4];
};

struct tcp {
	be16 sport, dport;
	be32 seq, ack;
	u8 offset, flags;
	be16 window, check, urgent;
};

#define ETH 14 // octets before the network header

INLINE int equal(const union addr *a, const union addr *b)
{
	return a->w[3] == b->w[3] && a->w[2] == b->w[2] && a->w[1] == b->w[1] && a->w[0] == b->w[0];
}

INLINE void mapped(union addr *a, be32 v4)
{
	a->w[0] = a->w[1] = 0;
	a->w[2] = 0xffff0000;
	a->w[3] = v4;
}
