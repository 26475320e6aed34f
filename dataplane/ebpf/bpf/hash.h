// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The slot of a client: bit for bit table.Hash and table.HashClient.
#pragma once
#include "packet.h"

#define SEED 0x7068726f // table.Seed

#define rotate(x, n) (((x) << (n)) | ((x) >> (32 - (n))))

INLINE u32 slot_of(const struct packet *p, u32 by_address)
{
	u32 port = by_address ? 0 : p->sport; // what is not hashed adds nothing
	u32 words = (p->v6 ? 4 : 1) + (by_address ? 0 : 1);
	u32 a = 0xdeadbeef + 4 * words + SEED, b = a, c = a;
	if (p->v6) {
		a += p->src.w[0];
		b += p->src.w[1];
		c += p->src.w[2];
		a = (a - c) ^ rotate(c, 4), c += b;
		b = (b - a) ^ rotate(a, 6), a += c;
		c = (c - b) ^ rotate(b, 8), b += a;
		a = (a - c) ^ rotate(c, 16), c += b;
		b = (b - a) ^ rotate(a, 19), a += c;
		c = (c - b) ^ rotate(b, 4), b += a;
	}
	a += p->src.w[3];
	b += port;
	c = (c ^ b) - rotate(b, 14);
	a = (a ^ c) - rotate(c, 11);
	b = (b ^ a) - rotate(a, 25);
	c = (c ^ b) - rotate(b, 16);
	a = (a ^ c) - rotate(c, 4);
	b = (b ^ a) - rotate(a, 14);
	c = (c ^ b) - rotate(b, 24);
	return (u64)c * SLOTS >> 32;
}
