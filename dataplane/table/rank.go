package table

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// ranker says where one endpoint ranks in every slot.
type ranker struct {
	seed   uint64
	add    [3]uint32
	mul    [3]uint32
	weight uint64
}

// newRanker returns the ranker of an address, and of a port unless that is zero.
func newRanker(a netip.Addr, port, weight uint16) ranker {
	b := a.As16()
	seed := mix(mix(mix(binary.BigEndian.Uint64(b[:8]))^binary.BigEndian.Uint64(b[8:])) ^ uint64(port))
	r := ranker{seed: seed, weight: uint64(max(weight, 1))}
	for i := range r.add {
		k := mix(seed ^ uint64(i+1)<<32)
		r.add[i], r.mul[i] = uint32(k), uint32(k>>32)|1
	}
	return r
}

// rank is the endpoint's in a slot: weights aside, the highest wins. Its first bits
// are the slot's stratum.
func (r *ranker) rank(slot int) uint64 { return r.within(slot, r.stratum(slot)) }

// within is the rank in a slot whose stratum is known.
func (r *ranker) within(slot int, stratum uint32) uint64 {
	return uint64(stratum)<<(64-sizeBits) | mix(r.seed+uint64(slot)*0x9e3779b97f4a7c15)>>sizeBits
}

// stratum is a permutation of the slots: over all of them, an endpoint's ranks are
// as even as can be. That takes a third of the chance out of how many slots it
// wins, compared with ranks by chance alone, and leaves each slot to itself.
func (r *ranker) stratum(slot int) uint32 {
	// Each step has an inverse among numbers of sizeBits bits.
	s := uint32(slot)
	s = (s + r.add[0]) * r.mul[0] % Size
	s ^= s >> (sizeBits / 2)
	s = (s + r.add[1]) * r.mul[1] % Size
	s ^= s >> (sizeBits / 2)
	s = (s + r.add[2]) * r.mul[2] % Size
	return s ^ s>>(sizeBits/2)
}

// key is what decides a slot: the highest score, of equal ones the highest rank.
type key struct{ score, rank uint64 }

func (k key) beats(other key) bool {
	return k.score > other.score || k.score == other.score && k.rank > other.rank
}

// key returns the endpoint's key for a rank, whose score takes weights in where
// those of the table differ. Who has weight w wins as often as w endpoints of
// weight 1 would: for a rank u of 0 to 1, it has the rank that is the best of w
// with probability u^w, so that log(u)/w is to be compared.
func (r *ranker) key(rank uint64, weighted bool) key {
	if weighted {
		return key{^(cost(rank) / r.weight), rank}
	}
	return key{0, rank}
}

// cost is −log₂(rank/2⁶⁴) in units of 2⁻⁵⁶, by integers alone so that every machine
// gets the same; it never rises where the rank does.
func cost(rank uint64) uint64 {
	rank |= 1
	zeros := bits.LeadingZeros64(rank)
	mantissa := rank << zeros << 1 // without its first bit, the 1 of 1 to 2
	i := mantissa >> 56
	rest := mantissa << 8 >> 32 // in units of 2⁻³² of a step
	log := logs[i] + (logs[i+1]-logs[i])*rest>>32
	return (uint64(zeros+1)<<32 - log) << 24
}

// logs are log₂(1 + i/256) in units of 2⁻³²; between them a line is near enough.
var logs = func() (t [257]uint64) {
	for i := range 256 {
		x := uint64(1)<<63 | uint64(i)<<55
		for range 32 { // squared, x's log doubles, and its whole part is the next bit
			hi, lo := bits.Mul64(x, x)
			t[i] <<= 1
			if hi>>63 == 1 {
				t[i], x = t[i]|1, hi
			} else {
				x = hi<<1 | lo>>63
			}
		}
	}
	t[256] = 1 << 32
	return t
}()

// mix is a bijection that spreads every bit over all others (the finalizer of
// MurmurHash3's 64-bit variant).
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
