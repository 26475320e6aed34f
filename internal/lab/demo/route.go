package demo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/pharoslb/pharos/internal/lab"
)

const vip = lab.VIP

// sessions is step 5.
func (d *Demo) sessions(ctx context.Context) (string, error) {
	plan := d.lab.Topology()
	if err := d.until(ctx, d.onSwitch("show ip bgp summary"), func(out string) error { return established(out, plan, 0) }); err != nil {
		return "", err
	}
	for _, message := range []string{"Opens", "Keepalives"} {
		err := d.until(ctx, d.onSwitch("show ip bgp neighbors | include "+message), func(out string) error { return exchanged(out, message, len(plan.Nodes)) })
		if err != nil {
			return "", err
		}
	}
	// The kernel's view, from both ends: who opened the connection, and from
	// where.
	err := d.until(ctx, d.in(lab.Switch, "ss -Htn state established sport = :179"), func(out string) error {
		return connections(out, func(local, peer netip.AddrPort) error {
			if peer.Port() < 1024 {
				return fmt.Errorf("%s is no ephemeral port", peer)
			}
			return nil
		}, 3)
	})
	if err != nil {
		return "", fmt.Errorf("on the switch: %w", err)
	}
	err = d.nodes(func(n lab.NodePlan) error {
		return d.until(ctx, d.in(n.Name, "ss -Htn state established dport = :179"), func(out string) error {
			return connections(out, func(local, peer netip.AddrPort) error {
				if local.Addr() != n.Addr || peer != netip.AddrPortFrom(plan.Switch, 179) {
					return fmt.Errorf("connected from %s to %s", local, peer)
				}
				return nil
			}, 1)
		})
	})
	if err != nil {
		return "", err
	}
	return "3 Established, each node → 10.10.2.210:179", nil
}

// established checks a summary: each node is a neighbor whose session is up and
// has delivered so many prefixes.
func established(summary string, plan lab.Topology, prefixes int) error {
	rows := map[string]string{}
	for line := range strings.Lines(summary) {
		f := strings.Fields(line)
		if len(f) == 10 && f[1] == "4" {
			rows[f[0]] = f[9]
		}
	}
	for _, n := range plan.Nodes {
		if got := rows[n.Addr.String()]; got != fmt.Sprint(prefixes) {
			return fmt.Errorf("neighbor %s: State/PfxRcd is %q, want %d", n.Addr, got, prefixes)
		}
	}
	if len(rows) != len(plan.Nodes) {
		return fmt.Errorf("%d neighbors, want %d", len(rows), len(plan.Nodes))
	}
	return nil
}

// exchanged checks that so many neighbors list a message as sent and received:
// `Opens: 1 1`.
func exchanged(out, message string, neighbors int) error {
	n := 0
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] != message+":" || f[1] == "0" || f[2] == "0" {
			return fmt.Errorf("%s not exchanged: %q", message, line)
		}
		n++
	}
	if n != neighbors {
		return fmt.Errorf("%d neighbors list %s, want %d", n, message, neighbors)
	}
	return nil
}

// connections checks the rows of ss, without its State column.
func connections(out string, check func(local, peer netip.AddrPort) error, want int) error {
	n := 0
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 4 {
			return fmt.Errorf("row %q", line)
		}
		local, err := netip.ParseAddrPort(f[2])
		if err != nil {
			return err
		}
		peer, err := netip.ParseAddrPort(f[3])
		if err != nil {
			return err
		}
		if err := check(local, peer); err != nil {
			return err
		}
		n++
	}
	if n != want {
		return fmt.Errorf("%d connections, want %d", n, want)
	}
	return nil
}

