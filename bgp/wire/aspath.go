package wire

import (
	"encoding/binary"
	"slices"
	"strconv"
)

// SegmentType is the type of an AS_PATH segment (RFC 4271 §4.3, RFC 5065 §3).
type SegmentType uint8

// Segment types.
const (
	ASSet            SegmentType = 1
	ASSequence       SegmentType = 2
	ASConfedSequence SegmentType = 3
	ASConfedSet      SegmentType = 4
)

func (t SegmentType) confed() bool { return t == ASConfedSequence || t == ASConfedSet }

// hops is how much a segment of n AS numbers counts in a path's length (RFC 4271 §9.1.2.2 a, RFC 5065 §5.3).
func (t SegmentType) hops(n int) int {
	switch t {
	case ASSequence:
		return n
	case ASSet:
		return min(n, 1)
	}
	return 0
}

// Segment is one AS_PATH segment. On the wire it holds at most 255 numbers; encoding splits longer ones.
type Segment struct {
	Type SegmentType
	ASNs []uint32
}

// ASPath is an AS_PATH, nearest AS first. An empty path is one originated in our own AS.
type ASPath []Segment

// Sequence returns a path of one AS_SEQUENCE, or the empty path for no numbers.
func Sequence(asns ...uint32) ASPath {
	if len(asns) == 0 {
		return nil
	}
	return ASPath{{ASSequence, asns}}
}

// Len returns the path's length as route selection counts it: a set is one hop, confederation segments are none.
func (p ASPath) Len() int {
	n := 0
	for _, s := range p {
		n += s.Type.hops(len(s.ASNs))
	}
	return n
}

// Contains tells if the AS number is anywhere in the path, which for our own means a loop (RFC 4271 §9.1.2).
func (p ASPath) Contains(as uint32) bool {
	return slices.ContainsFunc(p, func(s Segment) bool { return slices.Contains(s.ASNs, as) })
}

// First returns the leftmost AS number: the neighbor's, when the path begins with a sequence.
func (p ASPath) First() (as uint32, ok bool) {
	if len(p) == 0 || p[0].Type != ASSequence || len(p[0].ASNs) == 0 {
		return 0, false
	}
	return p[0].ASNs[0], true
}

// Prepend returns a new path with the AS number put before this one (RFC 4271 §5.1.2 b).
func (p ASPath) Prepend(as uint32) ASPath {
	if len(p) == 0 || p[0].Type != ASSequence {
		return append(ASPath{{ASSequence, []uint32{as}}}, p...)
	}
	q := slices.Clone(p)
	q[0].ASNs = append([]uint32{as}, p[0].ASNs...)
	return q
}

// Equal tells if two paths have the same segments.
func (p ASPath) Equal(q ASPath) bool {
	return slices.EqualFunc(p, q, func(a, b Segment) bool { return a.Type == b.Type && slices.Equal(a.ASNs, b.ASNs) })
}

// Clone returns a copy that shares no memory.
func (p ASPath) Clone() ASPath {
	q := slices.Clone(p)
	for i := range q {
		q[i].ASNs = slices.Clone(q[i].ASNs)
	}
	return q
}

// String writes the path as routers show it: "65001 65002 {1,2}", confederation segments as "(1 2)" and "[1,2]".
func (p ASPath) String() string { return string(p.AppendText(nil)) }

// AppendText appends what String returns.
func (p ASPath) AppendText(dst []byte) []byte {
	for i, s := range p {
		if i > 0 {
			dst = append(dst, ' ')
		}
		opening, between, closing := "", byte(' '), ""
		switch s.Type {
		case ASSet:
			opening, between, closing = "{", ',', "}"
		case ASConfedSequence:
			opening, closing = "(", ")"
		case ASConfedSet:
			opening, between, closing = "[", ',', "]"
		}
		dst = append(dst, opening...)
		for j, as := range s.ASNs {
			if j > 0 {
				dst = append(dst, between)
			}
			dst = strconv.AppendUint(dst, uint64(as), 10)
		}
		dst = append(dst, closing...)
	}
	return dst
}

