package radv

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/mdlayher/ndp"
	mnetlink "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// state is what the kernel says of an interface. The zero value is one that cannot
// be used, for whatever reason.
type state struct {
	index int
	addr  netip.Addr // our own link-local address
	mac   string     // octets
}

func (s state) usable() bool { return s.index != 0 }

// concerns says if what a socket received is from another host on its interface. Our
// own messages come back to us; and until it is bound to its interface, which takes
// more than one system call, a new socket hears all the others: what it was queued
// then would be taken for a neighbor that is not on this link.
func (s state) concerns(cm *ipv6.ControlMessage, from netip.Addr) bool {
	return cm != nil && cm.IfIndex == s.index && from.WithZone("") != s.addr
}

// look asks the kernel about an interface of the calling thread's namespace.
func look(name string) (state, error) {
	l, err := netlink.LinkByName(name)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		return state{}, nil
	case err != nil:
		return state{}, fmt.Errorf("interface %s: %w", name, err)
	}
	a := l.Attrs()
	if usable := uint32(unix.IFF_UP | unix.IFF_RUNNING); a.RawFlags&usable != usable {
		return state{}, nil
	}
	addrs, err := netlink.AddrList(l, netlink.FAMILY_V6)
	if err != nil {
		return state{}, fmt.Errorf("addresses of %s: %w", name, err)
	}
	for _, x := range addrs {
		ip, ok := netip.AddrFromSlice(x.IP)
		if ok && ip.IsLinkLocalUnicast() && x.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 {
			return state{a.Index, ip, string(a.HardwareAddr)}, nil
		}
	}
	return state{}, nil
}

// listen opens the socket for router discovery on an interface. The interface goes
// by its number: package net remembers names for a minute, and one that comes back
// has another number.
func listen(s state) (*ndp.Conn, error) {
	ifi := &net.Interface{Index: s.index, Name: strconv.Itoa(s.index), MTU: maxMessage}
	c, _, err := ndp.Listen(ifi, ndp.Addr(s.addr.String()))
	if err != nil {
		return nil, fmt.Errorf("open ICMPv6 socket: %w", err)
	}
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterSolicitation)
	filter.Accept(ipv6.ICMPTypeRouterAdvertisement)
	err = errors.Join(
		c.SetICMPFilter(&filter),
		c.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagInterface, true),
		c.JoinGroup(allNodes),
		c.JoinGroup(allRouters),
	)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("prepare ICMPv6 socket: %w", err)
	}
	return c, nil
}

// maxMessage is the longest message that is read whole; longer ones are damaged by
// the cut and do not count.
const maxMessage = 4096

// subscribe opens a socket that hears of links and IPv6 addresses that change.
func subscribe() (*mnetlink.Conn, error) {
	c, err := mnetlink.Dial(unix.NETLINK_ROUTE, &mnetlink.Config{Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV6_IFADDR})
	if err != nil {
		return nil, fmt.Errorf("subscribe to rtnetlink: %w", err)
	}
	return c, nil
}