// service is step 6.
func (d *Demo) service(ctx context.Context) (string, error) {
	if _, err := d.once(ctx, d.kubectl(lab.ServiceCommand)); err != nil {
		return "", err
	}
	err := d.until(ctx, d.kubectl("kubectl get svc ng-svc"), func(out string) error {
		if f := strings.Fields(out); !slices.Contains(f, vip) {
			return fmt.Errorf("EXTERNAL-IP is not %s", vip)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	// What arrived at the switch: who sent an UPDATE, and with which next hop.
	plan := d.lab.Topology()
	err = d.until(ctx, d.onSwitch("show ip bgp"), func(out string) error {
		hops := bgpPaths(out)
		for _, n := range plan.Nodes {
			if hops[n.Addr.String()] == "" {
				return fmt.Errorf("no path of %s with next hop %s", vip, n.Addr)
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if err := d.until(ctx, d.onSwitch("show ip bgp summary"), func(out string) error { return established(out, plan, 1) }); err != nil {
		return "", err
	}
	return vip + ", UPDATEs from 3 nodes, next hop the node's own", nil
}

// bgpPaths reads `show ip bgp`: the status codes of the VIP's path by each next
// hop.
func bgpPaths(out string) map[string]string {
	paths := map[string]string{}
	network := ""
	for line := range strings.Lines(out) {
		// Status, type and network are columns of fixed width: `*>e172.19.100.1/32    10.10.2.113`.
		if len(line) < 24 || !strings.ContainsAny(line[:3], "*x>|e") || strings.Contains(line, "codes:") {
			continue
		}
		f := strings.Fields(line[3:])
		if len(f) > 0 && strings.Contains(f[0], "/") {
			network, f = f[0], f[1:]
		}
		if len(f) == 0 || network != vip+"/32" {
			continue
		}
		if _, err := netip.ParseAddr(f[0]); err == nil {
			paths[f[0]] = line[:3]
		}
	}
	return paths
}

// routes is step 7.
func (d *Demo) routes(ctx context.Context) (string, error) {
	plan := d.lab.Topology()
	var addrs []string
	for _, n := range plan.Nodes {
		addrs = append(addrs, n.Addr.String())
	}
	err := d.until(ctx, d.onSwitch("show ip route bgp"), func(out string) error {
		if !strings.Contains(out, vip+"/32, ubest/mbest: 3/0") {
			return errors.New("not three best paths")
		}
		for _, addr := range addrs {
			if !strings.Contains(out, "*via "+addr+", [20/0], ") {
				return fmt.Errorf("no next hop %s", addr)
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	err = d.until(ctx, d.onSwitch("show ip bgp"), func(out string) error {
		best, multi := 0, 0
		for _, codes := range bgpPaths(out) {
			switch codes[:2] {
			case "*>":
				best++
			case "*|":
				multi++
			}
		}
		if best != 1 || multi != 2 {
			return fmt.Errorf("%d best paths and %d multipaths, want 1 and 2", best, multi)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	// The kernel forwards packets, not the routing table above.
	if err := d.until(ctx, d.in(lab.Switch, kernelRoute), func(out string) error { return hops(out, addrs) }); err != nil {
		return "", fmt.Errorf("in the switch's kernel: %w", err)
	}
	return "3 next hops: " + strings.Join(addrs, ", "), nil
}

// kernelRoute asks a kernel for its route to the VIP.
const kernelRoute = "ip route show " + vip

// hops checks that ip(8) lists one route, with these next hops:
//
//	172.19.100.1 nhid 7 proto 179 metric 2179
//		nexthop via 10.10.2.112 dev Ethernet1-1 weight 1
//		nexthop via 10.10.2.113 dev Ethernet1-1 weight 1
func hops(routes string, want []string) error {
	n, got := 0, []string{}
	for line := range strings.Lines(routes) {
		if !strings.HasPrefix(line, "\t") {
			n++
		}
		f := strings.Fields(line)
		if i := slices.Index(f, "via"); i >= 0 && i+1 < len(f) {
			got = append(got, f[i+1])
		}
	}
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(want)); n != 1 || !slices.Equal(got, want) {
		return fmt.Errorf("%d routes, next hops %v, want one with %v", n, got, want)
	}
	return nil
}
