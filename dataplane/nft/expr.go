package nft

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// term is one expression of a rule: an expr.Any of the library or an original.
type term any

// original loads something of the packet that began a connection, before any
// translation. The library knows neither addresses nor the direction's width.
type original struct{ key, register uint32 }

// reg names the n-th register of four bytes, of sixteen. A rule loads every
// register that it reads: contents do not carry over from one rule to the next.
func reg(n uint32) uint32 { return unix.NFT_REG32_00 + n }

// after returns the register after one address and n more registers.
func (f *family) after(n uint32) uint32 { return reg(n + f.size/4) }

// length returns how many registers a path's target takes.
func (f *family) length(p path) uint32 {
	if p.nodePort() {
		return 2
	}
	return 2 + f.size/4
}

// target loads the packet's target into the registers from 0.
func (f *family) target(p path) []term {
	var terms []term
	at := uint32(0)
	if !p.nodePort() {
		terms = append(terms, &expr.Payload{DestRegister: reg(0), Base: expr.PayloadBaseNetworkHeader, Offset: f.daddr, Len: f.size})
		at = f.size / 4
	}
	// The destination port is the second word of TCP, UDP and SCTP alike.
	return append(terms, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg(at)},
		&expr.Payload{DestRegister: reg(at + 1), Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2})
}

// originalTarget loads the target that the connection had before its
// translation.
func (f *family) originalTarget(p path) []term {
	var terms []term
	at := uint32(0)
	if !p.nodePort() {
		terms = append(terms, original{f.ctDaddr, reg(0)})
		at = f.size / 4
	}
	return append(terms, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg(at)},
		original{unix.NFT_CT_PROTO_DST, reg(at + 1)})
}

// load loads an address of the network header.
func (f *family) load(offset, register uint32) []term {
	return []term{&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: f.size}}
}

// in ends the rule where the key from register 0 is not in the set.
func (f *family) in(k kind, n int) []term {
	return []term{&expr.Lookup{SourceRegister: reg(0), SetName: k.in(f, n).name()}}
}

// is ends the rule where the packet's target is not in the set of that kind.
func (f *family) is(k kind, p path) []term { return then(f.target(p), f.in(k.on(p), 0)) }

// was ends the rule where the original target is not in the set of that kind.
func (f *family) was(k kind, p path) []term { return then(f.originalTarget(p), f.in(k.on(p), 0)) }

// fromPods tells whether the source is one of the node's own pods.
func (f *family) fromPods(want bool) []term {
	return then(f.load(f.saddr, reg(0)), []term{&expr.Lookup{SourceRegister: reg(0), SetName: pods.in(f, 0).name(), Invert: !want}})
}

// toNode ends the rule where the destination is no address that serves node
// ports.
func (f *family) toNode() []term {
	return then(f.load(f.daddr, reg(0)), f.in(nodeAddrs, 0), local(destination, expr.CmpOpEq))
}

type side bool

const (
	source      side = false
	destination side = true
)

// local compares the type that the routing tables give an address with that of
// the node's own.
func local(of side, op expr.CmpOp) []term {
	return []term{
		&expr.Fib{Register: reg(0), ResultADDRTYPE: true, FlagDADDR: of == destination, FlagSADDR: of == source},
		&expr.Cmp{Op: op, Register: reg(0), Data: binary.NativeEndian.AppendUint32(nil, unix.RTN_LOCAL)},
	}
}

// bits compares the masked register 0 with zero.
func bits(mask uint32, op expr.CmpOp) []term {
	return []term{
		&expr.Bitwise{SourceRegister: reg(0), DestRegister: reg(0), Len: 4,
			Mask: binary.NativeEndian.AppendUint32(nil, mask), Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: reg(0), Data: make([]byte, 4)},
	}
}

// isNew ends the rule for packets of connections that are known already.
func isNew() []term { return state(expr.CtStateBitNEW) }

// isInvalid ends the rule for packets that fit a connection or begin one.
func isInvalid() []term { return state(expr.CtStateBitINVALID) }

func state(mask uint32) []term {
	return append([]term{&expr.Ct{Key: expr.CtKeySTATE, Register: reg(0)}}, bits(mask, expr.CmpOpNeq)...)
}

// ipsDstNAT is IPS_DST_NAT of linux/netfilter/nf_conntrack_common.h.
const ipsDstNAT = 1 << 5

// notTranslated ends the rule for connections whose destination was changed.
func notTranslated() []term {
	return append([]term{&expr.Ct{Key: expr.CtKeySTATUS, Register: reg(0)}}, bits(ipsDstNAT, expr.CmpOpEq)...)
}

// isProtocol ends the rule for packets of other protocols.
func isProtocol(number byte) []term {
	return []term{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg(0)}, &expr.Cmp{Op: expr.CmpOpEq, Register: reg(0), Data: []byte{number}}}
}

// oneOf ends the rule in all but one of n cases, at random.
func oneOf(n int) []term {
	return []term{&expr.Numgen{Register: reg(0), Modulus: uint32(n), Type: unix.NFT_NG_RANDOM},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg(0), Data: make([]byte, 4)}}
}

// dnat translates the destination to the address and port in two registers.
func (f *family) dnat(addr, port uint32) []term {
	nfproto := uint32(unix.NFPROTO_IPV4)
	if f.is6() {
		nfproto = unix.NFPROTO_IPV6
	}
	return []term{&expr.NAT{Type: expr.NATTypeDestNAT, Family: nfproto, RegAddrMin: addr, RegProtoMin: port}}
}

func jump(chain string) []term {
	return []term{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}

func goTo(chain string) []term {
	return []term{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}}
}

func drop() []term { return []term{&expr.Verdict{Kind: expr.VerdictDrop}} }

func leave() []term { return []term{&expr.Verdict{Kind: expr.VerdictReturn}} }

func then(parts ...[]term) []term {
	var all []term
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// portUnreachable is the code of the ICMP error (RFC 792) or ICMPv6 error (RFC
// 4443, section 3.1).
func (f *family) portUnreachable() uint8 {
	if f.is6() {
		return 4
	}
	return 3
}
