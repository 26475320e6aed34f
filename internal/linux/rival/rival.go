package rival

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// Program is one of another data plane.
type Program struct {
	Owner  string // the data plane's name
	Name   string // the program's, as the kernel has it: 15 characters at most
	Device string
}

// String names it as in "cil_from_netdev of Cilium at eth0".
func (p Program) String() string { return fmt.Sprintf("%s of %s at %s", p.Name, p.Owner, p.Device) }

// owners are the data planes, by how the names of their programs begin that
// carry Services at a node's devices.
var owners = []struct{ prefix, owner string }{
	{"cil_from_netdev", "Cilium"},
	{"cil_xdp_entry", "Cilium"},
	{"cali_tc_", "Calico"},
	{"calico_tc_", "Calico"},
	{"balancer_ingres", "Katran"},
}

// Find looks at the ingress of the devices of the thread's network namespace. What
// it may not look at it passes over.
func Find() ([]Program, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	var found []Program
	for _, l := range links {
		if !addressed(l) {
			continue
		}
		for _, name := range names(l) {
			if owner := ownerOf(name); owner != "" {
				found = append(found, Program{Owner: owner, Name: name, Device: l.Attrs().Name})
			}
		}
	}
	return found, nil
}

func ownerOf(name string) string {
	for _, o := range owners {
		if strings.HasPrefix(name, o.prefix) {
			return o.owner
		}
	}
	return ""
}

// addressed tells whether a device has an address that others can send to.
func addressed(l netlink.Link) bool {
	addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if a.IP.IsGlobalUnicast() {
			return true
		}
	}
	return false
}

// names are those of the programs at a device's ingress.
func names(l netlink.Link) []string {
	var result []string
	if xdp := l.Attrs().Xdp; xdp != nil && xdp.Attached {
		result = append(result, nameOf(ebpf.ProgramID(xdp.ProgId))...)
	}
	if q, err := link.QueryPrograms(link.QueryOptions{Target: l.Attrs().Index, Attach: ebpf.AttachTCXIngress}); err == nil {
		for _, p := range q.Programs {
			result = append(result, nameOf(p.ID)...)
		}
	}
	filters, err := netlink.FilterList(l, netlink.HANDLE_MIN_INGRESS)
	if err != nil {
		return result
	}
	for _, f := range filters {
		if b, ok := f.(*netlink.BpfFilter); ok {
			result = append(result, b.Name)
		}
	}
	return result
}

func nameOf(id ebpf.ProgramID) []string {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return nil
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return nil
	}
	return []string{info.Name}
}
