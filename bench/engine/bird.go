package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var bird = &engine{name: "BIRD", programs: []string{"bird", "birdc"}, kernel: true, bfd: true, poll: time.Millisecond, start: startBIRD}

type birdDaemon struct {
	*process
	role    role
	control string // socket
}

func startBIRD(ctx context.Context, s *site, r role) (daemon, error) {
	d := &birdDaemon{role: r, control: filepath.Join(r.dir, "bird.ctl")}
	conf, err := d.write()
	if err != nil {
		return nil, err
	}
	if d.process, err = s.start(r.ns, nil, "bird", "-f", "-c", conf, "-s", d.control, "-P", filepath.Join(r.dir, "bird.pid")); err != nil {
		return nil, err
	}
	return d, until(ctx, "BIRD's own routes", 20*time.Millisecond, func() error {
		n, err := d.imported("own")
		if err == nil && n != len(r.originate) {
			err = fmt.Errorf("%d of %d", n, len(r.originate))
		}
		return err
	})
}

// write writes the configuration.
func (d *birdDaemon) write() (file string, err error) {
	var conf strings.Builder
	r := &d.role
	fmt.Fprintf(&conf, "log stderr { info, remote, warning, error, fatal };\nrouter id %v;\nprotocol device {}\nprotocol static own {\n\tipv4;\n", r.addr)
	for _, p := range r.originate {
		fmt.Fprintf(&conf, "\troute %v blackhole;\n", p)
	}
	fmt.Fprintln(&conf, "}")
	if r.kernel {
		fmt.Fprintln(&conf, "protocol kernel { ipv4 { export all; }; merge paths on; }")
	}
	extra, export := "", "none"
	if r.bfd > 0 {
		fmt.Fprintf(&conf, "protocol bfd { interface \"eth0\" { interval %d ms; multiplier 3; }; }\n", r.bfd.Milliseconds())
		extra = "bfd on;"
	}
	if r.passive {
		extra += " passive;"
	}
	if len(r.originate) > 0 {
		export = "all"
	}
	for i, p := range r.peers {
		fmt.Fprintf(&conf, `protocol bgp peer%d {
	local %v as %d;
	neighbor %v as %d;
	connect delay time 1; connect retry time 1; error wait time 1, 2; %s
	ipv4 { import all; export %s; };
}
`, i, r.addr, r.as, p, r.peerAS, extra, export)
	}
	return r.file("bird.conf", conf.String())
}

func (d *birdDaemon) add(ctx context.Context, p netip.Prefix) error {
	d.role.originate = append(d.role.originate, p)
	if _, err := d.write(); err != nil {
		return err
	}
	_, err := d.role.ns.Output(ctx, "birdc", "-s", d.control, "configure")
	return err
}

func (d *birdDaemon) table(context.Context) (int, error) {
	sum := 0
	for i := range d.role.peers {
		n, err := d.imported(fmt.Sprint("peer", i))
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

var birdImported = regexp.MustCompile(`Routes: +(\d+) imported`)

// imported is how many routes a protocol of BIRD's has put into the table, as BIRD
// counts them: asking costs it little.
func (d *birdDaemon) imported(protocol string) (int, error) {
	out, err := d.ask("show protocols all " + protocol)
	if err != nil {
		return 0, err
	}
	m := birdImported.FindStringSubmatch(out)
	if m == nil {
		return 0, nil // the session is down
	}
	return strconv.Atoi(m[1])
}

// ask is birdc without its process: a command on the socket, lines until one that
// begins with a code and a space.
func (d *birdDaemon) ask(command string) (string, error) {
	c, err := net.Dial("unix", d.control)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := fmt.Fprintln(c, command); err != nil {
		return "", err
	}
	lines := bufio.NewScanner(c)
	var out strings.Builder
	for lines.Scan() {
		line := lines.Text()
		final := len(line) > 4 && line[4] == ' ' && line[0] >= '0' && line[0] <= '9'
		switch {
		case final && strings.HasPrefix(line, "0001 "): // the greeting
			continue
		case final && line[0] >= '8':
			return "", fmt.Errorf("bird: %s: %s", command, line)
		}
		fmt.Fprintln(&out, line)
		if final {
			return out.String(), nil
		}
	}
	return "", fmt.Errorf("bird: %s: no answer (%w)", command, lines.Err())
}

func (d *birdDaemon) freeze() { d.signal(syscall.SIGSTOP) }
