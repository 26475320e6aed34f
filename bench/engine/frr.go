package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const frrLib = "/usr/lib/frr"

var frr = &engine{name: "FRR", programs: []string{frrLib + "/bgpd", frrLib + "/zebra", "vtysh"}, kernel: true, bfd: true, poll: time.Millisecond, start: startFRR}

type frrDaemon struct {
	*process // bgpd
	others   []*process
	site     *site
	role     role
}

// startFRR runs zebra and bgpd, and bfdd where it is needed, with what Debian's
// package makes the defaults. Without kernel, bgpd keeps its routes from zebra.
func startFRR(ctx context.Context, s *site, r role) (daemon, error) {
	d := &frrDaemon{site: s, role: r}
	if err := d.own(); err != nil {
		return nil, err
	}
	conf, err := r.file("bgpd.conf", d.conf())
	if err != nil {
		return nil, err
	}
	zebra, err := d.run("zebra")
	if err != nil {
		return nil, err
	}
	d.others = append(d.others, zebra)
	if err := d.await(ctx, "zserv.api"); err != nil {
		return nil, err
	}
	if r.bfd > 0 {
		bfdd, err := d.run("bfdd", "--bfdctl", filepath.Join(d.role.dir, "bfdd.sock"))
		if err != nil {
			return nil, err
		}
		d.others = append(d.others, bfdd)
		if err := d.await(ctx, "bfdd.vty"); err != nil {
			return nil, err
		}
	}
	args := []string{"-f", conf}
	if !r.kernel {
		args = append(args, "-n")
	}
	if d.process, err = d.run("bgpd", args...); err != nil {
		return nil, err
	}
	return d, until(ctx, "bgpd's routes", 20*time.Millisecond, func() error {
		s, err := d.summary()
		if err == nil && s.RIBCount < len(r.originate) { // it counts inner nodes of its tree too
			err = fmt.Errorf("%d of %d", s.RIBCount, len(r.originate))
		}
		return err
	})
}

// own gives the directory to FRR's user.
func (d *frrDaemon) own() error {
	u, err := user.Lookup("frr")
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return os.Chown(d.role.dir, uid, gid)
}

func (d *frrDaemon) run(name string, args ...string) (*process, error) {
	return d.site.start(d.role.ns, nil, filepath.Join(frrLib, name), append([]string{
		"-i", filepath.Join(d.role.dir, name+".pid"), "--vty_socket", d.role.dir, "-P", "0",
		"-z", filepath.Join(d.role.dir, "zserv.api"), "--log", "stdout", "--log-level", "warnings"}, args...)...)
}

func (d *frrDaemon) await(ctx context.Context, socket string) error {
	return until(ctx, socket, 20*time.Millisecond, func() error {
		_, err := os.Stat(filepath.Join(d.role.dir, socket))
		return err
	})
}

func (d *frrDaemon) conf() string {
	var b strings.Builder
	r := &d.role
	fmt.Fprintf(&b, "router bgp %d\n bgp router-id %v\n no bgp ebgp-requires-policy\n no bgp network import-check\n", r.as, r.addr)
	for _, p := range r.peers {
		fmt.Fprintf(&b, " neighbor %v remote-as %d\n neighbor %v timers connect 1\n", p, r.peerAS, p)
		if r.passive {
			fmt.Fprintf(&b, " neighbor %v passive\n", p)
		}
		if r.bfd > 0 {
			fmt.Fprintf(&b, " neighbor %v bfd 3 %d %d\n", p, r.bfd.Milliseconds(), r.bfd.Milliseconds())
		}
	}
	fmt.Fprintln(&b, " address-family ipv4 unicast\n  maximum-paths 3")
	for _, p := range r.originate {
		fmt.Fprintf(&b, "  network %v\n", p)
	}
	fmt.Fprintln(&b, " exit-address-family")
	return b.String()
}

func (d *frrDaemon) add(ctx context.Context, p netip.Prefix) error {
	_, err := d.role.ns.Output(ctx, "vtysh", "--vty_socket", d.role.dir, "-d", "bgpd",
		"-c", "configure terminal", "-c", fmt.Sprintf("router bgp %d", d.role.as), "-c", "address-family ipv4 unicast", "-c", fmt.Sprintf("network %v", p))
	return err
}

// frrSummary is what is of interest here of FRR's answer.
type frrSummary struct {
	RIBCount int
	Peers    map[string]struct{ PfxRcd int }
}

func (d *frrDaemon) summary() (frrSummary, error) {
	out, err := d.ask("show bgp ipv4 unicast summary json")
	var s frrSummary
	if err == nil {
		if err = json.Unmarshal([]byte(out), &s); err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
	}
	return s, err
}

func (d *frrDaemon) table(context.Context) (int, error) {
	s, err := d.summary()
	n := 0
	for _, p := range s.Peers {
		n += p.PfxRcd
	}
	return n, err
}

// ask is vtysh without its process: a command that ends with a zero octet, and an
// answer that ends with three and the status.
func (d *frrDaemon) ask(command string) (string, error) {
	c, err := net.Dial("unix", filepath.Join(d.role.dir, "bgpd.vty"))
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := c.Write(append([]byte(command), 0)); err != nil {
		return "", err
	}
	in := bufio.NewReader(c)
	out, err := in.ReadString(0)
	return strings.TrimRight(out, "\x00"), err
}

func (d *frrDaemon) freeze() {
	for _, p := range append(d.others, d.process) {
		p.signal(syscall.SIGSTOP)
	}
}
