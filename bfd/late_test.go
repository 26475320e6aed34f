package bfd_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bfd/bfdtest"
)

// settling is a host whose network is being set up: until it is settled, paths are opened
// from another address and with another number of the device.
type settling struct {
	*bfdtest.Host
	other   netip.Addr
	settled time.Time
	opened  int
}

func (s *settling) Open(p bfd.Path) (bfd.Endpoint, error) {
	s.opened++
	early := time.Now().Before(s.settled)
	if early && s.other.IsValid() {
		p.Local = s.other
	}
	e, err := s.Host.Open(p)
	if early && err == nil && p.Interface != "" {
		e = former{e}
	}
	return e, err
}

// former is an endpoint on a device that is gone.
type former struct{ bfd.Endpoint }

func (former) Interface() int { return 99 }

// The source address and the device that the kernel chose are not kept for ever while the
// peer is not heard.
func TestPathIsOpenedAnew(t *testing.T) {
	other := netip.MustParseAddr("192.0.2.77")
	for name, edit := range map[string]func(*bfd.Config, *settling){
		"an address comes later":         func(c *bfd.Config, s *settling) { s.other = other },
		"the device is made anew":        func(c *bfd.Config, s *settling) { c.Interface = bfdtest.Device },
		"the same for a session passive": func(c *bfd.Config, s *settling) { c.Interface, c.Passive = bfdtest.Device, true },
	} {
		synctest.Test(t, func(t *testing.T) {
			n := bfdtest.NewNet()
			host := &settling{Host: n.Host(addrA, other), settled: time.Now().Add(5 * time.Second)}
			c := config(addrB)
			edit(&c, host)
			heard := bfdtest.NewRecorder()
			s, err := bfd.NewServer(bfd.Options{Transport: host, Handler: heard})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Set([]bfd.Config{c}); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- s.Run(t.Context()) }()
			t.Cleanup(func() {
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
			pass(time.Second)
			start(t, n.Host(addrB), config(addrA))
			pass(20 * time.Second)
			if heard.State("x") != bfd.Up {
				t.Errorf("%s: %v", name, heard.State("x"))
			}
			opened := host.opened
			pass(time.Minute)
			if host.opened != opened || heard.Ups("x") != 1 {
				t.Errorf("%s: a session that is Up had its path opened anew", name)
			}
		})
	}
}

// A session that takes another's place is heard of after the other's end: else the peer
// would take its first Down for a failure.
func TestGoodbyeComesFirst(t *testing.T) {
	for name, edit := range map[string]func(*bfd.Config){
		"another name":          func(c *bfd.Config) { c.Name = "y" },
		"another local address": func(c *bfd.Config) { c.Local = addrB },
		"another device":        func(c *bfd.Config) { c.Interface = bfdtest.Device },
	} {
		pair(t, func(t *testing.T, a, b *end) {
			b.set(config(addrA, edit))
			pass(10 * time.Second)
			for _, c := range a.Changes("x") {
				if c.Failed() {
					t.Errorf("%s: %+v", name, c)
				}
			}
			if a.State("x") != bfd.Up || a.Ups("x") != 2 {
				t.Errorf("%s: %+v", name, a.Changes("x"))
			}
		})
	}
}
