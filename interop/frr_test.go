package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
)

const frrLib = "/usr/lib/frr"

// zebra and bgpd on the switch. More is added to bgpd's configuration for each
// neighbor.
func (l *lab) frr(conf string) *process {
	l.t.Helper()
	u, err := user.Lookup("frr")
	l.must(err)
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	l.must(os.Chmod(l.dir, 0o755), os.Chown(l.dir, uid, gid))
	zebra := l.file("zebra.conf", "hostname switch\n")
	bgpd := l.file("bgpd.conf", conf)
	start := func(name string, args ...string) func() {
		return l.run(filepath.Join(frrLib, name), append(args,
			"-i", filepath.Join(l.dir, name+".pid"), "--vty_socket", l.dir, "-P", "0",
			"-z", filepath.Join(l.dir, "zserv.api"), "--log", "stdout", "--log-level", "warnings")...)
	}
	start("zebra", "-f", zebra)
	l.eventually("zebra's socket", func() error {
		_, err := os.Stat(filepath.Join(l.dir, "zserv.api"))
		return err
	})
	p := &process{run: func(bool) func() {
		os.Remove(filepath.Join(l.dir, "bgpd.vty"))
		stop := start("bgpd", "-f", bgpd)
		l.eventually("bgpd's terminal", func() error {
			_, err := l.vtysh("show version")
			return err
		})
		return stop
	}}
	p.first()
	return p
}

func (l *lab) vtysh(commands ...string) (string, error) {
	args := []string{"--vty_socket", l.dir, "-d", "bgpd"}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	return l.ask("vtysh", args...)
}

// frrPath is a path in FRR's table.
type frrPath struct {
	Valid     bool
	Multipath bool
	Bestpath  bool
	Path      string
	PeerID    string
	Origin    string
	LocPrf    uint32
	MED       *uint32 `json:"metric"`
	NextHops  []struct{ IP, Scope string }
}

// frrTable reads FRR's table of a family.
func (l *lab) frrTable(family string) (map[string][]frrPath, error) {
	out, err := l.vtysh("show bgp " + family + " unicast json")
	if err != nil {
		return nil, err
	}
	var table struct{ Routes map[string][]frrPath }
	if err := json.Unmarshal([]byte(out), &table); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return table.Routes, nil
}

// wantFRR waits for FRR to have a prefix from these peers, or from none.
func (l *lab) wantFRR(family, prefix string, check func(frrPath) error, peers ...string) {
	l.t.Helper()
	l.eventually("FRR's route to "+prefix, func() error {
		table, err := l.frrTable(family)
		if err != nil {
			return err
		}
		var from []string
		for _, p := range table[prefix] {
			from = append(from, p.PeerID)
			if check != nil {
				err = errors.Join(err, check(p))
			}
		}
		if slices.Sort(from); !slices.Equal(from, peers) {
			err = errors.Join(err, fmt.Errorf("from %v, want %v", from, peers))
		}
		return err
	})
}

// frrConf is bgpd's configuration for peers that are like each other.
func frrConf(extra string, peers ...netip.Addr) string {
	var b, v4, v6 strings.Builder
	fmt.Fprintf(&b, "router bgp %d\n bgp router-id 1.1.1.1\n no bgp ebgp-requires-policy\n no bgp network import-check\n no bgp default ipv4-unicast\n", switchAS)
	for _, p := range peers {
		fmt.Fprintf(&b, " neighbor %v remote-as %d\n", p, nodeAS)
		fmt.Fprintf(&v4, "  neighbor %v activate\n", p)
		fmt.Fprintf(&v6, "  neighbor %v activate\n", p)
	}
	fmt.Fprint(&b, extra)
	fmt.Fprintf(&b, " address-family ipv4 unicast\n  maximum-paths 3\n  network 198.51.100.0/24\n%s exit-address-family\n", &v4)
	fmt.Fprintf(&b, " address-family ipv6 unicast\n  maximum-paths 3\n  network 2001:db8:ffff::/48\n%s exit-address-family\n", &v6)
	return b.String()
}

