package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// openbgpd: on Linux it has no kernel table and no BFD.
var openbgpd = &engine{name: "OpenBGPD", programs: []string{"/usr/sbin/bgpd", "bgpctl"}, poll: 10 * time.Millisecond, start: startOpenBGPD}

type openbgpdDaemon struct {
	*process
	role   role
	socket string
}

func startOpenBGPD(ctx context.Context, s *site, r role) (daemon, error) {
	// Its processes shut themselves up in the home of their user.
	if err := os.MkdirAll(filepath.Join(workDir, "openbgpd"), 0o755); err != nil {
		return nil, err
	}
	d := &openbgpdDaemon{role: r, socket: filepath.Join(r.dir, "bgpd.sock")}
	var conf strings.Builder
	fmt.Fprintf(&conf, "AS %d\nrouter-id %v\nlisten on %v\nfib-update no\nsocket \"%s\"\n", r.as, r.addr, r.addr, d.socket)
	if len(r.originate) > 0 {
		fmt.Fprintln(&conf, "prefix-set vips {")
		for _, p := range r.originate {
			fmt.Fprintln(&conf, "\t", p)
		}
		fmt.Fprintln(&conf, "}\nnetwork prefix-set vips")
	}
	for _, p := range r.peers {
		fmt.Fprintf(&conf, "neighbor %v {\n\tremote-as %d\n\tpassive\n\tannounce IPv4 unicast\n}\n", p, r.peerAS)
	}
	fmt.Fprintln(&conf, "allow from any\nallow to any")
	file, err := r.file("bgpd.conf", conf.String())
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(file, 0o600); err != nil {
		return nil, err
	}
	if d.process, err = s.start(r.ns, nil, "/usr/sbin/bgpd", "-d", "-f", file); err != nil {
		return nil, err
	}
	// It answers before it has its configuration.
	return d, until(ctx, "OpenBGPD's own routes", 20*time.Millisecond, func() error {
		if _, err := d.table(ctx); err != nil {
			return err
		}
		n, err := d.own(ctx)
		if err == nil && n != len(r.originate) {
			err = fmt.Errorf("%d of %d", n, len(r.originate))
		}
		return err
	})
}

// ask runs bgpctl, which waits for ever when it comes too early.
func (d *openbgpdDaemon) ask(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return d.role.ns.Output(ctx, "bgpctl", append([]string{"-n", "-s", d.socket}, args...)...)
}

func (d *openbgpdDaemon) add(ctx context.Context, p netip.Prefix) error {
	_, err := d.ask(ctx, "network", "add", p.String())
	return err
}

var openbgpdNetworks = regexp.MustCompile(`(\d+) IPv4 unicast network entries`)

// own is how many prefixes it has before it has sessions.
func (d *openbgpdDaemon) own(ctx context.Context) (int, error) {
	out, err := d.ask(ctx, "show", "rib", "memory")
	if err != nil {
		return 0, err
	}
	m := openbgpdNetworks.FindStringSubmatch(out)
	if m == nil {
		return 0, nil
	}
	return strconv.Atoi(m[1])
}

// table sums the last column: prefixes received, or a state.
func (d *openbgpdDaemon) table(ctx context.Context) (int, error) {
	out, err := d.ask(ctx, "show", "summary")
	if err != nil {
		return 0, err
	}
	sum, neighbors := 0, 0
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 7 || fields[0] == "Neighbor" {
			continue
		}
		neighbors++
		if n, err := strconv.Atoi(fields[len(fields)-1]); err == nil {
			sum += n
		}
	}
	if neighbors == 0 {
		return 0, errors.New("no neighbors yet")
	}
	return sum, nil
}

func (d *openbgpdDaemon) freeze() { d.signal(syscall.SIGSTOP) }
