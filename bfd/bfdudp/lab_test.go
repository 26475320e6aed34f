package bfdudp_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bfd/bfdtest"
	"github.com/pharoslb/pharos/bfd/bfdudp"
	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

const ms = time.Millisecond

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role))
	}
	os.Exit(sandbox.Main(m.Run))
}

// host is a namespace with an address of each family on eth0.
type host struct {
	*netns.NS
	v4, v6 netip.Addr
}

func (h host) addr(v6 bool) netip.Addr {
	if v6 {
		return h.v6
	}
	return h.v4
}

// hosts makes two hosts that forward, with a cable between them, or with a router on
// the way.
func hosts(t testing.TB, routed bool) (a, b host) {
	t.Helper()
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	namespace := func(name string) *netns.NS {
		ns, err := netns.New(name)
		must(t, err)
		t.Cleanup(func() { ns.Close() })
		must(t, ns.Sysctl("net.ipv6.conf.default.accept_dad", "0"),
			ns.Sysctl("net.ipv4.ip_forward", "1"), ns.Sysctl("net.ipv6.conf.all.forwarding", "1"))
		return ns
	}
	side := func(i byte, last byte) host {
		return host{
			namespace(fmt.Sprintf("host%d", i)),
			netip.AddrFrom4([4]byte{192, 0, i, last}), netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7: i, 15: last}),
		}
	}
	address := func(ns *netns.NS, device string, addrs ...netip.Addr) {
		for _, a := range addrs {
			bits := 24
			if a.Is6() {
				bits = 64
			}
			must(t, ns.AddAddr(device, netip.PrefixFrom(a, bits)))
		}
	}
	if !routed {
		a, b = side(2, 1), side(2, 2)
		must(t, netns.Veth(a.NS, "eth0", b.NS, "eth0"))
		address(a.NS, "eth0", a.v4, a.v6)
		address(b.NS, "eth0", b.v4, b.v6)
		return a, b
	}
	a, b = side(2, 1), side(3, 1)
	router := namespace("router")
	for i, h := range []host{a, b} {
		port := fmt.Sprintf("port%d", i)
		must(t, netns.Veth(h.NS, "eth0", router, port))
		address(h.NS, "eth0", h.v4, h.v6)
		gate4, gate6 := h.v4.Next(), h.v6.Next()
		address(router, port, gate4, gate6)
		must(t, h.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), gate4), h.AddRoute(netip.MustParsePrefix("::/0"), gate6))
	}
	return a, b
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// open opens a transport on a host.
func (h host) open(t testing.TB) *bfdudp.Transport {
	t.Helper()
	var x *bfdudp.Transport
	must(t, h.Do(func() (err error) {
		x, err = bfdudp.Open()
		return err
	}))
	t.Cleanup(func() { x.Close() })
	return x
}

// end is a host with a server.
type end struct {
	host
	*bfd.Server
	*bfdtest.Recorder
	t    testing.TB
	stop func()
}

func start(t testing.TB, h host, sessions ...bfd.Config) *end {
	t.Helper()
	e := &end{host: h, Recorder: bfdtest.NewRecorder(), t: t}
	var err error
	e.Server, err = bfd.NewServer(bfd.Options{Transport: h.open(t), Handler: e.Recorder})
	must(t, err)
	e.set(sessions...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	e.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		done <- nil
	}
	t.Cleanup(e.stop)
	return e
}

func (e *end) set(sessions ...bfd.Config) {
	e.t.Helper()
	must(e.t, e.Set(sessions))
}

func (e *end) status(name string) bfd.SessionStatus {
	e.t.Helper()
	for _, st := range e.Status() {
		if st.Name == name {
			return st
		}
	}
	e.t.Fatalf("no session %q", name)
	return bfd.SessionStatus{}
}

// eventually waits until there is nothing to complain about.
func eventually(t testing.TB, f func() error) {
	t.Helper()
	tick := time.NewTicker(5 * ms)
	defer tick.Stop()
	late := time.After(time.Minute)
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatal(err)
		}
	}
}

// detection is how long the sessions of config wait for each other: so long that none
// falls because the machine had something else to do, whatever a test takes for granted.
const detection = 1500 * ms

// config is a session of 50 ms × 30.
func config(remote netip.Addr, edit ...func(*bfd.Config)) bfd.Config {
	c := bfd.Config{Name: "x", Remote: remote}
	c.ReceiveInterval, c.TransmitInterval, c.DetectMultiplier = 50*ms, 50*ms, uint8(detection/(50*ms))
	for _, f := range edit {
		f(&c)
	}
	return c
}
