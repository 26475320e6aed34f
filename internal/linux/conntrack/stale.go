package conntrack

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// Stale are the frontends whose connections may lead to a backend that is no longer
// theirs, each with those that are. UDP has no end that connection tracking could
// see: a client that goes on sending from one port would stay with a backend that is
// gone, or with none if it began before there was one. Of a direct frontend's TCP the
// node that has the connection need not see the end: it may come to another owner. A
// client that takes the port again, days later, would be sent to the pod that is gone.
type Stale map[dataplane.Target]map[netip.AddrPort]bool

// Note compares what a Service was with what it is; either may be nil.
func (s Stale) Note(was, is *dataplane.Service) {
	before := backends(was)
	after := backends(is)
	for target, is := range after {
		old, known := before[target]
		if !known || len(old) == 0 && len(is) > 0 {
			s[target] = is // packets may have passed untranslated
			continue
		}
		for b := range old {
			if !is[b] {
				s[target] = is
				break
			}
		}
		if _, pending := s[target]; pending {
			s[target] = is
		}
	}
	for target := range before {
		if _, kept := after[target]; !kept && target.Protocol == pharos.UDP {
			s[target] = nil
		}
	}
}

// backends returns, from both sides, the backends of a Service's UDP frontends and
// those that own connections of its other direct ones.
func backends(s *dataplane.Service) map[dataplane.Target]map[netip.AddrPort]bool {
	if s == nil {
		return nil
	}
	var result map[dataplane.Target]map[netip.AddrPort]bool
	for i := range s.Frontends {
		fe := &s.Frontends[i]
		if fe.Protocol != pharos.UDP && !fe.Direct {
			continue
		}
		all := map[netip.AddrPort]bool{}
		for _, index := range []int{fe.Outside, fe.Inside} {
			for j := range s.Groups[index].Backends {
				all[s.Groups[index].Backends[j].Addr] = true
			}
			if t := s.Groups[index].Table; t != nil && fe.Protocol != pharos.UDP {
				for j := range t.Owners {
					all[t.Owners[j].Addr] = true
				}
			}
		}
		if result == nil {
			result = map[dataplane.Target]map[netip.AddrPort]bool{}
		}
		result[fe.Target] = all
	}
	return result
}

// Flush makes the kernel forget the connections, and returns how many there
// were. What was done is no longer stale. The network namespace is given as a file
// descriptor; zero means the program's own.
func (s Stale) Flush(ns int) (uint64, error) {
	if len(s) == 0 {
		return 0, nil
	}
	at := netns.None() // the current one
	if ns != 0 {
		at = netns.NsHandle(ns)
	}
	handle, err := netlink.NewHandleAt(at, unix.NETLINK_NETFILTER, unix.NETLINK_ROUTE)
	if err != nil {
		return 0, fmt.Errorf("forget stale connections: %w", err)
	}
	defer handle.Close()
	own, err := ownAddresses(handle)
	if err != nil {
		return 0, fmt.Errorf("forget stale connections: %w", err)
	}
	var total uint64
	for i, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		filter := staleFilter{s, own, i == 1}
		if !filter.any() {
			continue
		}
		n, err := handle.ConntrackDeleteFilters(netlink.ConntrackTable, family, filter)
		total += uint64(n)
		if err != nil {
			return total, fmt.Errorf("forget stale connections: %w", err)
		}
	}
	clear(s)
	return total, nil
}

// ownAddresses returns the node's addresses: those at which node ports answer.
func ownAddresses(handle *netlink.Handle) (map[netip.Addr]bool, error) {
	addrs, err := handle.AddrList(nil, unix.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	own := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		own[addrOf(a.IP)] = true
	}
	return own, nil
}

func addrOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

// staleFilter picks stale connections of one family.
type staleFilter struct {
	stale Stale
	own   map[netip.Addr]bool
	ipv6  bool
}

func (f staleFilter) any() bool {
	for target := range f.stale {
		if target.Addr.Is6() == f.ipv6 {
			return true
		}
	}
	return false
}

// MatchConntrackFlow reports whether a connection was made to a stale frontend
// and does not lead to one of its backends.
func (f staleFilter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	protocol, known := protocols[flow.Forward.Protocol]
	if !known || protocol != pharos.UDP && flow.Reverse.SrcIP.Equal(flow.Forward.DstIP) {
		return false // not ours, or not translated
	}
	dst := addrOf(flow.Forward.DstIP)
	target := dataplane.Target{Addr: dst, Protocol: protocol, Port: flow.Forward.DstPort}
	backends, ok := f.stale[target]
	if !ok && f.own[dst] {
		target.Addr = netip.IPv4Unspecified()
		if f.ipv6 {
			target.Addr = netip.IPv6Unspecified()
		}
		backends, ok = f.stale[target]
	}
	return ok && !backends[netip.AddrPortFrom(addrOf(flow.Reverse.SrcIP), flow.Reverse.SrcPort)]
}

// protocols are those of Services by their numbers.
var protocols = map[uint8]pharos.Protocol{unix.IPPROTO_TCP: pharos.TCP, unix.IPPROTO_UDP: pharos.UDP, unix.IPPROTO_SCTP: pharos.SCTP}
