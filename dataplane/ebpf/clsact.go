package ebpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// clsact attaches by filters of the clsact qdisc, which it makes where there is none.
type clsact struct{ handle *netlink.Handle }

// The filters' place: few programs have so high a priority.
const (
	filterPriority = 0x7068
	filterHandle   = 1
	filterName     = "pharos"
)

func (h hook) parent() uint32 {
	if h.egress {
		return netlink.HANDLE_MIN_EGRESS
	}
	return netlink.HANDLE_MIN_INGRESS
}

func (c *clsact) find(h hook) (*netlink.BpfFilter, error) {
	l := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: h.device}}
	filters, err := c.handle.FilterList(l, h.parent())
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil, nil // no such device, or no such qdisc
	}
	if err != nil {
		return nil, fmt.Errorf("list filters at %s: %w", h, err)
	}
	for _, f := range filters {
		if b, ok := f.(*netlink.BpfFilter); ok && b.Priority == filterPriority && b.Name == filterName {
			return b, nil
		}
	}
	return nil, nil
}

func (c *clsact) filter(h hook) *netlink.BpfFilter {
	return &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: h.device, Parent: h.parent(), Handle: filterHandle, Protocol: unix.ETH_P_ALL, Priority: filterPriority},
		Name:        filterName, DirectAction: true,
	}
}

func (c *clsact) attach(h hook, p *ebpf.Program) (bool, error) {
	was, err := c.find(h)
	if err != nil {
		return true, err
	}
	if was != nil && sameProgram(ebpf.ProgramID(was.Id), p) {
		return false, nil
	}
	qdisc := &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: h.device, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	}
	if err := c.handle.QdiscAdd(qdisc); err != nil && !errors.Is(err, unix.EEXIST) {
		return true, fmt.Errorf("add clsact at %s: %w", h, err)
	}
	f := c.filter(h)
	f.Fd = p.FD()
	if err := c.handle.FilterReplace(f); err != nil {
		return true, fmt.Errorf("attach at %s: %w", h, err)
	}
	return true, nil
}

func (c *clsact) detach(h hook) error {
	was, err := c.find(h)
	if err != nil || was == nil {
		return err
	}
	if err := c.handle.FilterDel(c.filter(h)); err != nil {
		return fmt.Errorf("detach at %s: %w", h, err)
	}
	return nil // the qdisc may be used by others
}

func (c *clsact) attached() ([]hook, error) {
	links, err := c.handle.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	var all []hook
	for _, l := range links {
		for _, egress := range []bool{false, true} {
			h := hook{l.Attrs().Index, egress}
			if f, err := c.find(h); err == nil && f != nil {
				all = append(all, h)
			}
		}
	}
	return all, nil
}

func (c *clsact) close() {}
