package interop

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// frr is FRR's bgpd, with zebra for kernel routes.
type frr struct {
	*process
	l    *lab
	maps map[string]string // route-maps by what they set
}

func (d *frr) start(neighbors []neighbor) {
	d.l.t.Helper()
	var b, v4, v6 strings.Builder
	// Both are offered to all.
	restart, stale := neighbors[0].times()
	fmt.Fprintf(&b, `router bgp %d
 bgp router-id 1.1.1.1
 no bgp ebgp-requires-policy
 no bgp network import-check
 no bgp default ipv4-unicast
 coalesce-time 10
 bgp graceful-restart restart-time %d
 bgp graceful-restart notification
 bgp graceful-restart preserve-fw-state
`, switchAS, restart)
	if slices.ContainsFunc(neighbors, func(n neighbor) bool { return n.longLived }) {
		fmt.Fprintf(&b, " bgp long-lived-graceful-restart stale-time %d\n", stale)
	}
	for _, n := range neighbors {
		line := func(format string, args ...any) {
			fmt.Fprintf(&b, " neighbor %v %s\n", n.remote, fmt.Sprintf(format, args...))
		}
		line("remote-as %d", n.as)
		line("description %s", n.name)
		line("update-source %v", n.local)
		line("timers connect 1")
		if n.password != "" {
			line("password %s", n.password)
		}
		if n.passive {
			line("passive")
		}
		if n.hold != nil {
			line("timers %d %d", *n.hold/3, *n.hold)
		}
		if n.restart {
			line("graceful-restart")
		}
		if n.role != "" {
			line("local-role %s", n.role)
		}
		if n.gtsm {
			line("ttl-security hops 1")
		}
		if n.hop6 {
			line("capability extended-nexthop")
		}
		for _, text := range []*strings.Builder{&v4, &v6} {
			fmt.Fprintf(text, "  neighbor %v activate\n  neighbor %v prefix-list exported out\n", n.remote, n.remote)
			if n.addPath {
				fmt.Fprintf(text, "  neighbor %v addpath-tx-all-paths\n", n.remote)
			}
		}
	}
	fmt.Fprintf(&b, " address-family ipv4 unicast\n%s exit-address-family\n", &v4)
	fmt.Fprintf(&b, " address-family ipv6 unicast\n%s exit-address-family\n!\n", &v6)
	for _, p := range exported {
		ip := strings.TrimSuffix(family(p.Addr()), "v4")
		fmt.Fprintf(&b, "%s prefix-list exported permit %v le %d\n", ip, p, p.Addr().BitLen())
	}
	d.maps = make(map[string]string)
	d.process = d.l.frr(b.String())
}

// configure enters commands under "router bgp", after others if there are any.
func (d *frr) configure(before []string, commands ...string) error {
	lines := append([]string{"configure terminal"}, before...)
	_, err := d.l.vtysh(append(append(lines, fmt.Sprintf("router bgp %d", switchAS)), commands...)...)
	return err
}

// decode asks for JSON.
func (d *frr) decode(into any, command string) (string, error) {
	out, err := d.l.vtysh(command + " json")
	if err == nil {
		if err = json.Unmarshal([]byte(out), into); err != nil {
			err = fmt.Errorf("%s: %w: %s", command, err, out)
		}
	}
	return out, err
}

func (d *frr) session(n neighbor) (session, error) {
	var answer map[string]struct {
		State string `json:"bgpState"`
		Hold  int    `json:"bgpTimerHoldTimeMsecs"`
	}
	words, err := d.decode(&answer, "show bgp neighbors "+n.remote.String())
	a := answer[n.remote.String()]
	return session{a.State == "Established", a.Hold / 1000, words}, err
}

func (d *frr) routes(p netip.Prefix) ([]path, error) {
	type text struct{ String string }
	var answer struct {
		Paths []struct {
			ASPath            text
			Origin            string
			Metric, LocPrf    uint32
			Community         text
			LargeCommunity    text
			ExtendedCommunity text
			NextHops          []struct{ IP, Scope string }
			Peer              struct{ PeerID string }
			Stale             bool
			Sourced           bool
		}
	}
	if _, err := d.decode(&answer, fmt.Sprintf("show bgp %s unicast %v", family(p.Addr()), p)); err != nil {
		return nil, err
	}
	var out []path
	for _, a := range answer.Paths {
		q := path{
			aspath: a.ASPath.String, origin: strings.ToLower(a.Origin), med: a.Metric, localPref: a.LocPrf,
			communities: a.Community.String, largeCommunities: a.LargeCommunity.String, stale: a.Stale, extCommunities: a.ExtendedCommunity.String,
		}
		if !a.Sourced {
			q.from, _ = netip.ParseAddr(a.Peer.PeerID)
		}
		for _, h := range a.NextHops {
			if h.Scope != "link-local" {
				q.nextHop, _ = netip.ParseAddr(h.IP)
			}
		}
		if q.aspath == "Local" {
			q.aspath = "" // what an internal path has
		}
		out = append(out, q)
	}
	return out, nil
}

func (d *frr) count(n neighbor, family int) (int, error) {
	var answer map[string]struct {
		Families map[string]struct {
			Accepted int `json:"acceptedPrefixCounter"`
		} `json:"addressFamilyInfo"`
	}
	_, err := d.decode(&answer, "show bgp neighbors "+n.remote.String())
	return answer[n.remote.String()].Families[fmt.Sprintf("ipv%dUnicast", family)].Accepted, err
}

func (d *frr) originate(r route) error {
	var set []string
	if r.med > 0 {
		set = append(set, fmt.Sprintf("set metric %d", r.med))
	}
	if len(r.communities) > 0 {
		set = append(set, "set community "+strings.Join(r.communities, " "))
	}
	if len(r.largeCommunities) > 0 {
		set = append(set, "set large-community "+strings.Join(r.largeCommunities, " "))
	}
	// A route-map for each set of attributes, left in place: bgpd 8.4 may die of
	// another in its stead.
	key := strings.Join(set, "\n")
	name, ok := d.maps[key]
	if ok {
		set = nil
	} else {
		name = fmt.Sprintf("announce%d", len(d.maps))
		set = append([]string{"route-map " + name + " permit 10"}, set...)
	}
	err := d.configure(set, "address-family "+family(r.prefix.Addr())+" unicast", fmt.Sprintf("network %v route-map %s", r.prefix, name))
	if err == nil {
		d.maps[key] = name
	}
	return err
}

func (d *frr) withdraw(p netip.Prefix) error {
	return d.configure(nil, "address-family "+family(p.Addr())+" unicast", fmt.Sprintf("no network %v", p))
}

func (d *frr) refresh(n neighbor) error {
	_, err := d.l.vtysh(fmt.Sprintf("clear bgp %v in", n.remote))
	return err
}

func (d *frr) disable(n neighbor, text string) error {
	return d.configure(nil, fmt.Sprintf("neighbor %v shutdown message %s", n.remote, text))
}

func (d *frr) enable(n neighbor) error {
	return d.configure(nil, fmt.Sprintf("no neighbor %v shutdown", n.remote))
}

func (d *frr) reset(n neighbor) error {
	_, err := d.l.vtysh(fmt.Sprintf("clear bgp %v", n.remote))
	return err
}
