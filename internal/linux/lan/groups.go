package lan

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/ndp"
)

// groups are the solicited-node groups that are joined on one link. The kernel sets the
// device's filter and tells switches (MLD). The zero value is of none.
type groups struct {
	needed ndp.Groups
	joined map[netip.Addr]int // the socket of each
	fds    []int              // one holds some hundred groups; the last has room, perhaps
}

// add joins the group of an address.
func (g *groups) add(do func(func() error) error, link int, addr netip.Addr) error {
	group, first := g.needed.Add(addr)
	if !first {
		return nil
	}
	request := &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(link)}
	join := func(fd int) error {
		return unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, request)
	}
	err := error(unix.ENOMEM)
	if len(g.fds) > 0 {
		err = join(g.fds[len(g.fds)-1])
	}
	if errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ENOBUFS) { // no room in that one
		err = do(func() error {
			fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			g.fds = append(g.fds, fd)
			return join(fd)
		})
	}
	if err != nil {
		return fmt.Errorf("join group %v: %w", group, err)
	}
	if g.joined == nil {
		g.joined = make(map[netip.Addr]int)
	}
	g.joined[group] = g.fds[len(g.fds)-1]
	return nil
}

// remove leaves the group of an address that was added, unless another one is in it.
func (g *groups) remove(addr netip.Addr) {
	group, last := g.needed.Remove(addr)
	fd, ok := g.joined[group]
	if !last || !ok {
		return
	}
	delete(g.joined, group)
	// Refused only if the link has gone, and the membership with it. Interface 0 is any:
	// the socket has joined the group once.
	_ = unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_LEAVE_GROUP, &unix.IPv6Mreq{Multiaddr: group.As16()})
}

// close leaves them all and forgets the addresses.
func (g *groups) close() {
	for _, fd := range g.fds {
		unix.Close(fd)
	}
	*g = groups{}
}
