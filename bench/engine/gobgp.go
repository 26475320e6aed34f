package main

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// gobgp: Debian's 3.10 has no BFD, and reaches the kernel by way of FRR's zebra only.
var gobgp = &engine{name: "GoBGP", programs: []string{"gobgpd", "gobgp"}, poll: 50 * time.Millisecond, start: startGoBGP}

// feederAS is that of the session that feeds it: routes are not passed on to the AS
// that they come from.
const feederAS = 65002

// gobgpAPI is where it is asked, inside its namespace.
const gobgpAPI = "127.0.0.1:50051"

type gobgpDaemon struct {
	*process
	site   *site
	role   role
	feeder *session
}

// startGoBGP gives the daemon its routes, when there are many, by a session from the
// last far address: its command line takes one a call.
func startGoBGP(ctx context.Context, s *site, r role) (daemon, error) {
	feeder := farAddrs[len(farAddrs)-1]
	var conf strings.Builder
	fmt.Fprintf(&conf, "[global.config]\nas = %d\nrouter-id = \"%v\"\nlocal-address-list = [\"%v\"]\n", r.as, r.addr, r.addr)
	peers := r.peers
	if len(r.originate) > 0 && !slices.Contains(peers, feeder) {
		peers = append(slices.Clone(peers), feeder)
	}
	for _, p := range peers {
		as := r.peerAS
		if len(r.originate) > 0 && p == feeder {
			as = feederAS
		}
		fmt.Fprintf(&conf, `[[neighbors]]
[neighbors.config]
neighbor-address = "%v"
peer-as = %d
[neighbors.transport.config]
passive-mode = true
[neighbors.timers.config]
hold-time = %d
idle-hold-time-after-reset = 1
`, p, as, holdTime)
	}
	file, err := r.file("gobgpd.toml", conf.String())
	if err != nil {
		return nil, err
	}
	d := &gobgpDaemon{site: s, role: r}
	if d.process, err = s.start(r.ns, nil, "gobgpd", "-f", file, "--api-hosts", gobgpAPI, "--pprof-disable", "-l", "warn"); err != nil {
		return nil, err
	}
	if len(r.originate) > 0 {
		err = d.feed(ctx, feeder)
	}
	return d, err
}

func (d *gobgpDaemon) feed(ctx context.Context, from netip.Addr) error {
	var err error
	if d.feeder, err = d.site.connect(ctx, feederAS, from); err != nil {
		return fmt.Errorf("feed the routes: %w", err)
	}
	octets, err := pack(d.role.originate, feederAS, from)
	if err == nil {
		err = d.feeder.send(ctx, octets)
	}
	if err != nil {
		return fmt.Errorf("feed the routes: %w", err)
	}
	return until(ctx, "GoBGP's routes", 100*time.Millisecond, func() error {
		n, err := d.table(ctx)
		if err == nil && n != len(d.role.originate) {
			err = fmt.Errorf("%d of %d", n, len(d.role.originate))
		}
		return err
	})
}

func (d *gobgpDaemon) ask(ctx context.Context, args ...string) (string, error) {
	host, port, _ := strings.Cut(gobgpAPI, ":")
	return d.role.ns.Output(ctx, "gobgp", append([]string{"-u", host, "-p", port}, args...)...)
}

func (d *gobgpDaemon) add(ctx context.Context, p netip.Prefix) error {
	_, err := d.ask(ctx, "global", "rib", "add", p.String())
	return err
}

var gobgpPaths = regexp.MustCompile(`Path: (\d+)`)

func (d *gobgpDaemon) table(ctx context.Context) (int, error) {
	out, err := d.ask(ctx, "global", "rib", "summary")
	if err != nil {
		return 0, err
	}
	m := gobgpPaths.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("gobgp: no number of paths in %q", out)
	}
	return strconv.Atoi(m[1])
}

func (d *gobgpDaemon) freeze() { d.signal(syscall.SIGSTOP) }
