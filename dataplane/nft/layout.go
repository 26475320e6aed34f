package nft

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos"
)

// family is what differs between the tables.
type family struct {
	index   int
	name    string // the kernel's name of the table's family
	own     string // the table's
	table   nftables.TableFamily
	addr    nftables.SetDatatype
	size    uint32 // of an address, in bytes
	saddr   uint32 // offset of the source address in the network header
	daddr   uint32
	ctDaddr uint32 // key of a connection's destination
	bits    int
}

var families = [2]*family{
	ipv4(0, "ip", "pharos", nftables.TableFamilyIPv4),
	ipv6(1, "ip6", "pharos", nftables.TableFamilyIPv6),
}

func ipv4(index int, name, own string, table nftables.TableFamily) *family {
	return &family{index, name, own, table, nftables.TypeIPAddr, 4, 12, 16, unix.NFT_CT_DST_IP, 32}
}

func ipv6(index int, name, own string, table nftables.TableFamily) *family {
	return &family{index, name, own, table, nftables.TypeIP6Addr, 16, 8, 24, unix.NFT_CT_DST_IP6, 128}
}

// is6 tells the tables of IPv6.
func (f *family) is6() bool { return f.bits == 128 }

// tables is how many tables there are.
const tables = len(families) + len(directFamilies)

// allFamilies are all tables, by index.
var allFamilies = append(families[:], directFamilies[:]...)

func familyOf(a netip.Addr) *family {
	if a.Is6() {
		return families[1]
	}
	return families[0]
}

// path is one of the four ways on which a packet finds its backend. Each has
// maps and sets of its own, keyed by the packet's target.
type path uint8

const (
	frontendPath       path = iota // by address, protocol and port
	frontendInsidePath             // the same, for packets from inside where they have backends of their own
	nodePortPath                   // by protocol and port, at any address of the node
	nodePortInsidePath
	paths
)

var pathNames = [paths]string{"frontends", "inside-frontends", "node-ports", "inside-node-ports"}

func (p path) String() string { return pathNames[p] }
func (p path) nodePort() bool { return p == nodePortPath || p == nodePortInsidePath }
func (p path) inside() bool   { return p == frontendInsidePath || p == nodePortInsidePath }

// kind is one of the sets and maps of both tables.
type kind uint8

const (
	// Each of these is there for every path: kind + path.
	targets   = kind(iota) * kind(paths) // target: all that are served
	rejected                             // target: no backend anywhere
	dropped                              // target: no backend here
	backends                             // target . slot → address . port
	sticky                               // target → chain, with session affinity
	class                                // target: those with a certain number of backends; a set for each number
	everybody                            // target: always masqueraded
	ownNode                              // target: masqueraded for the node itself
	foreign                              // target: masqueraded for sources that aren't the node's pods

	single
)

const (
	guarded      = single + iota // target: with source ranges
	allowed                      // target . client
	clusterIPs                   // addresses that belong to Services and nobody else
	announcedIPs                 // addresses at which Services are reached from outside
	hairpins                     // pod . pod, of this node's pods
	pods                         // networks of this node's pods
	nodeAddrs                    // addresses that serve node ports
	kinds
)

func (k kind) on(p path) kind { return k + kind(p) }

// of splits a kind that is there for every path.
func (k kind) of() (kind, path) {
	if k >= single {
		return k, 0
	}
	return k / kind(paths) * kind(paths), path(k % kind(paths))
}

// setID is one set or map of one table.
type setID uint32

// in returns the set of a kind; n is a class's number of backends, else zero.
func (k kind) in(f *family, n int) setID { return setID(f.index) | setID(k)<<3 | setID(n)<<10 }

func (s setID) family() *family { return allFamilies[s&7] }
func (s setID) kind() kind      { return kind(s >> 3 & 0x7f) }
func (s setID) class() int      { return int(s >> 10) }

// maxBackends is how many backends of a group are used: what a setID can count.
const maxBackends = 1<<22 - 1

var singleNames = map[kind]string{
	guarded: "guarded", allowed: "allowed", clusterIPs: "cluster-ips", announcedIPs: "announced-ips",
	hairpins: "hairpins", pods: "pods", nodeAddrs: "node-addresses",
}

