package wire

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// prefixes reads the prefixes of a unicast family up to the end of b, their path identifiers before them where the
// session has those (RFC 7911 §3). With reach set, prefixes that no unicast route can have are skipped (RFC 4271
// §6.3). ok is false when a length does not fit (RFC 7606 §5.3).
func (d *updateDecoder) prefixes(dst *[]netip.Prefix, paths *[]uint32, b []byte, f Family, reach bool) (skipped, ok bool) {
	if len(d.s.AddPathReceive) == 0 {
		*dst, _, skipped, ok = readPrefixes(*dst, nil, b, f, false, reach)
		return skipped, ok
	}
	withPath, first := slices.Contains(d.s.AddPathReceive, f), len(*dst)
	*dst, *paths, skipped, ok = readPrefixes(*dst, *paths, b, f, withPath, reach)
	if !withPath { // the lists stay parallel
		for range len(*dst) - first {
			*paths = append(*paths, 0)
		}
	}
	return skipped, ok
}

// room returns how many prefixes b holds if all are of the first one's length, as those of a service are.
func room(b []byte, withPath bool) int {
	size := 1
	if withPath {
		size += 4
	}
	if len(b) < size {
		return 0
	}
	size += (int(b[size-1]) + 7) / 8
	return len(b) / size
}

func readPrefixes(dst []netip.Prefix, paths []uint32, b []byte, f Family, withPath, reach bool) (_ []netip.Prefix, _ []uint32, skipped, ok bool) {
	if n := room(b, withPath); dst == nil && n > 0 { // a fresh Update
		dst = make([]netip.Prefix, 0, n)
		if withPath {
			paths = make([]uint32, 0, n)
		}
	}
	for len(b) > 0 {
		var path uint32
		if withPath {
			if len(b) < 5 {
				return dst, paths, skipped, false
			}
			path, b = binary.BigEndian.Uint32(b), b[4:]
		}
		bits := int(b[0])
		n := (bits + 7) / 8
		if n >= len(b) {
			return dst, paths, skipped, false
		}
		var addr netip.Addr
		var unroutable bool
		if f.AFI == AFIIPv4 {
			if bits > 32 {
				return dst, paths, skipped, false
			}
			var a [4]byte
			if len(b) > 4 { // nearly always; the mask clears what is the next prefix's
				a = [4]byte(b[1:])
			} else {
				copy(a[:], b[1:])
			}
			binary.BigEndian.PutUint32(a[:], mask4(a, bits))
			addr = netip.AddrFrom4(a)
			unroutable = bits >= 4 && a[0]&0xf0 == 0xe0
		} else {
			if bits > 128 {
				return dst, paths, skipped, false
			}
			var a [16]byte
			if len(b) > 16 {
				a = [16]byte(b[1:])
			} else {
				copy(a[:], b[1:])
			}
			high, low := mask16(a, bits)
			binary.BigEndian.PutUint64(a[:8], high)
			binary.BigEndian.PutUint64(a[8:], low)
			addr = netip.AddrFrom16(a)
			unroutable = bits >= 8 && a[0] == 0xff || bits >= 10 && a[0] == 0xfe && a[1]&0xc0 == 0x80
		}
		b = b[1+n:]
		if reach && unroutable {
			skipped = true
			continue
		}
		dst = append(dst, netip.PrefixFrom(addr, bits))
		if withPath {
			paths = append(paths, path)
		}
	}
	return dst, paths, skipped, true
}

// mask4 is an IPv4 address without what is beyond the bits of a prefix, whose value in its last octet is irrelevant
// (RFC 4271 §4.3).
func mask4(a [4]byte, bits int) uint32 {
	return binary.BigEndian.Uint32(a[:]) & (^uint32(0) << (32 - bits))
}

// mask16 is the two halves of an IPv6 address after the same.
func mask16(a [16]byte, bits int) (high, low uint64) {
	high, low = binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:])
	return high & (^uint64(0) << (64 - min(bits, 64))), low & (^uint64(0) << (128 - bits))
}

// routes is what is left to be sent of a list of prefixes, in one family.
type routes struct {
	prefixes []netip.Prefix
	paths    []uint32 // parallel, or empty: all identifiers are 0
	family   Family
	withPath bool // identifiers are sent
	left     int  // how many prefixes of the family there are
}

// appendNLRI appends prefixes up to the position limit of dst and takes them off the list.
func (r *routes) appendNLRI(dst []byte, limit int) []byte {
	for i, p := range r.prefixes {
		addr, bits := p.Addr(), p.Bits()
		if addr.Is4() != (r.family == IPv4Unicast) {
			continue
		}
		size := (bits + 7) / 8
		need := 1 + size
		if r.withPath {
			need += 4
		}
		if len(dst)+need > limit {
			r.prefixes = r.prefixes[i:]
			if len(r.paths) > 0 {
				r.paths = r.paths[i:]
			}
			return dst
		}
		if r.withPath {
			var path uint32
			if len(r.paths) > 0 {
				path = r.paths[i]
			}
			dst = binary.BigEndian.AppendUint32(dst, path)
		}
		dst = append(dst, byte(bits))
		end := len(dst) + size
		if addr.Is4() {
			dst = binary.BigEndian.AppendUint32(dst, mask4(addr.As4(), bits))[:end]
		} else {
			high, low := mask16(addr.As16(), bits)
			dst = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, high), low)[:end]
		}
		r.left--
	}
	return dst
}
