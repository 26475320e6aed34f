package interop

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// gobgp is GoBGP, which writes no kernel routes.
type gobgp struct {
	process
	l *lab
}

func (d *gobgp) start(neighbors []neighbor) {
	l := d.l
	l.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, `[global.config]
as = %d
router-id = "1.1.1.1"
[global.apply-policy.config]
export-policy-list = ["own"]
default-export-policy = "reject-route"
`, switchAS)
	for _, n := range neighbors {
		fmt.Fprintf(&b, `[[neighbors]]
[neighbors.config]
neighbor-address = "%v"
peer-as = %d
description = "%s"
auth-password = "%s"
[neighbors.transport.config]
local-address = "%v"
passive-mode = %v
[neighbors.timers.config]
connect-retry = 1
idle-hold-time-after-reset = 1
`, n.remote, n.as, n.name, n.password, n.local, n.passive)
		if n.hold != nil {
			fmt.Fprintf(&b, "hold-time = %d\n", *n.hold)
		}
		restart, stale := n.times()
		if n.restart {
			fmt.Fprintf(&b, "[neighbors.graceful-restart.config]\nenabled = true\nnotification-enabled = true\nlong-lived-enabled = %v\nrestart-time = %d\n", n.longLived, restart)
		}
		if n.gtsm {
			b.WriteString("[neighbors.ttl-security.config]\nenabled = true\nttl-min = 255\n")
		}
		if n.addPath {
			b.WriteString("[neighbors.add-paths.config]\nreceive = true\nsend-max = 8\n")
		}
		for _, family := range []string{"ipv4-unicast", "ipv6-unicast"} {
			fmt.Fprintf(&b, "[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"%s\"\n", family)
			if n.restart {
				b.WriteString("[neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true\n")
			}
			if n.longLived {
				fmt.Fprintf(&b, "[neighbors.afi-safis.long-lived-graceful-restart.config]\nenabled = true\nrestart-time = %d\n", stale)
			}
		}
	}
	b.WriteString("[[policy-definitions]]\nname = \"own\"\n")
	for i := range exported {
		fmt.Fprintf(&b, `[[policy-definitions.statements]]
[policy-definitions.statements.conditions.match-prefix-set]
prefix-set = "own%d"
[policy-definitions.statements.actions]
route-disposition = "accept-route"
`, i)
	}
	for i, p := range exported {
		fmt.Fprintf(&b, `[[defined-sets.prefix-sets]]
prefix-set-name = "own%d"
[[defined-sets.prefix-sets.prefix-list]]
ip-prefix = "%v"
masklength-range = "%d..%d"
`, i, p, p.Bits(), p.Addr().BitLen())
	}
	conf := l.file("gobgpd.toml", b.String())
	d.run = func(again bool) func() {
		args := []string{"-f", conf, "-t", "toml", "--api-hosts", "127.0.0.1:50051", "--pprof-disable"}
		if again {
			args = append(args, "-r")
		}
		stop := l.run("gobgpd", args...)
		l.eventually("GoBGP's API", func() error {
			_, err := l.ask("gobgp", "global")
			return err
		})
		return stop
	}
	d.first()
}

func (d *gobgp) ask(into any, args ...string) (string, error) {
	out, err := d.l.ask("gobgp", append([]string{"-j"}, args...)...)
	if err == nil && into != nil {
		if err = json.Unmarshal([]byte(out), into); err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
	}
	return out, err
}

// gobgpNeighbor is what GoBGP tells of a neighbor.
type gobgpNeighbor struct {
	State struct {
		Session int `json:"session_state"`
	}
	Timers struct {
		State struct {
			Hold int `json:"negotiated_hold_time"`
		}
	}
	Families []struct {
		State struct {
			Family   struct{ AFI int }
			Accepted int
		}
	} `json:"afi_safis"`
}

func (d *gobgp) session(n neighbor) (session, error) {
	var a gobgpNeighbor
	out, err := d.ask(&a, "neighbor", n.remote.String())
	// What the last NOTIFICATION was is known to its log only.
	for line := range strings.Lines(d.l.said.String()) {
		if strings.Contains(line, fmt.Sprintf(`"Key":"%v"`, n.remote)) {
			out += line
		}
	}
	return session{a.State.Session == 6, a.Timers.State.Hold, out}, err
}