func (s setID) name() string {
	k, p := s.kind().of()
	switch k {
	case targets:
		return p.String()
	case rejected:
		return p.String() + "-rejected"
	case dropped:
		return p.String() + "-dropped"
	case backends:
		return p.String() + "-backends"
	case sticky:
		return p.String() + "-sticky"
	case class:
		return fmt.Sprintf("%s-of-%d", p, s.class())
	case everybody:
		return p.String() + "-masqueraded"
	case ownNode:
		return p.String() + "-masqueraded-for-node"
	case foreign:
		return p.String() + "-masqueraded-for-foreign"
	}
	return cmp.Or(singleNames[k], directNames[k])
}

func (s setID) String() string { return s.family().name + " " + s.family().own + " " + s.name() }

// shared tells the sets whose elements several frontends or Services may want.
func (s setID) shared() bool {
	k := s.kind()
	return k == clusterIPs || k == announcedIPs || k == hairpins || k == directAddrs
}

// networks tells the sets of networks.
func (s setID) networks() bool { k := s.kind(); return k == pods || k == nodeAddrs || k == fits }

// spec is a set as the kernel has to know it.
type spec struct {
	name     string
	key      []nftables.SetDatatype
	data     []nftables.SetDatatype // nil: a set; a verdict or values: a map
	interval bool
	dynamic  bool // packets add elements, with time-outs
	size     uint32
}

func (s *spec) verdicts() bool {
	return len(s.data) == 1 && s.data[0].GetNFTMagic() == nftables.TypeVerdict.GetNFTMagic()
}

// spec returns the set's description.
func (s setID) spec() spec {
	f := s.family()
	k, p := s.kind().of()
	proto, port, mark := nftables.TypeInetProto, nftables.TypeInetService, nftables.TypeMark
	target := []nftables.SetDatatype{f.addr, proto, port}
	if k < single && p.nodePort() {
		target = target[1:]
	}
	result := spec{name: s.name(), key: target}
	switch k {
	case backends:
		result.key, result.data = append(slices.Clip(target), mark), []nftables.SetDatatype{f.addr, port}
	case sticky:
		result.data = []nftables.SetDatatype{nftables.TypeVerdict}
	case allowed:
		result.key, result.interval = append(slices.Clip(target), f.addr), true
	case hairpins:
		result.key = []nftables.SetDatatype{f.addr, f.addr}
	case clusterIPs, announcedIPs:
		result.key = []nftables.SetDatatype{f.addr}
	case pods, nodeAddrs:
		result.key, result.interval = []nftables.SetDatatype{f.addr}, true
	default:
		s.directSpec(&result)
	}
	return result
}

// hasVerdicts tells the maps whose values are verdicts.
func (s setID) hasVerdicts() bool { k, _ := s.kind().of(); return k == sticky }

// fixedSets are the sets that every table has, classes aside.
func (f *family) fixedSets() []setID {
	if f.index >= len(families) {
		return f.directSets()
	}
	var result []setID
	for k := range kinds {
		base, p := k.of()
		switch {
		case base == class:
		case p.inside() && (base == dropped || base == everybody || base == ownNode || base == foreign):
			// From inside all of the cluster's backends are reached, and whether to
			// masquerade is up to the frontend.
		case base == foreign && p.nodePort():
		default:
			result = append(result, k.in(f, 0))
		}
	}
	return result
}

// The pieces of keys and values, each padded to registers of four bytes.

func mark(v uint32) string { return string(binary.NativeEndian.AppendUint32(nil, v)) }

func unmark(b string) uint32 { return binary.NativeEndian.Uint32([]byte(b)) }

func port(v uint16) string { return string([]byte{byte(v >> 8), byte(v), 0, 0}) }

func address(a netip.Addr) string { return string(a.AsSlice()) }

func endpoint(a netip.AddrPort) string { return address(a.Addr()) + port(a.Port()) }

// unendpoint reads what endpoint wrote.
func unendpoint(b string) (netip.AddrPort, bool) {
	n := len(b) - 4
	if n < 0 {
		return netip.AddrPort{}, false
	}
	addr, ok := netip.AddrFromSlice([]byte(b[:n]))
	return netip.AddrPortFrom(addr, uint16(b[n])<<8|uint16(b[n+1])), ok
}

var protocolNumbers = map[pharos.Protocol]byte{pharos.TCP: unix.IPPROTO_TCP, pharos.UDP: unix.IPPROTO_UDP, pharos.SCTP: unix.IPPROTO_SCTP}

func protocol(p pharos.Protocol) string { return string([]byte{protocolNumbers[p], 0, 0, 0}) }