// Three of our speakers announce one address: FRR has three paths, and its kernel
// three next hops; one says goodbye, and there are two.
func TestFRRSpreadsOverThreeSpeakers(t *testing.T) {
	t.Parallel()
	need(t, "vtysh", frrLib+"/bgpd")
	l := newLab(t, 3)
	l.frr(frrConf("", l.nodes[0].v4, l.nodes[1].v4, l.nodes[2].v4))
	attrs := &bgp.Attrs{Origin: wire.OriginIncomplete, Communities: []wire.Community{nodeAS<<16 | 100}}
	var speakers []*speaker
	for _, m := range l.nodes {
		s := l.speak(m, m.peer())
		s.announce("switch", attrs, "172.19.100.1/32", "2001:db8:100::1/128")
		speakers = append(speakers, s)
	}
	check := func(p frrPath) error {
		if !p.Valid || p.Path != "65211" || p.Origin != "incomplete" || p.MED != nil && *p.MED != 0 || len(p.NextHops) == 0 || !p.Multipath && !p.Bestpath {
			return fmt.Errorf("got %+v", p)
		}
		return nil
	}
	l.wantFRR("ipv4", "172.19.100.1/32", check, "10.10.2.112", "10.10.2.113", "10.10.2.114")
	l.wantFRR("ipv6", "2001:db8:100::1/128", check, "10.10.2.112", "10.10.2.113", "10.10.2.114")
	l.wantKernel("172.19.100.1/32", "10.10.2.112", "10.10.2.113", "10.10.2.114")
	l.wantKernel("2001:db8:100::1/128", "2001:db8:2::112", "2001:db8:2::113", "2001:db8:2::114")
	if out, err := l.vtysh("show bgp ipv4 unicast 172.19.100.1/32"); err != nil || strings.Count(out, "Community: 65211:100") != 3 {
		t.Errorf("communities (%v):\n%s", err, out)
	}

	speakers[0].announce("switch", nil, "172.19.100.1/32")
	l.wantKernel("172.19.100.1/32", "10.10.2.113", "10.10.2.114")
	l.wantKernel("2001:db8:100::1/128", "2001:db8:2::112", "2001:db8:2::113", "2001:db8:2::114")

	speakers[1].stop()
	l.wantKernel("172.19.100.1/32", "10.10.2.114")
	l.eventually("FRR's reason", func() error {
		out, err := l.vtysh("show bgp neighbors 10.10.2.113")
		if err == nil && !strings.Contains(out, "Administrative Shutdown") {
			err = fmt.Errorf("no Cease/Administrative Shutdown in:\n%s", out)
		}
		return err
	})
}

// A second neighbor's password, wrong: no session, and the good one does not care.
func TestFRRWrongPassword(t *testing.T) {
	t.Parallel()
	need(t, "vtysh", frrLib+"/bgpd")
	l := newLab(t, 2)
	good, bad := l.nodes[0], l.nodes[1]
	l.frr(frrConf(fmt.Sprintf(" neighbor %v password one\n neighbor %v password two\n", good.v4, bad.v4), good.v4, bad.v4))
	b := l.speak(bad, bad.peer(func(c *bgp.Config) { c.Password = "three" }))
	g := l.speak(good, good.peer(func(c *bgp.Config) { c.Password = "one" }))
	g.heard.WaitUp(t, "switch", 1)
	l.eventually("two attempts that fail", func() error {
		st := b.Status()[0]
		if st.State == bgp.Established {
			t.Fatal("established with the wrong password")
		}
		if st.LastError.Down.Cause != bgp.CauseConnectFailed {
			return fmt.Errorf("last error: %v", st.LastError.Down)
		}
		return nil
	})
	// Put right, it comes up.
	l.must(b.SetPeers([]bgp.Config{bad.peer(func(c *bgp.Config) { c.Password = "two" })}))
	b.heard.WaitUp(t, "switch", 1)
	if n := g.heard.Heard("switch").Ups; n != 1 {
		t.Errorf("the good session was established %d times", n)
	}
}