func (d *gobgp) count(n neighbor, family int) (int, error) {
	var a gobgpNeighbor
	_, err := d.ask(&a, "neighbor", n.remote.String())
	for _, f := range a.Families {
		if f.State.Family.AFI == map[int]int{4: 1, 6: 2}[family] {
			return f.State.Accepted, err
		}
	}
	return 0, err
}

// family is "ipv4" or "ipv6".
func family(a netip.Addr) string {
	if a.Is4() {
		return "ipv4"
	}
	return "ipv6"
}

func (d *gobgp) routes(p netip.Prefix) ([]path, error) {
	type attribute struct {
		Type    int
		Value   json.RawMessage
		ASPaths []struct{ ASNs []uint32 } `json:"as_paths"`
		NextHop netip.Addr
		Metric  uint32
		// Of LOCAL_PREF and COMMUNITIES.
		Communities []uint32
	}
	var answer map[string][]struct {
		Attrs []attribute
		Stale bool
		From  string `json:"neighbor-ip"`
	}
	if _, err := d.ask(&answer, "global", "rib", "-a", family(p.Addr()), p.String()); err != nil {
		if strings.Contains(err.Error(), "not in table") {
			err = nil
		}
		return nil, err
	}
	var out []path
	for _, a := range answer[p.String()] {
		q := path{stale: a.Stale}
		q.from, _ = netip.ParseAddr(a.From)
		for _, at := range a.Attrs {
			switch at.Type {
			case 1:
				q.origin = map[string]string{"0": "igp", "1": "egp", "2": "incomplete"}[string(at.Value)]
			case 2:
				for _, s := range at.ASPaths {
					q.aspath += strings.Trim(fmt.Sprint(s.ASNs), "[]")
				}
			case 3, 14:
				q.nextHop = at.NextHop
			case 4:
				q.med = at.Metric
			case 5:
				q.localPref = number(string(at.Value))
			case 8:
				for _, c := range at.Communities {
					q.communities += fmt.Sprintf(" %d:%d", c>>16, c&0xffff)
				}
			case 16:
				q.extCommunities = string(at.Value)
			case 32:
				var large []struct{ ASN, LocalData1, LocalData2 uint32 }
				if err := json.Unmarshal(at.Value, &large); err != nil {
					return nil, err
				}
				for _, c := range large {
					q.largeCommunities += fmt.Sprintf(" %d:%d:%d", c.ASN, c.LocalData1, c.LocalData2)
				}
			}
		}
		q.communities, q.largeCommunities = strings.TrimSpace(q.communities), strings.TrimSpace(q.largeCommunities)
		out = append(out, q)
	}
	return out, nil
}

func (d *gobgp) originate(r route) error {
	args := []string{"global", "rib", "add", "-a", family(r.prefix.Addr()), r.prefix.String()}
	if len(r.communities) > 0 {
		args = append(args, "community", strings.Join(r.communities, ","))
	}
	if len(r.largeCommunities) > 0 {
		args = append(args, "large-community", strings.Join(r.largeCommunities, ","))
	}
	if r.med > 0 {
		args = append(args, "med", fmt.Sprint(r.med))
	}
	// Left alone it announces its session's address as the next hop of both families.
	if !r.ownHop {
		hop := switch4
		if r.prefix.Addr().Is6() {
			hop = switch6
		}
		args = append(args, "nexthop", hop.String())
	}
	_, err := d.ask(nil, args...)
	return err
}

func (d *gobgp) withdraw(p netip.Prefix) error {
	_, err := d.ask(nil, "global", "rib", "del", "-a", family(p.Addr()), p.String())
	return err
}

func (d *gobgp) refresh(n neighbor) error { return d.neighbor(n, "softresetin") }

func (d *gobgp) disable(n neighbor, text string) error {
	return d.neighbor(n, "shutdown", "--reason", text)
}

func (d *gobgp) enable(n neighbor) error { return d.neighbor(n, "enable") }

func (d *gobgp) reset(n neighbor) error { return d.neighbor(n, "reset") }

func (d *gobgp) neighbor(n neighbor, args ...string) error {
	_, err := d.ask(nil, append([]string{"neighbor", n.remote.String()}, args...)...)
	return err
}
