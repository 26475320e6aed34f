package interop

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// openbgpd is OpenBGPD's daemon; FRR's has the same name and lies elsewhere.
const openbgpd = "/usr/sbin/bgpd"

// obgpd is OpenBGPD. The portable one has no kernel routes and takes every next hop
// for reachable.
type obgpd struct {
	process
	l    *lab
	ctl  string
	conf string
}

// openbgpdHome gives OpenBGPD the directory it locks itself into. The sandbox has
// mounts of its own, so nobody else sees it.
var openbgpdHome = sync.OnceValue(func() error {
	u, err := user.Lookup("_openbgpd")
	if err != nil {
		return err
	}
	if err := unix.Mount("run", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount on /run: %w", err)
	}
	return os.MkdirAll(u.HomeDir, 0o755)
})

func (d *obgpd) start(neighbors []neighbor) {
	l := d.l
	l.t.Helper()
	l.must(openbgpdHome())
	// Its next hop for routes of the family that is not the session's is the first
	// address that it finds on the loopback, or it dies if there is none.
	for _, args := range []string{"addr flush dev lo", "addr add 10.10.2.210/32 dev lo", "addr add 2001:db8:2::210/128 dev lo"} {
		_, err := l.ask("ip", strings.Fields(args)...)
		l.must(err)
	}
	d.ctl = filepath.Join(l.dir, "bgpd.sock")
	var b strings.Builder
	fmt.Fprintf(&b, "AS %d\nrouter-id 1.1.1.1\nconnect-retry 1\nfib-update no\nsocket \"%s\"\n", switchAS, d.ctl)
	for _, n := range neighbors {
		fmt.Fprintf(&b, "neighbor %v {\n\tremote-as %d\n\tdescr %s\n\tlocal-address %v\n\tannounce IPv4 unicast\n\tannounce IPv6 unicast\n", n.remote, n.as, n.name, n.local)
		if n.password != "" {
			fmt.Fprintf(&b, "\ttcp md5sig password \"%s\"\n", n.password)
		}
		if n.passive {
			fmt.Fprintf(&b, "\tpassive\n")
		}
		for option, on := range map[string]bool{
			"announce policy " + n.role: n.role != "", "announce enhanced refresh yes": n.enhanced, "ttl-security yes": n.gtsm,
			"announce add-path recv yes\n\tannounce add-path send all": n.addPath,
		} {
			if on {
				fmt.Fprintf(&b, "\t%s\n", option)
			}
		}
		fmt.Fprintf(&b, "}\n")
	}
	fmt.Fprintf(&b, "allow from any\ndeny to any\n")
	for _, p := range exported {
		fmt.Fprintf(&b, "allow to any prefix %v or-longer\n", p)
	}
	d.conf = l.file("bgpd.conf", b.String())
	l.must(os.Chmod(d.conf, 0o600)) // it insists
	d.run = func(bool) func() {
		os.Remove(d.ctl)
		stop := l.run(openbgpd, "-d", "-f", d.conf)
		l.eventually("OpenBGPD's socket", func() error {
			_, err := d.ask("show")
			return err
		})
		return stop
	}
	d.first()
}

func (d *obgpd) ask(args ...string) (string, error) {
	return d.l.ask("bgpctl", append([]string{"-s", d.ctl}, args...)...)
}

// decode asks for JSON.
func (d *obgpd) decode(into any, args ...string) (string, error) {
	out, err := d.ask(append([]string{"-j"}, args...)...)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return out, nil
}

func (d *obgpd) session(n neighbor) (session, error) {
	var answer struct {
		Neighbors []struct {
			State   string
			Session struct{ HoldTime int }
		}
	}
	words, err := d.decode(&answer, "show", "neighbor", n.remote.String())
	if err == nil && len(answer.Neighbors) != 1 {
		err = fmt.Errorf("%d neighbors in %s", len(answer.Neighbors), words)
	}
	if err != nil {
		return session{}, err
	}
	a := answer.Neighbors[0]
	return session{a.State == "Established", a.Session.HoldTime, words}, nil
}

func (d *obgpd) routes(p netip.Prefix) ([]path, error) {
	var answer struct {
		RIB []struct {
			ASPath            string
			ExitNextHop       netip.Addr `json:"exit_nexthop"`
			Origin            string
			Metric, LocalPref uint32
			Communities       []string
			LargeCommunities  []string `json:"large_communities"`
			Stale             bool
			Neighbor          struct {
				Address string `json:"remote_addr"`
			}
		}
	}
	if _, err := d.decode(&answer, "show", "rib", "detail", p.String()); err != nil {
		return nil, err
	}
	var out []path
	for _, a := range answer.RIB {
		q := path{
			aspath: a.ASPath, origin: strings.ToLower(a.Origin), nextHop: a.ExitNextHop, med: a.Metric, localPref: a.LocalPref,
			communities: strings.Join(a.Communities, " "), largeCommunities: strings.Join(a.LargeCommunities, " "), stale: a.Stale,
		}
		q.from, _ = netip.ParseAddr(a.Neighbor.Address)
		out = append(out, q)
	}
	return out, nil
}

func (d *obgpd) count(n neighbor, family int) (int, error) {
	var answer struct {
		RIB []struct{ Prefix netip.Prefix }
	}
	_, err := d.decode(&answer, "show", "rib", map[int]string{4: "inet", 6: "inet6"}[family], "neighbor", n.remote.String())
	return len(answer.RIB), err
}

func (d *obgpd) originate(r route) error {
	args := []string{"network", "add", r.prefix.String()}
	if r.med > 0 {
		args = append(args, "med", fmt.Sprint(r.med))
	}
	for _, c := range r.communities {
		args = append(args, "community", c)
	}
	for _, c := range r.largeCommunities {
		args = append(args, "large-community", c)
	}
	_, err := d.ask(args...)
	return err
}

func (d *obgpd) withdraw(p netip.Prefix) error {
	_, err := d.ask("network", "delete", p.String())
	return err
}

func (d *obgpd) refresh(n neighbor) error { return d.neighbor(n, "refresh") }

func (d *obgpd) disable(n neighbor, text string) error { return d.neighbor(n, "down", text) }

func (d *obgpd) enable(n neighbor) error { return d.neighbor(n, "up") }

func (d *obgpd) reset(n neighbor) error { return d.neighbor(n, "clear") }

func (d *obgpd) neighbor(n neighbor, args ...string) error {
	_, err := d.ask(append([]string{"neighbor", n.remote.String()}, args...)...)
	return err
}
