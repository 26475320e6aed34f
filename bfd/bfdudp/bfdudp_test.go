package bfdudp_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bfd/bfdtest"
	"github.com/pharoslb/pharos/bfd/bfdudp"
)

func families(t *testing.T, f func(t *testing.T, v6 bool)) {
	t.Helper()
	for name, v6 := range map[string]bool{"IPv4": false, "IPv6": true} {
		t.Run(name, func(t *testing.T) { f(t, v6) })
	}
}

// The fake's suite, on the kernel.
func TestKernelIsATransport(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		bfdtest.TestTransport(t, func(t *testing.T) (x, y bfdtest.End) {
			a, b := hosts(t, false)
			end := func(h host) bfdtest.End {
				return bfdtest.End{Transport: h.open(t), Addr: h.addr(v6), Device: "eth0"}
			}
			return end(a), end(b)
		})
	})
}

func TestSingleHop(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		a, b := hosts(t, false)
		x, y := start(t, a, config(b.addr(v6))), start(t, b, config(a.addr(v6)))
		x.WaitState(t, "x", bfd.Up)
		y.WaitState(t, "x", bfd.Up)
		eventually(t, func() error {
			if st := x.status("x"); st.DetectionTime != detection || st.Polling || st.TransmitInterval != 50*ms {
				return fmt.Errorf("%+v", st)
			}
			return nil
		})
		// The link goes down at the other end.
		must(t, b.Down("eth0"))
		if c := x.WaitState(t, "x", bfd.Down); c.Reason != bfd.ReasonDetectionExpired || !c.Failed() || c.At.Sub(c.LastHeard) < detection {
			t.Errorf("%+v", c)
		}
		must(t, b.Up("eth0"))
		if v6 { // addresses went with the link
			must(t, b.AddAddr("eth0", netip.PrefixFrom(b.v6, 64)))
		}
		x.WaitState(t, "x", bfd.Up)
		y.stop()
		if c := x.WaitState(t, "x", bfd.Down); c.Reason != bfd.ReasonPeerAdminDown {
			t.Errorf("%+v", c)
		}
	})
}

// The device is named, and the addresses are the device's own.
func TestLinkLocal(t *testing.T) {
	a, b := hosts(t, false)
	linkLocal := func(h host) netip.Addr {
		link, err := h.Link().LinkByName("eth0")
		must(t, err)
		var found netip.Addr
		eventually(t, func() error {
			list, err := h.Link().AddrList(link, unix.AF_INET6)
			must(t, err)
			for _, l := range list {
				if l.IP.IsLinkLocalUnicast() && l.Flags&unix.IFA_F_TENTATIVE == 0 {
					found, _ = netip.AddrFromSlice(l.IP)
					return nil
				}
			}
			return errors.New("no link-local address")
		})
		return found
	}
	x := start(t, a, config(linkLocal(b).WithZone("eth0"), func(c *bfd.Config) { c.EchoMode = true }))
	y := start(t, b, config(linkLocal(a), func(c *bfd.Config) { c.Interface = "eth0" }))
	x.WaitState(t, "x", bfd.Up)
	y.WaitState(t, "x", bfd.Up)
}

// A router on the way: several hops work down to the least time to live, one hop does
// not, and is counted.
func TestMultihop(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		a, b := hosts(t, true)
		far := func(least uint8) func(*bfd.Config) {
			return func(c *bfd.Config) { c.Name, c.Multihop, c.MinimumTTL = "far", true, least }
		}
		x := start(t, a, config(b.addr(v6), far(254)), config(b.addr(v6)))
		y := start(t, b, config(a.addr(v6), far(0), func(c *bfd.Config) { c.Local = b.addr(v6) }), config(a.addr(v6), func(c *bfd.Config) {
			c.TransmitInterval = 10 * ms // one packet in sixteen gets past the kernel
		}))
		x.WaitState(t, "far", bfd.Up)
		y.WaitState(t, "far", bfd.Up)
		x.set(config(b.addr(v6), far(255)))
		if c := x.WaitState(t, "far", bfd.Down); c.Reason != bfd.ReasonDetectionExpired {
			t.Errorf("%+v", c)
		}
		if st := x.status("far"); st.Discarded[bfd.DiscardTTL] == 0 {
			t.Errorf("%+v", st)
		}
		if y.State("x") != bfd.Down || y.Ups("x") != 0 {
			t.Error("a single hop over a router")
		}
	})
}

