package ipvs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Numbers of the kernel's interface to sets (linux/netfilter/ipset/ip_set.h).
const (
	subsystem = 6

	cmdProtocol = 1
	cmdCreate   = 2
	cmdDestroy  = 3
	cmdList     = 7
	cmdAdd      = 9
	cmdDel      = 10

	attrProtocol = 1
	attrName     = 2
	attrType     = 3
	attrRevision = 4
	attrFamily   = 5
	attrData     = 7
	attrElements = 8 // a list of attrData
	attrLine     = 9

	dataIP       = 1
	dataCIDR     = 3
	dataPort     = 4
	dataProtocol = 7
	dataFlags    = 8
	dataMaximum  = 19
	dataIP2      = 20
	dataCIDR2    = 21
	dataMark     = 27

	addrIPv4 = 1
	addrIPv6 = 2

	flagMarks = 1 << 6 // elements carry marks (skbinfo)

	protocolVersion = 6
	maximum         = 1 << 20 // elements of a set
	chunk           = 400     // elements of a message: its attribute has 64 KiB
)

// ipsets is a connection to the kernel's sets.
type ipsets struct {
	netns int
	conn  *netlink.Conn
}

func (s *ipsets) open() error {
	if s.conn != nil {
		return nil
	}
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: s.netns})
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	s.conn = conn
	return nil
}

func (s *ipsets) close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// do sends a command about a set.
func (s *ipsets) do(command int, name string, flags netlink.HeaderFlags, encode func(*netlink.AttributeEncoder)) ([]netlink.Message, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	ae := netlink.NewAttributeEncoder()
	ae.Uint8(attrProtocol, protocolVersion)
	if name != "" {
		ae.String(attrName, name)
	}
	if encode != nil {
		encode(ae)
	}
	attrs, err := ae.Encode()
	if err != nil {
		return nil, err
	}
	answer, err := s.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(subsystem<<8 | command), Flags: netlink.Request | flags},
		Data:   append([]byte{unix.AF_INET, unix.NFNETLINK_V0, 0, 0}, attrs...),
	})
	if err != nil {
		s.close() // nothing of this exchange may be taken for the next one's
	}
	return answer, err
}

// probe asks for the protocol's version, which every kernel with sets answers.
func (s *ipsets) probe() error {
	_, err := s.do(cmdProtocol, "", 0, nil)
	return err
}

