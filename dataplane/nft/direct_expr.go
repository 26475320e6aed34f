package nft

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/table"
)

// forward sends a packet to a neighbor, in a netdev table. The library does not
// know it.
type forward struct{ addr, device uint32 }

// Attributes of the fwd expression of linux/netfilter/nf_tables.h.
const (
	fwdDevice   = 1
	fwdAddr     = 2
	fwdProtocol = 3
)

// put adds the attributes of the expression.
func (e forward) put(a *attributes, f *family) {
	protocol := uint32(unix.NFPROTO_IPV4)
	if f.is6() {
		protocol = unix.NFPROTO_IPV6
	}
	a.text(unix.NFTA_EXPR_NAME, "fwd")
	a.nest(unix.NFTA_EXPR_DATA, func(a *attributes) {
		a.number(fwdDevice, e.device)
		a.number(fwdAddr, e.addr)
		a.number(fwdProtocol, protocol)
	})
}

// words is how many registers an address takes.
func (f *family) words() uint32 { return f.size / 4 }

// header and transport load bytes of a header.
func header(offset, length, register uint32) term {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}
}

func transport(offset, length, register uint32) term {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: length}
}

func compare(op expr.CmpOp, register uint32, data ...byte) term {
	return &expr.Cmp{Op: op, Register: register, Data: data}
}

// masked compares the masked first bytes of register 0.
func masked(op expr.CmpOp, mask, want []byte) []term {
	return []term{
		&expr.Bitwise{SourceRegister: reg(0), DestRegister: reg(0), Len: uint32(len(mask)), Mask: mask, Xor: make([]byte, len(mask))},
		compare(op, reg(0), want...),
	}
}

// find replaces the key from one register by what the map says, from another,
// and ends the rule where it says nothing.
func find(f *family, k kind, key, value uint32) term {
	return &expr.Lookup{SourceRegister: key, DestRegister: value, IsDestRegSet: true, SetName: k.in(f, 0).name()}
}

// quotes says where a header is: the packet's own one, or the one that an ICMP
// error quotes, which is of an answer: what is the source there is the Service.
type quotes bool

// slot loads the target of a packet's connection and its slot, if slots are told
// apart as by that kind of frontends, into the registers from 0.
func (f *family) slot(k kind, q quotes) []term {
	client := reg(8) // behind the longest target and its slot
	var terms []term
	if q {
		terms = f.quoted(client)
	} else {
		terms = then(f.target(frontendPath), f.load(f.saddr, client), []term{transport(0, 2, client+f.words())})
	}
	length := f.size
	if k == directPorts {
		length += 4
	}
	return append(terms, &expr.Hash{SourceRegister: client, DestRegister: reg(f.length(frontendPath)), Length: length,
		Modulus: table.Size, Seed: table.Seed, Type: expr.HashTypeJenkins})
}

// ownerOf looks for the node of the slot's owner, if that is another one: it is put
// into two registers, as sendSecond and as sendOn. podOf looks for the pod, if it
// is one of this node's.
func (f *family) ownerOf(k kind, value uint32) term { return find(f, ownersOf(k), reg(0), value) }
func (f *family) podOf(k kind, value uint32) term   { return find(f, slotsOf(k), reg(0), value) }

// quoted loads the target into the registers from 0 and the client's address and
// port, from the header that an ICMP error quotes (RFC 792; RFC 4443). Headers
// with options have no place for a port that can be told beforehand.
func (f *family) quoted(client uint32) []term {
	if f.is6() {
		return []term{
			transport(8+8, 16, reg(0)), transport(8+6, 1, reg(4)), transport(8+40, 2, reg(5)),
			transport(8+24, 16, client), transport(8+42, 2, client+4),
		}
	}
	return []term{
		transport(8, 1, reg(0)), compare(expr.CmpOpEq, reg(0), 0x45),
		transport(8+12, 4, reg(0)), transport(8+9, 1, reg(1)), transport(8+20, 2, reg(2)),
		transport(8+16, 4, client), transport(8+22, 2, client+1),
	}
}

