package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptcp"
)

// ours is announce as originator and pharos switch as receiver; where routes are not
// to go into the kernel, a process with the switch's engine, table and decision alone.
var ours = &engine{name: "ours", kernel: true, bfd: true, dials: true, poll: time.Millisecond, start: startOurs}

type oursDaemon struct {
	*process
	site  *site
	role  role
	file  string // announce's
	count string // socket of the table's process
}

func startOurs(ctx context.Context, s *site, r role) (daemon, error) {
	d := &oursDaemon{site: s, role: r}
	var err error
	switch {
	case len(r.originate) > 0:
		err = d.startAnnounce(r)
	case r.kernel:
		err = d.startSwitch(ctx, r)
	default:
		err = d.startReceiver(ctx, r)
	}
	return d, err
}

func (d *oursDaemon) startAnnounce(r role) error {
	if len(r.peers) != 1 {
		return errors.New("announce has one neighbor")
	}
	if err := d.write(); err != nil {
		return err
	}
	args := []string{"-local", fmt.Sprintf("%d@%v", r.as, r.addr), "-peer", fmt.Sprintf("%d@%v", r.peerAS, r.peers[0])}
	if r.bfd > 0 {
		args = append(args, "-bfd", fmt.Sprintf("%vx3", r.bfd))
	}
	var err error
	d.process, err = d.site.start(r.ns, nil, d.site.world.announce, append(args, d.file)...)
	return err
}

// write writes announce's file.
func (d *oursDaemon) write() (err error) {
	var text strings.Builder
	for _, p := range d.role.originate {
		fmt.Fprintln(&text, p)
	}
	d.file, err = d.role.file("vips", text.String())
	return err
}

// add changes the file and says so.
func (d *oursDaemon) add(_ context.Context, p netip.Prefix) error {
	d.role.originate = append(d.role.originate, p)
	if err := d.write(); err != nil {
		return err
	}
	return d.cmd.Process.Signal(syscall.SIGHUP)
}

func (d *oursDaemon) startSwitch(ctx context.Context, r role) error {
	var conf strings.Builder
	fmt.Fprintf(&conf, "interface Ethernet1/1\n  no switchport\n  ip address %v/24\n  no shutdown\n", r.addr)
	if r.bfd > 0 {
		fmt.Fprintf(&conf, "  bfd interval %d min_rx %d multiplier 3\n", r.bfd.Milliseconds(), r.bfd.Milliseconds())
	}
	fmt.Fprintf(&conf, "router bgp %d\n  router-id %v\n  address-family ipv4 unicast\n    maximum-paths 3\n", r.as, r.addr)
	for _, p := range r.peers {
		fmt.Fprintf(&conf, "  neighbor %v\n    remote-as %d\n", p, r.peerAS)
		if r.bfd > 0 {
			fmt.Fprintln(&conf, "    bfd")
		}
		fmt.Fprintln(&conf, "    address-family ipv4 unicast")
	}
	file, err := r.file("switch.conf", conf.String())
	if err != nil {
		return err
	}
	socket := filepath.Join(r.dir, "switch.sock")
	if d.process, err = d.site.start(r.ns, nil, d.site.world.pharos, "switch", "run", "--config", file, "--socket", socket, "--interface", "Ethernet1/1=eth0"); err != nil {
		return err
	}
	return until(ctx, "pharos switch's socket", 20*time.Millisecond, func() error { return answers(socket) })
}

func answers(socket string) error {
	c, err := net.Dial("unix", socket)
	if err == nil {
		c.Close()
	}
	return err
}

func (d *oursDaemon) freeze() { d.signal(syscall.SIGSTOP) }

// libraryCall is addOne with the engine in this process: from Server.Apply.
func libraryCall(ctx context.Context, s *site) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l, err := s.listen(ctx)
	if err != nil {
		return none, err
	}
	defer l.Close()
	server, err := bgp.NewServer(bgp.Options{Dialer: inside{s}})
	if err != nil {
		return none, err
	}
	hold := holdTime * time.Second
	c := bgp.Config{Name: "sink", LocalAS: nearAS, RemoteAS: farAS, RouterID: nearAddr, LocalAddr: nearAddr, RemoteAddr: farAddrs[0], HoldTime: &hold}
	if err := server.SetPeers([]bgp.Config{c}); err != nil {
		return none, err
	}
	attrs := new(bgp.Attrs)
	var changes []bgp.Change
	for _, p := range vips(present) {
		changes = append(changes, bgp.Change{Peer: c.Name, Prefix: p, Attrs: attrs})
	}
	server.Apply(changes)
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	defer func() {
		cancel()
		<-ended
	}()
	sink, err := accept(ctx, l)
	if err != nil {
		return none, err
	}
	defer sink.conn.Close()
	return s.onWire(ctx, sink, func() error {
		server.Apply([]bgp.Change{{Peer: c.Name, Prefix: vip(present), Attrs: attrs}})
		return nil
	})
}

// inside dials from the namespace of the daemons that are measured.
type inside struct{ site *site }

func (i inside) Dial(ctx context.Context, c bgp.Config) (conn net.Conn, err error) {
	err = i.site.near.Do(func() error {
		conn, err = bgptcp.Dialer{}.Dial(ctx, c)
		return err
	})
	return conn, err
}
