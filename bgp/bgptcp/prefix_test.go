package bgptcp_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptcp"
	"github.com/pharoslb/pharos/internal/linux/netns"
)

// other gives a host a second address and returns it.
func (e end) other(t *testing.T, v4 bool, last byte) netip.Addr {
	t.Helper()
	bits, addr := 24, netip.AddrFrom4([4]byte{192, 0, 2, last})
	if !v4 {
		bits, addr = 64, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: last})
	}
	if err := e.AddAddr("eth0", netip.PrefixFrom(addr, bits)); err != nil {
		t.Fatal(err)
	}
	return addr
}

// Hosts of a prefix share a password; a longer prefix has its own, and so does an
// address.
func TestPasswordsForPrefixes(t *testing.T) {
	eachFamily(t, func(t *testing.T, a, b end, v4 bool, c bgp.Config) {
		wide, narrow := 24, 30
		if !v4 {
			wide, narrow = 64, 126
		}
		l, accepted := listen(t, b, v4)
		far := a.other(t, v4, 77) // in the wide prefix alone
		near := a.other(t, v4, 3) // in the narrow one, too
		self := a.addr(v4)        // known by address
		config := func(name, password string, bits int) bgp.Config {
			m := mirror(c)
			m.Name, m.Password, m.RemoteAddr = name, password, netip.Addr{}
			m.RemotePrefix = netip.PrefixFrom(self, bits).Masked()
			return m
		}
		exact := mirror(c)
		exact.Password, exact.TTLSecurity = "exact", 1
		set := func(peers ...bgp.Config) {
			t.Helper()
			if err := l.SetPeers(peers); err != nil {
				t.Fatal(err)
			}
		}
		try := func(from netip.Addr, password string, ok bool) net.Conn {
			t.Helper()
			c := c
			c.LocalAddr, c.Password = from, password
			if password == "exact" {
				c.TTLSecurity = 1
			}
			patience := soon
			if ok {
				patience = never
			}
			_, err := dial(t, a, c, patience)
			if (err == nil) != ok {
				t.Fatalf("%v with %q: %v", from, password, err)
			}
			if !ok {
				return nil
			}
			return <-accepted
		}
		set(config("wide", "wide", wide), config("narrow", "narrow", narrow), exact)
		minTTL := func(conn net.Conn) int {
			if v4 {
				return sockopt(t, conn, unix.IPPROTO_IP, unix.IP_MINTTL)
			}
			return sockopt(t, conn, unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT)
		}
		if got := minTTL(try(far, "wide", true)); got != 0 {
			t.Errorf("a host of the wide prefix got the exact peer's least time to live: %d", got)
		}
		try(near, "narrow", true)
		if got := minTTL(try(self, "exact", true)); got != 255 {
			t.Errorf("the exact peer has least time to live %d", got)
		}
		try(far, "", false)
		try(near, "wide", false)
		try(self, "narrow", false)
		// Prefixes go one by one, and the next longest holds.
		set(config("wide", "wide", wide), exact)
		try(near, "wide", true)
		set(config("wide", "wide too", wide))
		try(self, "wide too", true)
		// Nobody in a prefix with a password can go without.
		bare := mirror(c)
		err := l.SetPeers([]bgp.Config{config("wide", "wide", wide), bare})
		if err == nil || !strings.Contains(err.Error(), `peer "a" has no password`) {
			t.Errorf("an unsigned peer in a signed prefix: %v", err)
		}
		try(self, "", false)
		try(self, "wide", false)
		set(bare)
		try(self, "", true)
	})
}

// One peer's password changes; two others' connections do not notice.
func TestPasswordChangeLeavesOthersAlone(t *testing.T) {
	eachFamily(t, func(t *testing.T, a, b end, v4 bool, c bgp.Config) {
		l, accepted := listen(t, b, v4)
		addrs := []netip.Addr{a.addr(v4), a.other(t, v4, 77), a.other(t, v4, 78)}
		peers := func(passwords ...string) (out []bgp.Config) {
			for i, p := range passwords {
				m := mirror(c)
				m.Name, m.RemoteAddr, m.Password = fmt.Sprint("peer", i), addrs[i], p
				out = append(out, m)
			}
			return out
		}
		try := func(i int, password string, ok bool) (ours, theirs net.Conn) {
			t.Helper()
			c := c
			c.LocalAddr, c.Password = addrs[i], password
			patience := soon
			if ok {
				patience = never
			}
			ours, err := dial(t, a, c, patience)
			if (err == nil) != ok {
				t.Fatalf("peer %d with %q: %v", i, password, err)
			}
			if !ok {
				return nil, nil
			}
			return ours, <-accepted
		}
		if err := l.SetPeers(peers("zero", "one", "")); err != nil {
			t.Fatal(err)
		}
		try(0, "zero", true)
		// The others' traffic goes on all the time, an octet after the other.
		stop, passed := make(chan struct{}), make(chan int, 2)
		for i, password := range []string{"one", ""} {
			ours, theirs := try(i+1, password, true)
			go func() {
				go io.Copy(theirs, theirs)
				n := 0
				for {
					ours.SetDeadline(time.Now().Add(never))
					if _, err := ours.Write([]byte{1}); err != nil {
						t.Errorf("peer %d: %v", i+1, err)
						break
					}
					if _, err := io.ReadFull(ours, make([]byte, 1)); err != nil {
						t.Errorf("peer %d: %v", i+1, err)
						break
					}
					n++
					select {
					case <-stop:
						passed <- n
						return
					default:
					}
				}
				passed <- n
			}()
		}
		for i := range 20 {
			p := fmt.Sprint("password ", i)
			if err := l.SetPeers(peers(p, "one", "")); err != nil {
				t.Fatal(err)
			}
			try(0, p, true)
		}
		try(0, "zero", false)
		close(stop)
		for range 2 {
			t.Logf("%d round trips beside it", <-passed)
		}
	})
}

