package table

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// Seed is the initial value of the hash, the same on all nodes of all clusters.
const Seed = 0x7068726f

// Hash returns the slot of a connection: of its client's address and port, any of
// 0 to 65535.
//
// It is the kernel's jhash over the address and four bytes more: the port in network
// byte order, then two of zero, as nftables pads what it concatenates; scaled to
// Size as by reciprocal_scale.
func Hash(client netip.Addr, port uint16) int {
	var buffer [20]byte
	return slot(withPort(address(buffer[:0], client), port))
}

// HashClient returns the slot of all connections of a client, for session affinity:
// the hash is of the address alone, and not that of any port.
func HashClient(client netip.Addr) int {
	var buffer [20]byte
	return slot(address(buffer[:0], client))
}

func slot(hashed []byte) int { return int(uint64(jhash(hashed, Seed)) * Size >> 32) }

// address appends the client's address to b as it is hashed.
func address(b []byte, client netip.Addr) []byte {
	if client.Is4() {
		a := client.As4()
		return append(b, a[:]...)
	}
	a := client.As16()
	return append(b, a[:]...)
}

func withPort(b []byte, port uint16) []byte {
	return append(binary.BigEndian.AppendUint16(b, port), 0, 0)
}

// jhash is Jenkins's lookup3 as the kernel has it, over at most 12 bytes more
// than it has left at its end. Its words are of the machine's byte order; like
// the kernels that Pharos runs on, little-endian.
func jhash(data []byte, seed uint32) uint32 {
	a := 0xdeadbeef + uint32(len(data)) + seed
	b, c := a, a
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(data[4*i:]) }
	for len(data) > 12 {
		a, b, c = a+word(0), b+word(1), c+word(2)
		a = (a - c) ^ bits.RotateLeft32(c, 4)
		c += b
		b = (b - a) ^ bits.RotateLeft32(a, 6)
		a += c
		c = (c - b) ^ bits.RotateLeft32(b, 8)
		b += a
		a = (a - c) ^ bits.RotateLeft32(c, 16)
		c += b
		b = (b - a) ^ bits.RotateLeft32(a, 19)
		a += c
		c = (c - b) ^ bits.RotateLeft32(b, 4)
		b += a
		data = data[12:]
	}
	switch len(data) { // whole words: addresses and padded ports
	case 12:
		a, b, c = a+word(0), b+word(1), c+word(2)
	case 8:
		a, b = a+word(0), b+word(1)
	case 4:
		a += word(0)
	default:
		return c
	}
	c = (c ^ b) - bits.RotateLeft32(b, 14)
	a = (a ^ c) - bits.RotateLeft32(c, 11)
	b = (b ^ a) - bits.RotateLeft32(a, 25)
	c = (c ^ b) - bits.RotateLeft32(b, 16)
	a = (a ^ c) - bits.RotateLeft32(c, 4)
	b = (b ^ a) - bits.RotateLeft32(a, 14)
	c = (c ^ b) - bits.RotateLeft32(b, 24)
	return c
}