// create makes a set, or does nothing if there is one of the same kind.
func (s *ipsets) create(set setName, ipv6 bool) error {
	k := set.kind()
	_, err := s.do(cmdCreate, set.in(ipv6), netlink.Acknowledge|netlink.Create, func(ae *netlink.AttributeEncoder) {
		ae.String(attrType, k.typeName)
		ae.Uint8(attrRevision, k.revision)
		ae.Uint8(attrFamily, familyOf(ipv6))
		ae.Nested(attrData, func(ae *netlink.AttributeEncoder) error {
			ae.ByteOrder = binary.BigEndian
			if k.mark {
				ae.Uint32(unix.NLA_F_NET_BYTEORDER|dataFlags, flagMarks)
			}
			ae.Uint32(unix.NLA_F_NET_BYTEORDER|dataMaximum, maximum)
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("create set %s: %w", set.in(ipv6), err)
	}
	return nil
}

// destroy removes a set; none is as good.
func (s *ipsets) destroy(set setName, ipv6 bool) error {
	_, err := s.do(cmdDestroy, set.in(ipv6), netlink.Acknowledge, nil)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("destroy set %s: %w", set.in(ipv6), err)
	}
	return nil
}

// change adds or removes elements of one set and family, in messages of chunk.
// One that is there already gets the mark; one that isn't there is removed.
func (s *ipsets) change(command int, elements []element) error {
	for len(elements) > 0 {
		part := elements[:min(len(elements), chunk)]
		elements = elements[len(part):]
		name := part[0].set.in(part[0].addr.Is6())
		_, err := s.do(command, name, netlink.Acknowledge, func(ae *netlink.AttributeEncoder) {
			ae.Uint32(attrLine, 0)
			ae.Nested(attrElements, func(ae *netlink.AttributeEncoder) error {
				for i := range part {
					ae.Nested(attrData, part[i].encode)
				}
				return nil
			})
		})
		if err != nil {
			what := part[0].String()
			if len(part) > 1 {
				what = fmt.Sprintf("%d elements of set %s, the first %s", len(part), name, what)
			}
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

func (e *element) encode(ae *netlink.AttributeEncoder) error {
	ae.ByteOrder = binary.BigEndian
	ae.Nested(dataIP, addrAttr(e.addr))
	switch e.set {
	case setPods:
		ae.Uint8(dataCIDR, e.bits)
		return nil
	case setVIPs:
		return nil
	}
	ae.Uint16(unix.NLA_F_NET_BYTEORDER|dataPort, e.port)
	ae.Uint8(dataProtocol, e.protocol)
	if e.client.IsValid() {
		ae.Nested(dataIP2, addrAttr(e.client.Addr()))
		if e.set == setAllowed {
			ae.Uint8(dataCIDR2, uint8(e.client.Bits()))
		}
	}
	if e.mark != 0 {
		ae.Uint64(unix.NLA_F_NET_BYTEORDER|dataMark, uint64(e.mark)<<32|0xffffffff)
	}
	return nil
}

func addrAttr(a netip.Addr) func(*netlink.AttributeEncoder) error {
	return func(ae *netlink.AttributeEncoder) error {
		if a.Is6() {
			ae.Bytes(unix.NLA_F_NET_BYTEORDER|addrIPv6, a.AsSlice())
		} else {
			ae.Bytes(unix.NLA_F_NET_BYTEORDER|addrIPv4, a.AsSlice())
		}
		return nil
	}
}

// list returns the elements of a set, and whether there is the set at all.
func (s *ipsets) list(set setName, ipv6 bool) ([]element, bool, error) {
	answer, err := s.do(cmdList, set.in(ipv6), netlink.Dump|netlink.Acknowledge, nil)
	if errors.Is(err, unix.ENOENT) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("list set %s: %w", set.in(ipv6), err)
	}
	var result []element
	for _, m := range answer {
		if len(m.Data) < 4 {
			continue
		}
		ad, err := netlink.NewAttributeDecoder(m.Data[4:])
		if err != nil {
			return nil, true, fmt.Errorf("list set %s: %w", set.in(ipv6), err)
		}
		for ad.Next() {
			if ad.Type() != attrElements {
				continue
			}
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					if ad.Type() == attrData {
						e := element{elementKey: elementKey{set: set}}
						ad.Nested(e.decode)
						result = append(result, e)
					}
				}
				return nil
			})
		}
		if err := ad.Err(); err != nil {
			return nil, true, fmt.Errorf("list set %s: %w", set.in(ipv6), err)
		}
	}
	return result, true, nil
}

func (e *element) decode(ad *netlink.AttributeDecoder) error {
	ad.ByteOrder = binary.BigEndian
	var client netip.Addr
	bits := uint8(0xff)
	for ad.Next() {
		switch ad.Type() {
		case dataIP:
			ad.Nested(decodeAddr(&e.addr))
		case dataIP2:
			ad.Nested(decodeAddr(&client))
		case dataCIDR:
			e.bits = ad.Uint8()
		case dataCIDR2:
			bits = ad.Uint8()
		case dataPort:
			e.port = ad.Uint16()
		case dataProtocol:
			e.protocol = ad.Uint8()
		case dataMark:
			e.mark = uint32(ad.Uint64() >> 32)
		}
	}
	if client.IsValid() {
		e.client = netip.PrefixFrom(client, min(int(bits), client.BitLen()))
	}
	return nil
}

func decodeAddr(a *netip.Addr) func(*netlink.AttributeDecoder) error {
	return func(ad *netlink.AttributeDecoder) error {
		for ad.Next() {
			*a, _ = netip.AddrFromSlice(ad.Bytes())
		}
		return nil
	}
}

func familyOf(ipv6 bool) uint8 {
	if ipv6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}
