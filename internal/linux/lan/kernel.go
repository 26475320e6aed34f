package lan

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/layer2"
)

// kernel is asked about links, and tells when to ask.
type kernel struct {
	exclude []*regexp.Regexp
	asks    *netlink.Conn
	hears   *netlink.Conn
	done    chan struct{}
	ended   sync.WaitGroup
	changed chan struct{} // a token when there is something to look at
	failed  chan error
	dull    atomic.Pointer[map[int]string] // links whose changes are no matter: index → name
}

// nic is a link as the kernel has it.
type nic struct {
	layer2.LinkStatus
	linkLocal netip.Addr
	downs     uint32 // how often it lost its carrier
}

// state is that for a family.
func (n *nic) state(f family) *layer2.LinkState {
	if f == ipv4 {
		return &n.IPv4
	}
	return &n.IPv6
}

// openKernel begins to listen.
func openKernel(opt Options) (*kernel, error) {
	k := &kernel{exclude: opt.Exclude, done: make(chan struct{}), changed: make(chan struct{}, 1), failed: make(chan error, 1)}
	err := opt.Do(func() (err error) {
		if k.asks, err = netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Strict: true}); err != nil {
			return fmt.Errorf("open rtnetlink: %w", err)
		}
		k.hears, err = netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{
			Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE,
		})
		if err != nil {
			k.asks.Close()
			return fmt.Errorf("subscribe to rtnetlink: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	k.ended.Go(k.hear)
	return k, nil
}

func (k *kernel) close() {
	close(k.done)
	k.hears.Close()
	k.ended.Wait()
	k.asks.Close()
}

// hear pokes when links, link-local addresses or connected routes change. Which ones is
// looked up afterwards, so that notices may get lost (ENOBUFS) without harm.
func (k *kernel) hear() {
	for {
		messages, err := k.hears.Receive()
		select {
		case <-k.done:
			return
		default:
		}
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			k.failed <- fmt.Errorf("hear of links: %w", err)
			return
		}
		var dull map[int]string
		if d := k.dull.Load(); d != nil {
			dull = *d
		}
		if err != nil || slices.ContainsFunc(messages, func(m netlink.Message) bool { return matters(m, dull) }) {
			poke(k.changed)
		}
	}
}

// look returns all links with what is to be known of them, by name.
func (k *kernel) look() ([]nic, error) {
	links, err := k.dump(unix.RTM_GETLINK, linkRequest())
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	addrs, err := k.dump(unix.RTM_GETADDR, addrRequest())
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	locals := make(map[int]netip.Addr)
	for _, m := range addrs {
		if index, addr, ok := parseLinkLocal(m.Data); ok && !locals[index].IsValid() {
			locals[index] = addr
		}
	}
	var nics []nic
	dull := make(map[int]string)
	for _, m := range links {
		l, ok := parseLink(m.Data)
		if !ok {
			continue
		}
		n := l.nic(k.exclude, locals[l.index])
		nics = append(nics, n)
		if n.IPv4 == layer2.Excluded || n.IPv4 == layer2.NotEthernet {
			dull[n.Index] = n.Name
		}
	}
	k.dull.Store(&dull)
	for i := range nics {
		if nics[i].IPv4 != layer2.Usable {
			continue
		}
		if nics[i].Prefixes, err = k.connected(nics[i].Index); err != nil {
			return nil, fmt.Errorf("list routes of %s: %w", nics[i].Name, err)
		}
	}
	slices.SortFunc(nics, func(a, b nic) int {
		if a.Name != b.Name && a.Name < b.Name {
			return -1
		}
		return 1
	})
	return nics, nil
}

// connected are the subnets that a link leads to.
func (k *kernel) connected(link int) (out []netip.Prefix, err error) {
	for _, f := range []uint8{unix.AF_INET, unix.AF_INET6} {
		routes, err := k.dump(unix.RTM_GETROUTE, routeRequest(f, link))
		switch {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT):
			continue // no table yet; the link has just gone; no such family
		case err != nil:
			return nil, err
		}
		for _, m := range routes {
			if r, ok := parseRoute(m.Data); ok && r.link == link && r.isSubnet() {
				out = append(out, r.dst)
			}
		}
	}
	slices.SortFunc(out, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	return slices.Compact(out), nil
}

// dump asks for all objects of a kind, again if some changed meanwhile. If they keep
// changing, what is missed is told by the next event.
func (k *kernel) dump(kind uint16, request []byte) (out []netlink.Message, err error) {
	for range 3 {
		out, err = k.asks.Execute(netlink.Message{
			Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request | netlink.Dump},
			Data:   request,
		})
		if err != nil || !slices.ContainsFunc(out, func(m netlink.Message) bool { return m.Header.Flags&netlink.DumpInterrupted != 0 }) {
			break
		}
	}
	return out, err
}
