package radv

import (
	"errors"
	"net"
	"net/netip"

	"github.com/mdlayher/ndp"
)

var (
	allNodes   = netip.MustParseAddr("ff02::1")
	allRouters = netip.MustParseAddr("ff02::2")
)

// Why a message does not count (RFC 4861 §6.1.1 and §6.1.2).
var (
	errHopLimit = errors.New("hop limit is not 255: it may come from afar")
	errSource   = errors.New("source is not link-local")
	errCode     = errors.New("ICMP code is not 0")
	errOption   = errors.New("link-layer address from an unspecified source")
	errType     = errors.New("neither a router solicitation nor an advertisement")
)

// decode reads an ICMPv6 message whose checksum the kernel has seen to.
func decode(b []byte, from netip.Addr, hopLimit int) (event, error) {
	if hopLimit != ndp.HopLimit {
		return nil, errHopLimit
	}
	m, err := ndp.ParseMessage(b)
	if err != nil {
		return nil, err
	}
	if b[1] != 0 {
		return nil, errCode
	}
	from = from.WithZone("")
	switch m := m.(type) {
	case *ndp.RouterAdvertisement:
		if !from.Is6() || !from.IsLinkLocalUnicast() {
			return nil, errSource
		}
		return advertised{from, sourceDevice(m.Options), m.RouterLifetime}, nil
	case *ndp.RouterSolicitation:
		switch {
		case from == netip.IPv6Unspecified():
			if sourceDevice(m.Options) != "" {
				return nil, errOption
			}
		case !from.Is6() || !from.IsLinkLocalUnicast(): // §4.1 allows others; a router on this link has one
			return nil, errSource
		}
		return solicited{from}, nil
	}
	return nil, errType
}

func sourceDevice(options []ndp.Option) string {
	for _, o := range options {
		if l, ok := o.(*ndp.LinkLayerAddress); ok && l.Direction == ndp.Source {
			return l.Addr.String()
		}
	}
	return ""
}

// advertisement is what we send (§4.2): of no use as default router, and with no
// word on addresses.
func advertisement(device net.HardwareAddr) ndp.Message {
	return &ndp.RouterAdvertisement{Options: source(device)}
}

func solicitation(device net.HardwareAddr) ndp.Message {
	return &ndp.RouterSolicitation{Options: source(device)}
}

// source is the option with our own link-layer address, on links that have any.
func source(device net.HardwareAddr) []ndp.Option {
	if len(device) != 6 {
		return nil
	}
	return []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: device}}
}
