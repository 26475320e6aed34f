// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Checksums made from the ground up (RFC 1071).
#pragma once
#include "rewrite.h"

INLINE u32 fold(u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

// partial finds out whether a packet's checksum is left to the device that sends it
// (CHECKSUM_PARTIAL): then the kernel takes no change of the payload into account.
INLINE int partial(struct __sk_buff *skb, u32 check)
{
	be16 was, is;
	if (load_bytes(skb, check, &was, 2) || l4_csum_replace(skb, check, 0, 0x1234, 2) || load_bytes(skb, check, &is, 2))
		return -1;
	return was == is;
}