func TestAuthentication(t *testing.T) {
	a, b := hosts(t, false)
	with := func(key string) func(*bfd.Config) {
		return func(c *bfd.Config) { c.Auth = &bfd.Auth{Type: bfd.AuthMeticulousSHA1, KeyID: 7, Key: key} }
	}
	x, y := start(t, a, config(b.v4, with("right"))), start(t, b, config(a.v4, with("right")))
	x.WaitState(t, "x", bfd.Up)
	y.WaitState(t, "x", bfd.Up)
	y.set(config(a.v4, with("wrong")))
	if c := x.WaitState(t, "x", bfd.Down); c.Reason != bfd.ReasonDetectionExpired {
		t.Errorf("%+v", c)
	}
	eventually(t, func() error {
		if st := x.status("x"); st.Discarded[bfd.DiscardAuthDigest] == 0 {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	y.set(config(a.v4, with("right")))
	x.WaitState(t, "x", bfd.Up)
}

// Echoes go round through the peer's kernel; when it stops forwarding, that is found.
func TestEcho(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		a, b := hosts(t, false)
		echo := func(c *bfd.Config) {
			c.EchoMode, c.EchoInterval, c.DetectMultiplier = true, 20*ms, uint8(detection/(20*ms))
		}
		x, y := start(t, a, config(b.addr(v6), echo)), start(t, b, config(a.addr(v6), echo))
		x.WaitState(t, "x", bfd.Up)
		y.WaitState(t, "x", bfd.Up)
		eventually(t, func() error {
			if st := x.status("x"); st.EchoesReceived < 50 || st.TransmitInterval != time.Second {
				return fmt.Errorf("%+v", st)
			}
			return nil
		})
		if st := x.status("x"); st.Downs != 0 {
			t.Errorf("%+v", st)
		}
		must(t, b.Sysctl("net.ipv4.ip_forward", "0"), b.Sysctl("net.ipv6.conf.all.forwarding", "0"))
		eventually(t, func() error {
			if st := x.status("x"); st.LastDown.Reason != bfd.ReasonEchoFailed {
				return fmt.Errorf("%+v", st)
			}
			return nil
		})
	})
}

// Nobody listens at the peer: Status says so.
func TestRefused(t *testing.T) {
	a, b := hosts(t, false)
	x := start(t, a, config(b.v4))
	eventually(t, func() error {
		if st := x.status("x"); st.SendError == "" || st.Sent < 2 {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	start(t, b, config(a.v4))
	x.WaitState(t, "x", bfd.Up)
}

// A second daemon is told that the port is taken.
func TestPortIsTaken(t *testing.T) {
	a, _ := hosts(t, false)
	a.open(t)
	err := a.Do(func() error {
		_, err := bfdudp.Open()
		return err
	})
	if !errors.Is(err, unix.EADDRINUSE) {
		t.Error(err)
	}
}

// Every session has a source port of its own, out of the range of RFC 5881 §4, and the
// same for all its packets; what is sent has time to live 255 and DSCP CS6.
func TestSourcePorts(t *testing.T) {
	a, b := hosts(t, false)
	var fd int
	must(t, b.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return errors.Join(
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVTTL, 1), unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVTOS, 1),
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}),
			unix.Bind(fd, &unix.SockaddrInet4{Port: bfd.PortSingleHop}))
	}))
	defer unix.Close(fd)
	x := a.open(t)
	ports := make(map[int]bool)
	for range 50 {
		e, err := x.Open(bfd.Path{Remote: b.v4})
		must(t, err)
		defer e.Close()
		for i := range 2 {
			must(t, e.Send([]byte("x")))
			control := make([]byte, 128)
			_, n, _, from, err := unix.Recvmsg(fd, make([]byte, 64), control, 0)
			must(t, err)
			port := from.(*unix.SockaddrInet4).Port
			if port < bfd.FirstSourcePort || ports[port] != (i == 1) {
				t.Errorf("packet %d from port %d", i, port)
			}
			ports[port] = true
			messages, err := unix.ParseSocketControlMessage(control[:n])
			must(t, err)
			for _, m := range messages {
				if want := map[int32]byte{unix.IP_TTL: 255, unix.IP_TOS: 0xc0}[m.Header.Type]; m.Data[0] != want {
					t.Errorf("control message %d is %d, want %d", m.Header.Type, m.Data[0], want)
				}
			}
		}
	}
}

// What is no packet of ours, too long or empty does not disturb.
func TestJunk(t *testing.T) {
	a, b := hosts(t, false)
	x, y := start(t, a, config(b.v4)), start(t, b, config(a.v4))
	x.WaitState(t, "x", bfd.Up)
	y.WaitState(t, "x", bfd.Up)
	must(t, b.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, 255); err != nil {
			return err
		}
		for i := range 2000 {
			junk := make([]byte, i%1400)
			for j := range junk {
				junk[j] = byte(i * j)
			}
			to := &unix.SockaddrInet4{Port: bfd.PortSingleHop, Addr: a.v4.As4()}
			if err := unix.Sendto(fd, junk, 0, to); err != nil {
				return err
			}
		}
		return nil
	}))
	eventually(t, func() error {
		s := x.ServerStatus().Strangers
		if s.Total() < 1000 {
			return fmt.Errorf("%v", s)
		}
		return nil
	})
	if st := x.status("x"); st.State != bfd.Up || st.Downs != 0 {
		t.Errorf("%+v", st)
	}
}
