package ebpf

import (
	"math/bits"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/table"
)

// The constants of bpf/maps.h.
const (
	flagByAddress = 1
	flagGuarded   = 2

	inlined = len(directFrontend{}.Owners)
	nobody  = table.None
	here    = 0

	legUnreachable = 0
	legSegment     = 1
	legTunnel      = 2

	hostSibling = 1
	hostSelf    = 2

	maxNodes = 8192
)

var protocolNumbers = map[pharos.Protocol]uint8{pharos.TCP: unix.IPPROTO_TCP, pharos.UDP: unix.IPPROTO_UDP}

// addrOf returns an address as the programs have it: IPv4 mapped into IPv6.
func addrOf(a netip.Addr) directAddr {
	if !a.IsValid() {
		return directAddr{}
	}
	return directAddr{B: a.As16()}
}

func (a directAddr) addr() netip.Addr { return netip.AddrFrom16(a.B).Unmap() }

// wire returns a port as it is in packets, and back.
func wire(port uint16) uint16 { return bits.ReverseBytes16(port) }

func targetOf(t dataplane.Target) directTarget {
	return directTarget{Addr: addrOf(t.Addr), Port: wire(t.Port), Protocol: protocolNumbers[t.Protocol]}
}

// podOf is the target of a backend.
func podOf(a netip.AddrPort, p pharos.Protocol) directTarget {
	return targetOf(dataplane.Target{Addr: a.Addr(), Port: a.Port(), Protocol: p})
}

// prefixOf is an element of the sources: bits count from the guard's first.
func prefixOf(guard uint32, p netip.Prefix) directSource {
	n := p.Bits()
	if p.Addr().Is4() {
		n += 96
	}
	return directSource{Prefix: 32 + uint32(n), Guard: guard, Addr: addrOf(p.Addr())}
}

// bit is the index of a family in legs and elsewhere.
func bit(ipv6 bool) int {
	if ipv6 {
		return 1
	}
	return 0
}
