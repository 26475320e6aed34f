package nft

import (
	"encoding/binary"
	"slices"

	"github.com/google/nftables"
)

// The tables of direct frontends. The first two carry what an owner does: they
// know pods. The others stand at the devices, before the kernel decides anything
// of a packet: they know nodes.
var directFamilies = [4]*family{
	ipv4(2, "ip", "pharos-direct", nftables.TableFamilyIPv4),
	ipv6(3, "ip6", "pharos-direct", nftables.TableFamilyIPv6),
	ipv4(4, "netdev", "pharos-direct", nftables.TableFamilyNetdev),
	ipv6(5, "netdev", "pharos-direct6", nftables.TableFamilyNetdev),
}

// owner and ingress return the tables of an address family.
func owner(ipv6 bool) *family   { return directFamilies[index(ipv6)] }
func ingress(ipv6 bool) *family { return directFamilies[2+index(ipv6)] }

func index(ipv6 bool) int {
	if ipv6 {
		return 1
	}
	return 0
}

// isIngress tells the tables that stand at the devices.
func (f *family) isIngress() bool { return f.table == nftables.TableFamilyNetdev }

// The sets and maps of direct frontends.
const (
	directAddrs   = kinds + iota // addresses of direct frontends
	directPorts                  // target, with slots by the client's address and port
	directClients                // target, with slots by its address alone
	slots                        // target . slot → pod . port . node of the previous owner; this node's
	slotsAffinity                // the same with slots by address alone
	owners                       // target . slot → node of the current owner, as sendSecond and as sendOn; other nodes'
	ownersAffinity
	nodes     // node → address . device
	macs      // Ethernet addresses that other nodes send from
	tunnelled // node → nothing: those behind a tunnel
	fits      // lengths of packets that a tunnel carries
	clamp     // 0 → TCP's maximum segment size by way of a tunnel
	peers     // addresses from which tunnels lead here
)

var directNames = map[kind]string{
	directAddrs: "addresses", directPorts: "frontends", directClients: "frontends-with-affinity",
	slots: "slots", slotsAffinity: "slots-with-affinity", owners: "owners", ownersAffinity: "owners-with-affinity", nodes: "nodes", macs: "siblings",
	tunnelled: "nodes-behind-tunnels", fits: "lengths-for-tunnels", clamp: "segment-size", peers: "tunnel-peers",
}

// slotsOf and ownersOf return the maps of a kind of frontends.
func slotsOf(frontends kind) kind {
	if frontends == directClients {
		return slotsAffinity
	}
	return slots
}

func ownersOf(frontends kind) kind {
	if frontends == directClients {
		return ownersAffinity
	}
	return owners
}

// isTable tells the maps of slots.
func (k kind) isTable() bool { return k >= slots && k <= ownersAffinity }

// directSets are the sets that every table of direct frontends has.
func (f *family) directSets() []setID {
	all := []kind{directAddrs, directPorts, directClients, slots, slotsAffinity, nodes, macs, pods, clamp, peers}
	if f.isIngress() {
		all = []kind{directAddrs, directPorts, directClients, owners, ownersAffinity, nodes, macs, pods, guarded, allowed, tunnelled, fits}
	}
	var result []setID
	for _, k := range all {
		result = append(result, k.in(f, 0))
	}
	return result
}

// directSpec completes the description of a set of direct frontends.
func (s setID) directSpec(result *spec) {
	f := s.family()
	port, mark := nftables.TypeInetService, nftables.TypeMark
	switch s.kind() {
	case directAddrs:
		result.key = []nftables.SetDatatype{f.addr}
	case slots, slotsAffinity:
		result.key, result.data = append(slices.Clip(result.key), mark), []nftables.SetDatatype{f.addr, port, mark}
	case owners, ownersAffinity:
		result.key, result.data = append(slices.Clip(result.key), mark), []nftables.SetDatatype{mark, mark}
	case nodes:
		result.key, result.data = []nftables.SetDatatype{mark}, []nftables.SetDatatype{f.addr, nftables.TypeIFIndex}
	case tunnelled:
		result.key = []nftables.SetDatatype{mark}
	case fits:
		result.key, result.interval = []nftables.SetDatatype{port}, true
	case clamp:
		result.key, result.data = []nftables.SetDatatype{mark}, []nftables.SetDatatype{port}
	case peers:
		result.key = []nftables.SetDatatype{f.addr}
	case macs:
		result.key = []nftables.SetDatatype{nftables.TypeEtherAddr}
	}
}

// A node's number travels with a packet from the device to the owner's chains in
// the packet's priority, which the kernel sets anew before a packet leaves. Its
// upper half tells it from others' priorities.
const (
	sendOn     = 0x70680000 // to that node at once
	sendSecond = 0x70690000 // to that node where the connection is not known
	numbers    = 1 << 12    // how many nodes can be told apart
)

// dscp returns the two bytes of the header's beginning that hold the
// DSCP, those bits alone.
func (f *family) dscp(value byte) []byte {
	if f.is6() {
		return binary.BigEndian.AppendUint16(nil, uint16(value)<<6)
	}
	return binary.BigEndian.AppendUint16(nil, uint16(value)<<2)
}