// isError ends the rule for packets that are no ICMP errors about a packet.
func (f *family) isError() []term {
	if f.is6() { // RFC 4443, section 2.1: below 128; 1 to 4 are those with a packet
		return then(isProtocol(unix.IPPROTO_ICMPV6), []term{transport(0, 1, reg(0)), compare(expr.CmpOpLte, reg(0), 4)})
	}
	// RFC 792: unreachable (3), time exceeded (11), parameter problem (12)
	// Others in between quote nothing that begins like a packet of the Service.
	return then(isProtocol(unix.IPPROTO_ICMP), []term{
		transport(0, 1, reg(0)), &expr.Range{Op: expr.CmpOpEq, Register: reg(0), FromData: []byte{3}, ToData: []byte{12}},
	})
}

// isMarked ends the rule for packets without the DSCP of a second chance.
func (f *family) isMarked() []term {
	return then([]term{header(0, 2, reg(0))}, masked(expr.CmpOpEq, f.dscp(0x3f), f.dscp(dataplane.SecondChance)))
}

// isNotMarked ends it for the others.
func (f *family) isNotMarked() []term {
	return then([]term{header(0, 2, reg(0))}, masked(expr.CmpOpNeq, f.dscp(0x3f), f.dscp(dataplane.SecondChance)))
}

// mark sets the packet's DSCP.
func (f *family) mark(value byte) []term {
	keep := f.dscp(0x3f)
	for i := range keep {
		keep[i] = ^keep[i]
	}
	write := &expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: reg(0), Base: expr.PayloadBaseNetworkHeader, Offset: 0, Len: 2}
	if !f.is6() {
		write.CsumType, write.CsumOffset = expr.CsumTypeInet, 10
	}
	return []term{
		header(0, 2, reg(0)),
		&expr.Bitwise{SourceRegister: reg(0), DestRegister: reg(0), Len: 2, Mask: keep, Xor: f.dscp(value)},
		write,
	}
}

// isOngoing ends the rule for all but TCP segments that don't begin a connection.
func isOngoing() []term {
	const syn = 0x02 // RFC 9293, section 3.1
	return then(isProtocol(unix.IPPROTO_TCP), []term{transport(13, 1, reg(0))}, masked(expr.CmpOpEq, []byte{syn}, []byte{0}))
}

// fromSibling ends the rule for packets that don't come from another node.
func (f *family) fromSibling() []term {
	return []term{
		&expr.Payload{DestRegister: reg(0), Base: expr.PayloadBaseLLHeader, Offset: 6, Len: 6},
		&expr.Lookup{SourceRegister: reg(0), SetName: macs.in(f, 0).name()},
	}
}

// priority loads the packet's priority.
func priority(register uint32) term { return &expr.Meta{Key: expr.MetaKeyPRIORITY, Register: register} }

// leaveWord notes the node in a register in the packet's priority.
func leaveWord(register uint32) []term {
	return []term{&expr.Meta{Key: expr.MetaKeyPRIORITY, SourceRegister: true, Register: register}}
}

// otherWord turns sendOn into sendSecond and back.
func otherWord(register uint32) term {
	return &expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4,
		Mask: []byte{0xff, 0xff, 0xff, 0xff}, Xor: binary.NativeEndian.AppendUint32(nil, sendOn^sendSecond)}
}

// away sends the packet to the node in a register, in place of where it would
// go: a copy, of which connection tracking knows nothing.
func (f *family) away(node uint32, second bool) []term {
	const to = 10
	terms := []term{find(f, nodes, node, reg(to))}
	if second {
		terms = append(terms, f.mark(dataplane.SecondChance)...)
	}
	return append(terms, &expr.Dup{RegAddr: reg(to), RegDev: reg(to + f.words()), IsRegDevSet: true},
		&expr.Verdict{Kind: expr.VerdictDrop})
}