// asnSize is the size of an AS number in AS_PATH and AGGREGATOR.
func asnSize(as4 bool) int {
	if as4 {
		return 4
	}
	return 2
}

// checkASPath tells what is wrong with the value of an AS_PATH or AS4_PATH (RFC 7606 §7.2, RFC 7607 §2) and how
// many segments and AS numbers it holds.
func checkASPath(b []byte, size int) (segments, asns int, why Reason) {
	for len(b) > 0 {
		if len(b) < 2 {
			return 0, 0, ReasonSegmentLength
		}
		typ, n := SegmentType(b[0]), int(b[1])
		if typ < ASSet || typ > ASConfedSet {
			return 0, 0, ReasonSegmentType
		}
		if n == 0 || 2+n*size > len(b) {
			return 0, 0, ReasonSegmentLength
		}
		for i := 2; i < 2+n*size; i += size {
			if asnAt(b[i:], size) == 0 {
				return 0, 0, ReasonASZero
			}
		}
		segments, asns, b = segments+1, asns+n, b[2+n*size:]
	}
	return segments, asns, ReasonNone
}

func asnAt(b []byte, size int) uint32 {
	if size == 2 {
		return uint32(binary.BigEndian.Uint16(b))
	}
	return binary.BigEndian.Uint32(b)
}

// decodeASPath reads a checked value into path and the numbers into asns, both reused.
func decodeASPath(path ASPath, asns []uint32, b []byte, size int) (ASPath, []uint32) {
	path = path[:0]
	for len(b) > 0 {
		typ, n := SegmentType(b[0]), int(b[1])
		first := len(asns)
		for i := 2; i < 2+n*size; i += size {
			asns = append(asns, asnAt(b[i:], size))
		}
		path = append(path, Segment{typ, asns[first:len(asns):len(asns)]})
		b = b[2+n*size:]
	}
	return path, asns
}

// mergeAS4 appends to path the one that AS_PATH and AS4_PATH of a speaker of two-octet numbers make together (RFC 6793
// §4.2.3): as many leading numbers of old as old is longer than new, then new. A new path longer than the old one is
// ignored.
func mergeAS4(path, old, new ASPath) ASPath {
	lead := old.Len() - new.Len()
	if lead < 0 {
		return append(path, old...)
	}
	for _, s := range old {
		h := s.Type.hops(len(s.ASNs))
		switch {
		case s.Type.confed(): // kept where it leads or follows what is kept
			path = append(path, s)
			continue
		case lead == 0:
		case h <= lead:
			path, lead = append(path, s), lead-h
			continue
		default: // a sequence of which only the beginning is needed
			path = append(path, Segment{s.Type, s.ASNs[:lead:lead]})
		}
		break
	}
	return append(path, new...)
}

// appendASPath appends the value of an AS_PATH. In two octets, numbers that do not fit become ASTrans.
func appendASPath(dst []byte, p ASPath, size int, confed bool) []byte {
	for _, s := range p {
		if s.Type.confed() && !confed {
			continue
		}
		for asns := s.ASNs; len(asns) > 0; {
			n := min(len(asns), 255)
			dst = append(dst, byte(s.Type), byte(n))
			for _, as := range asns[:n] {
				if size == 2 {
					dst = binary.BigEndian.AppendUint16(dst, as2(as))
				} else {
					dst = binary.BigEndian.AppendUint32(dst, as)
				}
			}
			asns = asns[n:]
		}
	}
	return dst
}

// needsAS4 tells if some number outside confederation segments does not fit in two octets (RFC 6793 §4.2.2).
func (p ASPath) needsAS4() bool {
	return slices.ContainsFunc(p, func(s Segment) bool {
		return !s.Type.confed() && slices.ContainsFunc(s.ASNs, func(as uint32) bool { return as > 0xffff })
	})
}
