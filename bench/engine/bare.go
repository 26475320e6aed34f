package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// bareObject is the id of bareBatch's next-hop object.
const bareObject = 1

// bareBatch is the limit: how long the kernel takes for the routes alone, asked by as
// little as can be: one next-hop object, messages made beforehand, 256 KiB of them at
// a time, and no acknowledgement but the last one's. Someone listens, as in the other
// measurements, and says when all are there.
func (s *site) bareBatch(ctx context.Context, prefixes []netip.Prefix) (time.Duration, error) {
	link, err := s.near.Link().LinkByName("eth0")
	if err != nil {
		return 0, err
	}
	k, err := follow(s.near)
	if err != nil {
		return 0, err
	}
	defer k.close()
	var fd int
	err = s.near.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("open rtnetlink: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 1<<20); err != nil {
		return 0, err
	}
	batches := bareMessages(prefixes, link.Attrs().Index)
	written := make(chan error, 1)
	begin := time.Now()
	go func() { written <- writeBatches(fd, batches) }()
	end, err := k.until(ctx, has(len(prefixes)))
	if err := errors.Join(<-written, err); err != nil {
		return 0, fmt.Errorf("a bare batch of routes: %w", err)
	}
	return end.Sub(begin), nil
}

// writeBatches returns when the kernel has done the last message.
func writeBatches(fd int, batches [][]byte) error {
	for _, b := range batches {
		if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return err
		}
	}
	// The kernel does what it is sent before Sendto returns; refusals wait to be read.
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	return eachMessage(answer[:n], func(uint16, []byte) {})
}

func bareMessages(prefixes []netip.Prefix, device int) (batches [][]byte) {
	hop := []byte{unix.AF_INET, 0, unix.RTPROT_STATIC, 0, 0, 0, 0, 0} // struct nhmsg
	hop = attribute(hop, unix.NHA_ID, binary.NativeEndian.AppendUint32(nil, bareObject))
	hop = attribute(hop, unix.NHA_OIF, binary.NativeEndian.AppendUint32(nil, uint32(device)))
	hop = attribute(hop, unix.NHA_GATEWAY, farAddrs[0].AsSlice())
	batch := netlinkMessage(nil, unix.RTM_NEWNEXTHOP, 0, hop)
	for i, p := range prefixes {
		flags := uint16(0)
		if i == len(prefixes)-1 {
			flags = unix.NLM_F_ACK
		}
		route := []byte{unix.AF_INET, 32, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST, 0, 0, 0, 0} // struct rtmsg
		route = attribute(route, unix.RTA_DST, p.Addr().AsSlice())
		route = attribute(route, rtaNexthopID, binary.NativeEndian.AppendUint32(nil, bareObject))
		batch = netlinkMessage(batch, unix.RTM_NEWROUTE, flags, route)
		if len(batch) >= 256<<10 || flags != 0 {
			batches = append(batches, batch)
			batch = nil
		}
	}
	return batches
}

// attribute appends one of four octets.
func attribute(dst []byte, kind uint16, value []byte) []byte {
	dst = binary.NativeEndian.AppendUint16(dst, uint16(unix.SizeofRtAttr+len(value)))
	return append(binary.NativeEndian.AppendUint16(dst, kind), value...)
}

func netlinkMessage(dst []byte, kind, flags uint16, body []byte) []byte {
	dst = binary.NativeEndian.AppendUint32(dst, uint32(unix.SizeofNlMsghdr+len(body)))
	dst = binary.NativeEndian.AppendUint16(dst, kind)
	dst = binary.NativeEndian.AppendUint16(dst, unix.NLM_F_REQUEST|unix.NLM_F_CREATE|flags)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0) // sequence number and port: none
	return append(dst, body...)
}
