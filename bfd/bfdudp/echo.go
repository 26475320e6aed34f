package bfdudp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/bfd"
)

const (
	// refresh is how long a neighbour's link-layer address is believed, reread how
	// long that there is none.
	refresh = time.Second
	reread  = 20 * time.Millisecond
)

// echoes are the sockets of the echo function, and the neighbours it sends by.
type echoes struct {
	tx    int // packet socket that receives nothing
	known map[hop]neighbours
}

// hop is a device and a family of addresses.
type hop struct {
	device int
	v6     bool
}

// neighbours are link-layer addresses, read at some time.
type neighbours struct {
	at     time.Time
	byAddr map[netip.Addr]net.HardwareAddr
}

func (t *Transport) openEchoes() error {
	x := &echoes{tx: -1, known: make(map[hop]neighbours)}
	var rx []*receiver
	err := t.do(func() (err error) {
		if x.tx, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return err
		}
		for _, v6 := range []bool{false, true} {
			fd, err := listenEcho(v6)
			if err != nil {
				return err
			}
			rx = append(rx, newReceiver(fd, bfd.EchoPacket, v6))
		}
		return nil
	})
	if err != nil {
		x.close()
		for _, r := range rx {
			unix.Close(r.fd)
		}
		return fmt.Errorf("%w: open packet socket: %w", bfd.ErrNoEcho, err)
	}
	t.echo = x
	for _, r := range rx {
		r.heard = time.Now()
		t.add(r)
	}
	return nil
}

func (x *echoes) close() {
	if x != nil && x.tx >= 0 {
		unix.Close(x.tx)
	}
}

// listenEcho opens a packet socket for echoes that come back. Outgoing packets are seen
// only by sockets of all protocols.
func listenEcho(v6 bool) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	protocol, code := uint16(unix.ETH_P_IP), echo4
	if v6 {
		protocol, code = unix.ETH_P_IPV6, echo6
	}
	if err = attach(fd, code); err == nil {
		if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err == nil {
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: swap(protocol)})
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// swap is htons.
func swap(v uint16) uint16 { return v<<8 | v>>8 }

// Lengths of headers without options.
const (
	ip4Len = 20
	ip6Len = 40
	udpLen = 8
)

// echo4 and echo6 keep unfragmented UDP for port 3785 without IP options.
var (
	echo4 = []unix.SockFilter{
		stmt(loadByte, 9),
		jump(unix.BPF_JEQ, unix.IPPROTO_UDP, 0, 7),
		stmt(loadByte, 0),
		jump(unix.BPF_JEQ, 0x45, 0, 5),
		stmt(loadHalf, 6),
		jump(unix.BPF_JSET, 0x3fff, 3, 0),
		stmt(loadHalf, ip4Len+2),
		jump(unix.BPF_JEQ, bfd.PortEcho, 0, 1),
		stmt(ret, int(takeAll)),
		stmt(ret, 0),
	}
	echo6 = []unix.SockFilter{
		stmt(loadByte, 6),
		jump(unix.BPF_JEQ, unix.IPPROTO_UDP, 0, 3),
		stmt(loadHalf, ip6Len+2),
		jump(unix.BPF_JEQ, bfd.PortEcho, 0, 1),
		stmt(ret, int(takeAll)),
		stmt(ret, 0),
	}
)

// echo reads the headers of a packet that the filter kept. ok is false if it did not
// come back from our own address.
func (r *receiver) echo(i int, d *bfd.Datagram) (ok bool) {
	ll := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&r.names[i]))
	d.Interface = int(ll.Ifindex)
	b := d.Data
	switch {
	case ll.Pkttype == unix.PACKET_OTHERHOST:
		return false
	case r.v6 && len(b) >= ip6Len+udpLen:
		d.TTL = b[7]
		d.Source, d.Destination = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		d.Data = b[ip6Len+udpLen:]
	case !r.v6 && len(b) >= ip4Len+udpLen:
		d.TTL = b[8]
		d.Source, d.Destination = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		d.Data = b[ip4Len+udpLen:]
	default:
		return false
	}
	return d.Source == d.Destination
}

