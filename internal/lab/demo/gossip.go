package demo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/pharoslb/pharos/internal/lab"
)

// datagram is a UDP datagram seen on the segment.
type datagram struct {
	from, to netip.AddrPort
	payload  []byte
}

// gossip listens on the segment until every speaker has been heard talking to
// another, and checks that what they say can't be read: a plain datagram of
// memberlist names its sender or its receiver.
func (d *Demo) gossip(ctx context.Context) (string, error) {
	plan := d.lab.Topology()
	heard := map[netip.Addr]datagram{}
	err := d.sniff(ctx, func(p datagram) (done bool, err error) {
		if p.to.Port() != 7946 || !plan.Segment.Contains(p.from.Addr()) {
			return false, nil
		}
		if bytes.Contains(p.payload, []byte("cy01-net")) {
			return true, fmt.Errorf("%s tells %s in plain text: %q", p.from, p.to, p.payload)
		}
		heard[p.from.Addr()] = p
		return len(heard) == len(plan.Nodes), nil
	})
	var text string
	for _, n := range plan.Nodes {
		if p, ok := heard[n.Addr]; ok {
			text += fmt.Sprintf("%s > %s: UDP, length %d: %x…\n", p.from, p.to, len(p.payload), p.payload[:min(24, len(p.payload))])
		}
	}
	d.show(lab.Segment+"#", "(UDP port 7946 on br0, the first of each speaker)", text)
	if err != nil {
		return "", fmt.Errorf("gossip: heard %d of %d speakers: %w", len(heard), len(plan.Nodes), err)
	}
	return "gossip unreadable on the wire", nil
}

// sniff hands each UDP datagram on the segment over, until see is done or
// patience is over.
func (d *Demo) sniff(ctx context.Context, see func(datagram) (bool, error)) error {
	ns, err := d.lab.NS(lab.Segment)
	if err != nil {
		return err
	}
	var file *os.File
	err = ns.Do(func() error {
		// packet(7): the protocol is in network byte order. A bridge takes
		// packets from its ports before protocols of one's own choice see them;
		// all protocols come earlier.
		const every = syscall.ETH_P_ALL << 8
		fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, every)
		if err != nil {
			return fmt.Errorf("listen to the segment: %w", err)
		}
		file = os.NewFile(uintptr(fd), "segment")
		return nil
	})
	if err != nil {
		return err
	}
	defer file.Close()
	defer context.AfterFunc(ctx, func() { file.SetReadDeadline(time.Unix(1, 0)) })()
	file.SetReadDeadline(time.Now().Add(patience))
	packet := make([]byte, 64<<10)
	for {
		n, err := file.Read(packet)
		if err != nil {
			return errors.Join(ctx.Err(), err)
		}
		p, ok := parseUDP(packet[:n])
		if !ok {
			continue
		}
		if done, err := see(p); done || err != nil {
			return err
		}
	}
}

// parseUDP reads an IPv4 packet, RFC 791, with a UDP datagram, RFC 768.
func parseUDP(ip []byte) (datagram, bool) {
	if len(ip) < 20 || ip[0]>>4 != 4 || ip[9] != syscall.IPPROTO_UDP {
		return datagram{}, false
	}
	header := int(ip[0]&0xf) * 4
	if header < 20 || len(ip) < header+8 {
		return datagram{}, false
	}
	udp := ip[header:]
	return datagram{
		from:    netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[12:16])), binary.BigEndian.Uint16(udp)),
		to:      netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[16:20])), binary.BigEndian.Uint16(udp[2:])),
		payload: bytes.Clone(udp[8:]),
	}, true
}