// linkLocal waits for a device's link-local address.
func linkLocal(t *testing.T, ns *netns.NS, device string) netip.Addr {
	t.Helper()
	link, err := ns.Link().LinkByName(device)
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := ns.Link().AddrList(link, unix.AF_INET6)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP); ok && ip.IsLinkLocalUnicast() {
			return ip
		}
	}
	t.Fatalf("%s has no link-local address", device)
	return netip.Addr{}
}

// Two cables, and the same link-local address at the far end of both: the zone tells
// which is which, in dialing as well as in accepting; what comes from off the link
// is dropped.
func TestLinkLocal(t *testing.T) {
	a, b := pair(t)
	// An index that the other namespace has not, and a name that says nothing: the
	// second link is wan9 on one side and eth1 on the other.
	for _, name := range []string{"x0", "x1"} {
		if err := netns.Veth(a.NS, name, a.NS, name+"p"); err != nil {
			t.Fatal(err)
		}
	}
	if err := netns.Veth(a.NS, "wan9", b.NS, "eth1"); err != nil {
		t.Fatal(err)
	}
	same := netip.MustParseAddr("fe80::1")
	for _, device := range []string{"eth0", "wan9"} {
		if err := a.AddAddr(device, netip.PrefixFrom(same, 64)); err != nil {
			t.Fatal(err)
		}
	}
	var l bgp.Listener
	if err := b.Do(func() (err error) {
		l, err = bgptcp.Listen(t.Context(), netip.AddrPortFrom(netip.IPv6Unspecified(), 179))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 4)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "hello")
			accepted <- c
		}
	}()
	defer func() { l.Close(); <-done }()
	peer := func(device, password string) bgp.Config {
		return bgp.Config{
			Name: device, LocalAS: 2, RemoteAS: 1, RemoteAddr: same.WithZone(device), Interface: device, Password: password, TTLSecurity: 1,
		}
	}
	if err := l.SetPeers([]bgp.Config{peer("eth0", "one"), peer("eth1", "one")}); err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct{ ours, theirs string }{{"eth0", "eth0"}, {"wan9", "eth1"}} {
		remote := linkLocal(t, b.NS, r.theirs).WithZone(r.ours)
		c := bgp.Config{LocalAS: 1, RemoteAS: 2, LocalAddr: same, RemoteAddr: remote, Password: "one", TTLSecurity: 1}
		conn, err := dial(t, a, c, never)
		if err != nil {
			t.Fatal(err)
		}
		theirs := <-accepted
		for _, e := range []struct {
			conn  net.Conn
			addr  netip.Addr
			which string
		}{{theirs, same.WithZone(r.theirs), "the listener"}, {conn, remote, "the dialer"}} {
			if got := e.conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); got != e.addr {
				t.Errorf("%s sees %v, want %v", e.which, got, e.addr)
			}
			if got := e.conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Zone(); got != e.addr.Zone() {
				t.Errorf("%s is on %q, want %q", e.which, got, e.addr.Zone())
			}
			if got := sockopt(t, e.conn, unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT); got != 255 {
				t.Errorf("%s takes %d hops and more", e.which, got)
			}
		}
	}
	// The kernel cannot tell zones apart: two passwords for one address are refused.
	err := l.SetPeers([]bgp.Config{peer("eth0", "one"), peer("eth1", "two")})
	if err == nil || !strings.Contains(err.Error(), "one address and different passwords") {
		t.Errorf("two passwords: %v", err)
	}
	// A device that came back under its name has another index.
	if err := a.Delete("wan9"); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, a, bgp.Config{LocalAS: 1, RemoteAS: 2, RemoteAddr: same.WithZone("wan9")}, never); err == nil || !strings.Contains(err.Error(), `"wan9"`) {
		t.Errorf("dialed through a device that is gone: %v", err)
	}
	if err := netns.Veth(a.NS, "wan9", b.NS, "eth1"); err != nil {
		t.Fatal(err)
	}
	if err := l.SetPeers(nil); err != nil {
		t.Fatal(err)
	}
	if err := a.AddAddr("wan9", netip.PrefixFrom(same, 64)); err != nil {
		t.Fatal(err)
	}
	remote := linkLocal(t, b.NS, "eth1").WithZone("wan9")
	if _, err := dial(t, a, bgp.Config{LocalAS: 1, RemoteAS: 2, RemoteAddr: remote}, never); err != nil {
		t.Error(err)
	}
}