// SendEcho is bfd.Endpoint's. The packet goes to the peer's link-layer address and to
// our own IP address, so that the peer forwards it back (RFC 5881 §4).
func (e *endpoint) SendEcho(b []byte) error {
	if e.t.echo == nil {
		if err := e.t.openEchoes(); err != nil {
			return err
		}
	}
	mac, err := e.neighbour()
	if err != nil {
		return err
	}
	to := &unix.SockaddrLinklayer{Protocol: swap(unix.ETH_P_IP), Ifindex: e.hop.device, Halen: uint8(len(mac))}
	copy(to.Addr[:], mac)
	packet := make([]byte, 0, ip6Len+udpLen+len(b))
	if e.hop.v6 {
		to.Protocol = swap(unix.ETH_P_IPV6)
		packet = e.header6(packet, len(b))
	} else {
		packet = e.header4(packet, len(b))
	}
	packet = e.udp(packet, b)
	return unix.Sendto(e.t.echo.tx, packet, 0, to)
}

// neighbour finds the peer's link-layer address. The control packets see to it that the
// kernel knows it.
func (e *endpoint) neighbour() (net.HardwareAddr, error) {
	x := e.t.echo
	if e.hop.device == 0 {
		device := e.device
		if device == 0 {
			routes, err := e.t.ns.Link().RouteGet(e.path.Remote.AsSlice())
			if err != nil || len(routes) == 0 {
				return nil, fmt.Errorf("find the way to %v: %w", e.path.Remote, err)
			}
			device = routes[0].LinkIndex
		}
		e.hop = hop{device, e.path.Remote.Is6()}
	}
	n, now := x.known[e.hop], time.Now()
	mac := n.byAddr[e.path.Remote]
	if age := now.Sub(n.at); age > refresh || mac == nil && age > reread {
		list, err := e.t.ns.Link().NeighList(e.hop.device, family(e.hop.v6))
		if err != nil {
			return nil, fmt.Errorf("list neighbours: %w", err)
		}
		n = neighbours{now, make(map[netip.Addr]net.HardwareAddr, len(list))}
		for _, l := range list {
			if a, ok := netip.AddrFromSlice(l.IP); ok && len(l.HardwareAddr) > 0 && l.State&(unix.NUD_FAILED|unix.NUD_INCOMPLETE) == 0 {
				n.byAddr[a.Unmap()] = l.HardwareAddr
			}
		}
		x.known[e.hop] = n
		mac = n.byAddr[e.path.Remote]
	}
	if mac == nil {
		return nil, fmt.Errorf("the kernel does not know the link-layer address of %v", e.path.Remote)
	}
	return mac, nil
}

func family(v6 bool) int {
	if v6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

func (e *endpoint) header4(b []byte, n int) []byte {
	a := e.local.As4()
	b = append(b, 0x45, networkControl)
	b = binary.BigEndian.AppendUint16(b, uint16(ip4Len+udpLen+n))
	b = append(b, 0, 0, 0x40, 0, ttl, unix.IPPROTO_UDP, 0, 0)
	b = append(append(b, a[:]...), a[:]...)
	binary.BigEndian.PutUint16(b[10:], ^fold(sum(0, b)))
	return b
}

func (e *endpoint) header6(b []byte, n int) []byte {
	a := e.local.As16()
	b = append(b, 0x60|networkControl>>4, networkControl<<4&0xff, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(udpLen+n))
	b = append(b, unix.IPPROTO_UDP, ttl)
	return append(append(b, a[:]...), a[:]...)
}

// udp appends the UDP header and the payload, with the checksum that covers the pseudo
// header of source, destination, protocol and length.
func (e *endpoint) udp(b, payload []byte) []byte {
	start, length := len(b), udpLen+len(payload)
	b = binary.BigEndian.AppendUint16(b, e.port)
	b = binary.BigEndian.AppendUint16(b, bfd.PortEcho)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, 0, 0)
	b = append(b, payload...)
	a := e.local.AsSlice()
	s := sum(sum(uint32(unix.IPPROTO_UDP+length), a), a)
	check := ^fold(sum(s, b[start:]))
	if check == 0 {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(b[start+6:], check)
	return b
}

// sum adds 16-bit words (RFC 1071).
func sum(s uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
