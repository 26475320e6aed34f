package demo

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// ipvs looks at what ipvsadm(8) shows on a node until there is a round-robin
// virtual service of each address to the backends, and at the interface that holds
// the addresses.
func (d *Demo) ipvs(ctx context.Context, node string, addrs, backends []string) error {
	err := d.until(ctx, d.in(node, "ipvsadm -ln"), func(out string) error {
		for _, addr := range addrs {
			if err := virtualService(out, addr, backends); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.must(ctx, d.in(node, "ip link show kube-ipvs0; ip -4 addr show kube-ipvs0"), func(out string) error {
		if !strings.Contains(out, "<BROADCAST,NOARP>") || !strings.Contains(out, "state DOWN") {
			return fmt.Errorf("kube-ipvs0 is not down, or answers ARP")
		}
		for _, addr := range addrs {
			if !strings.Contains(out, "inet "+addr+"/32 ") {
				return fmt.Errorf("kube-ipvs0 does not hold %s", addr)
			}
		}
		return nil
	})
}

// virtualService checks that ipvsadm's listing holds, as the original
// deployment's does,
//
//	TCP  172.19.100.1:80 rr
//	  -> 10.233.64.16:80              Masq    1      0          0
//
// and a line such as the second one for each backend, and no others. Its last two
// numbers are those of connections.
func virtualService(listing, addr string, backends []string) error {
	head := "TCP  " + addr + ":80 rr"
	_, rest, ok := strings.Cut("\n"+listing, "\n"+head+"\n")
	if !ok {
		return fmt.Errorf("no line %q", head)
	}
	var found []string
	for line := range strings.Lines(rest) {
		var to, method string
		var weight, active, inactive int
		if !strings.HasPrefix(line, "  -> ") {
			break
		}
		if n, err := fmt.Sscanf(line, "  -> %s %s %d %d %d", &to, &method, &weight, &active, &inactive); n != 5 {
			return fmt.Errorf("%s: line %q: %w", addr, line, err)
		}
		at, err := netip.ParseAddrPort(to)
		if err != nil || at.Port() != 80 || method != "Masq" || weight != 1 {
			return fmt.Errorf("%s: line %q", addr, line)
		}
		found = append(found, at.Addr().String())
	}
	slices.Sort(found)
	if !slices.Equal(found, backends) {
		return fmt.Errorf("%s leads to %v, want %v", addr, found, backends)
	}
	return nil
}
