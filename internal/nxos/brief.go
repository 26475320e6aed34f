package nxos

import (
	"fmt"
	"slices"
	"strings"
)

// briefView is show ip interface brief.
type briefView struct {
	interfaces []Interface
	devices    []string          // that are up
	names      map[string]string // by device
}

// up says that an interface has a network, and with it a carrier.
func (v *briefView) up(i *Interface) bool {
	return slices.ContainsFunc(v.devices, func(device string) bool { return interfaceName(device, v.names) == i.Name })
}

func state(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

func (v *briefView) each(f func(name, addr, proto, link, admin string)) {
	for i := range v.interfaces {
		iface := &v.interfaces[i]
		addr := "unassigned"
		if iface.Forward {
			addr = "forward-enabled"
		}
		for _, a := range iface.Addrs {
			if a.Addr().Is4() {
				addr = a.Addr().String()
				break
			}
		}
		up := v.up(iface)
		f(shortInterface(iface.Name), addr, state(up), state(up), state(!iface.Shutdown))
	}
}

func (v *briefView) text() string {
	var b strings.Builder
	b.WriteString("IP Interface Status for VRF \"default\"(1)\n")
	fmt.Fprintf(&b, "%-20s %-15s %s\n", "Interface", "IP Address", "Interface Status")
	v.each(func(name, addr, proto, link, admin string) {
		fmt.Fprintf(&b, "%-20s %-15s protocol-%s/link-%s/admin-%s\n", name, addr, proto, link, admin)
	})
	return b.String()
}

func (v *briefView) json() object {
	var rows []object
	v.each(func(name, addr, proto, link, admin string) {
		rows = append(rows, object{}.str("intf-name", name).str("prefix", addr).
			str("proto-state", proto).str("link-state", link).str("admin-state", admin))
	})
	return object{}.table("intf", rows)
}
