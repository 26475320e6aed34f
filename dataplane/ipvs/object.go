package ipvs

import (
	"cmp"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos"
)

// virtualKey is what tells virtual services apart: address, protocol and port,
// or else the mark that packets carry. A mark's address is the unspecified one
// of its family.
type virtualKey struct {
	addr     netip.Addr
	protocol uint16
	port     uint16
	mark     uint32
}

func (k virtualKey) compare(other virtualKey) int {
	return cmp.Or(cmp.Compare(k.mark, other.mark), k.addr.Compare(other.addr), cmp.Compare(k.port, other.port), cmp.Compare(k.protocol, other.protocol))
}

func (k virtualKey) String() string {
	if k.mark != 0 {
		return fmt.Sprintf("virtual service of mark %#x", k.mark)
	}
	return fmt.Sprintf("virtual service %s/%s", netip.AddrPortFrom(k.addr, k.port), protocolNames[uint8(k.protocol)])
}

// virtual is a virtual service with its destinations in the order in which they
// are to be added, which the scheduler mh depends on.
type virtual struct {
	virtualKey
	setting
	dests []dest

	// drains says that destinations that are no longer wanted keep their
	// connections until they end, as those of TCP and SCTP do by themselves. The
	// scheduler mh has no part in this: its destinations are the same on all nodes.
	drains bool
}

// setting is what can be changed of a virtual service.
type setting struct {
	scheduler string
	flags     uint32 // those of flagMask
	timeout   uint32 // seconds that a client stays with its destination; with flagPersistent
}

// The flags of virtual services that are ours to set (linux/ip_vs.h).
const (
	flagPersistent = 0x1
	flagFallback   = 0x8  // schedulers mh and sh: pass destinations that get nothing new
	flagPort       = 0x10 // scheduler mh: the client's port counts too
	flagMask       = flagPersistent | flagFallback | flagPort | 0x20
)

// dest is a destination of a virtual service.
type dest struct {
	addr   netip.AddrPort
	weight int
	method uint32 // of forwarding
}

// Methods of forwarding (linux/ip_vs.h).
const (
	masq  = 0 // translate the destination
	route = 3 // send the packet on as it is
)

// setName is an ipset, without its family.
type setName string

// The sets that the rules look into.
const (
	setPods      setName = "PODS"       // networks of the node's own pods: sources that are inside
	setVIPs      setName = "VIPS"       // addresses on the interface
	setFrontends setName = "FRONTENDS"  // address and port of everything served
	setMark      setName = "MARK"       // frontends whose packets from inside get a mark
	setDropIn    setName = "DROP-IN"    // frontends whose packets vanish
	setDropOut   setName = "DROP-OUT"   //
	setGuarded   setName = "GUARDED"    // frontends that admit some clients alone
	setAllowed   setName = "ALLOWED"    // frontend and client's network
	setMasqIn    setName = "MASQ-IN"    // frontends whose connections get the node's address as source
	setMasqOut   setName = "MASQ-OUT"   //
	setLoop      setName = "LOOP"       // pods as their own clients
	namePrefix           = "PHAROS-"    // of all that is ours
	device               = "kube-ipvs0" // the interface that holds the addresses
)

// kind is what the elements of a set are.
type kind struct {
	typeName string
	revision uint8
	mark     bool // each element carries one
}

// sets lists all sets, in the order in which elements are added: what lets pass
// comes before what refuses, and what a packet is looked up in first comes last.
var sets = []setName{
	setPods, setLoop, setMasqIn, setMasqOut, setAllowed, setGuarded, setMark, setDropIn, setDropOut, setFrontends, setVIPs,
}

func (s setName) kind() kind {
	switch s {
	case setPods:
		return kind{"hash:net", 6, false}
	case setVIPs:
		return kind{"hash:ip", 4, false}
	case setAllowed:
		return kind{"hash:ip,port,net", 7, false}
	case setLoop:
		return kind{"hash:ip,port,ip", 5, false}
	}
	return kind{"hash:ip,port", 5, s == setMark}
}

// rank orders sets as sets does.
func (s setName) rank() int {
	for i, other := range sets {
		if s == other {
			return i
		}
	}
	return len(sets)
}

// in returns the set's name in the kernel.
func (s setName) in(ipv6 bool) string {
	if ipv6 {
		return namePrefix + string(s) + "-6"
	}
	return namePrefix + string(s) + "-4"
}

// elementKey is an element of a set. Which fields count, the set's kind says.
type elementKey struct {
	set      setName
	addr     netip.Addr
	bits     uint8 // of hash:net
	protocol uint8
	port     uint16
	client   netip.Prefix // of hash:ip,port,net and hash:ip,port,ip
}

// element is an element and its mark; zero: it has none.
type element struct {
	elementKey
	mark uint32
}

func (e elementKey) String() string {
	s := e.addr.String()
	if e.set == setPods {
		s = netip.PrefixFrom(e.addr, int(e.bits)).String()
	}
	if e.protocol != 0 {
		s = fmt.Sprintf("%s/%s", netip.AddrPortFrom(e.addr, e.port), protocolNames[e.protocol])
	}
	if e.client.IsValid() {
		s += " from " + e.client.String()
	}
	return "element " + s + " of set " + e.set.in(e.addr.Is6())
}

// compare orders elements by set and family, and then anyhow.
func (e *element) compare(other *element) int {
	return cmp.Or(cmp.Compare(e.set.rank(), other.set.rank()), e.addr.Compare(other.addr), cmp.Compare(e.port, other.port),
		cmp.Compare(e.protocol, other.protocol), e.client.Addr().Compare(other.client.Addr()), cmp.Compare(e.client.Bits(), other.client.Bits()))
}

var protocolNames = map[uint8]pharos.Protocol{unix.IPPROTO_TCP: pharos.TCP, unix.IPPROTO_UDP: pharos.UDP, unix.IPPROTO_SCTP: pharos.SCTP}

// number returns a protocol's, as IP headers have it.
func number(p pharos.Protocol) uint8 {
	switch p {
	case pharos.UDP:
		return unix.IPPROTO_UDP
	case pharos.SCTP:
		return unix.IPPROTO_SCTP
	}
	return unix.IPPROTO_TCP
}
