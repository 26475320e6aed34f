package bgptcp_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptcp"
	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m.Run)) }

// end is a host: a namespace with an address of each family.
type end struct {
	*netns.NS
	v4, v6 netip.Addr
}

func (e end) addr(v4 bool) netip.Addr {
	if v4 {
		return e.v4
	}
	return e.v6
}

// pair makes two hosts with a cable between them.
func pair(t *testing.T) (a, b end) {
	t.Helper()
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	ends := make([]end, 2)
	for i := range ends {
		ns, err := netns.New(fmt.Sprint("end", i))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ns.Close() })
		ends[i] = end{ns, netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i + 1)})}
		// An address must be usable at once.
		if err := ns.Sysctl("net.ipv6.conf.default.accept_dad", "0"); err != nil {
			t.Fatal(err)
		}
	}
	if err := netns.Veth(ends[0].NS, "eth0", ends[1].NS, "eth0"); err != nil {
		t.Fatal(err)
	}
	for _, e := range ends {
		for _, p := range []netip.Prefix{netip.PrefixFrom(e.v4, 24), netip.PrefixFrom(e.v6, 64)} {
			if err := e.AddAddr("eth0", p); err != nil {
				t.Fatal(err)
			}
		}
	}
	return ends[0], ends[1]
}

// listen opens a listener on a host that greets everybody it accepts.
func listen(t *testing.T, e end, v4 bool) (l bgp.Listener, accepted <-chan net.Conn) {
	t.Helper()
	l, accepted = listenShut(t, e, v4)
	if err := l.SetPeers(nil); err != nil {
		t.Fatal(err)
	}
	return l, accepted
}

// listenShut is listen before SetPeers was called.
func listenShut(t *testing.T, e end, v4 bool) (l bgp.Listener, accepted <-chan net.Conn) {
	t.Helper()
	err := e.Do(func() error {
		var err error
		l, err = bgptcp.Listen(t.Context(), netip.AddrPortFrom(e.addr(v4), 179))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ch := make(chan net.Conn, 8)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "hello")
			ch <- c
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l, ch
}

// dial connects and reads the greeting, within patience.
func dial(t *testing.T, e end, c bgp.Config, patience time.Duration) (conn net.Conn, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = e.Do(func() error {
		var err error
		conn, err = bgptcp.Dialer{}.Dial(ctx, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(patience))
	greeting := make([]byte, 5)
	if _, err := io.ReadFull(conn, greeting); err != nil {
		return conn, err
	}
	conn.SetReadDeadline(time.Time{})
	return conn, nil
}

const (
	soon  = 500 * time.Millisecond // for what must not come
	never = 30 * time.Second       // for what must
)

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(never); !ok(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited %v in vain for %s", never, what)
		}
	}
}

func eachFamily(t *testing.T, f func(t *testing.T, a, b end, v4 bool, c bgp.Config)) {
	for _, v4 := range []bool{true, false} {
		t.Run(map[bool]string{true: "IPv4", false: "IPv6"}[v4], func(t *testing.T) {
			a, b := pair(t)
			f(t, a, b, v4, bgp.Config{Name: "b", LocalAS: 1, RemoteAS: 2, LocalAddr: a.addr(v4), RemoteAddr: b.addr(v4)})
		})
	}
}

// mirror is the other side's configuration.
func mirror(c bgp.Config) bgp.Config {
	c.Name, c.LocalAS, c.RemoteAS, c.LocalAddr, c.RemoteAddr = "a", c.RemoteAS, c.LocalAS, c.RemoteAddr, c.LocalAddr
	return c
}

func TestPasswords(t *testing.T) {
	eachFamily(t, func(t *testing.T, a, b end, v4 bool, c bgp.Config) {
		l, accepted := listen(t, b, v4)
		set := func(password string) {
			t.Helper()
			m := mirror(c)
			m.Password = password
			if err := l.SetPeers([]bgp.Config{m}); err != nil {
				t.Fatal(err)
			}
		}
		try := func(password string, ok bool) net.Conn {
			t.Helper()
			c := c
			c.Password = password
			patience := soon
			if ok {
				patience = never
			}
			conn, err := dial(t, a, c, patience)
			if (err == nil) != ok {
				t.Fatalf("dial with %q: %v", password, err)
			}
			if err != nil && password != "" && strings.Contains(err.Error(), password) {
				t.Fatalf("error shows the password: %v", err)
			}
			return conn
		}
		try("", true)
		set("first")
		conn := try("first", true)
		<-accepted
		theirs := <-accepted
		try("wrong", false)
		try("", false)
		set("second")
		try("second", true)
		try("first", false)
		// The session that was there before the change goes on.
		if _, err := io.WriteString(theirs, "still"); err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(never))
		if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		set("")
		try("", true)
		try("second", false)
	})
}

func TestTwoPasswordsForOneAddress(t *testing.T) {
	_, b := pair(t)
	l, _ := listen(t, b, true)
	one := bgp.Config{Name: "one", RemoteAddr: netip.MustParseAddr("192.0.2.1"), Password: "hunter2"}
	two := one
	two.Name, two.Password = "two", "swordfish"
	err := l.SetPeers([]bgp.Config{one, two})
	if err == nil || !strings.Contains(err.Error(), "different passwords") {
		t.Fatalf("got %v", err)
	}
	if s := err.Error(); strings.Contains(s, "hunter2") || strings.Contains(s, "swordfish") {
		t.Errorf("error shows a password: %v", err)
	}
}

func TestSourceAddress(t *testing.T) {
	eachFamily(t, func(t *testing.T, a, b end, v4 bool, c bgp.Config) {
		_, accepted := listen(t, b, v4)
		bits, other := 24, netip.MustParseAddr("192.0.2.77")
		if !v4 {
			bits, other = 64, netip.MustParseAddr("2001:db8::77")
		}
		if err := a.AddAddr("eth0", netip.PrefixFrom(other, bits)); err != nil {
			t.Fatal(err)
		}
		c.LocalAddr = other
		if _, err := dial(t, a, c, never); err != nil {
			t.Fatal(err)
		}
		if from := (<-accepted).RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); from != other {
			t.Errorf("came from %v, want %v", from, other)
		}
		c.LocalAddr = other.Next()
		if _, err := dial(t, a, c, never); err == nil {
			t.Error("dialed from an address that is not the host's")
		}
	})
}

func sockopt(t *testing.T, c net.Conn, level, opt int) int {
	t.Helper()
	raw, err := c.(*bgptcp.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var v int
	raw.Control(func(fd uintptr) { v, err = unix.GetsockoptInt(int(fd), level, opt) })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTimeToLive(t *testing.T) {
	for _, r := range []struct {
		name   string
		edit   func(*bgp.Config)
		v4, v6 int
	}{
		{"external", func(*bgp.Config) {}, 1, 1},
		{"external, more hops", func(c *bgp.Config) { c.MultiHop = true }, 64, 64},
		{"internal", func(c *bgp.Config) { c.RemoteAS = c.LocalAS }, 64, 64},
		{"ttl security", func(c *bgp.Config) { c.TTLSecurity = 1 }, 255, 255},
	} {
		t.Run(r.name, func(t *testing.T) {
			eachFamily(t, func(t *testing.T, a, b end, v4 bool, c bgp.Config) {
				l, accepted := listen(t, b, v4)
				r.edit(&c)
				if err := l.SetPeers([]bgp.Config{mirror(c)}); err != nil {
					t.Fatal(err)
				}
				ours, err := dial(t, a, c, never)
				if err != nil {
					t.Fatal(err)
				}
				for _, conn := range []net.Conn{ours, <-accepted} {
					got, want := 0, r.v4
					if v4 {
						got = sockopt(t, conn, unix.IPPROTO_IP, unix.IP_TTL)
					} else {
						got, want = sockopt(t, conn, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS), r.v6
					}
					if got != want {
						t.Errorf("%v sends with %d, want %d", conn.LocalAddr(), got, want)
					}
					if sockopt(t, conn, unix.IPPROTO_TCP, unix.TCP_NODELAY) == 0 {
						t.Errorf("%v has no TCP_NODELAY", conn.LocalAddr())
					}
				}
			})
		})
	}
}

// What has come too far is dropped (RFC 5082).
func TestTTLSecurityDropsWhatCameFar(t *testing.T) {
	eachFamily(t, func(t *testing.T, a, b end, v4 bool, c bgp.Config) {
		l, accepted := listen(t, b, v4)
		m := mirror(c)
		m.TTLSecurity = 1
		if err := l.SetPeers([]bgp.Config{m}); err != nil {
			t.Fatal(err)
		}
		c.MultiHop = true // sends with 64
		conn, err := dial(t, a, c, soon)
		if err == nil {
			select {
			case theirs := <-accepted:
				io.WriteString(conn, "from afar")
				theirs.SetReadDeadline(time.Now().Add(soon))
				if n, err := theirs.Read(make([]byte, 9)); err == nil {
					t.Fatalf("%d octets arrived", n)
				}
			case <-time.After(soon):
			}
		}
	})
}

func TestSinceAckTellsLifeFromDeath(t *testing.T) {
	a, b := pair(t)
	_, accepted := listen(t, b, true)
	conn, err := dial(t, a, bgp.Config{LocalAS: 1, RemoteAS: 2, RemoteAddr: b.v4}, never)
	if err != nil {
		t.Fatal(err)
	}
	theirs := <-accepted
	acked := func() time.Duration {
		t.Helper()
		d, err := conn.(*bgptcp.Conn).SinceAck()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	begin := time.Now()
	for acked() < 300*time.Millisecond { // silence alone makes it grow
		if <-tick.C; time.Since(begin) > never {
			t.Fatalf("after %v of silence: %v", time.Since(begin), acked())
		}
	}
	// The kernel counts in ticks of its own, 10 ms at most.
	const grain = 20 * time.Millisecond
	wrote := time.Now()
	io.WriteString(conn, "alive?")
	io.ReadFull(theirs, make([]byte, 6))
	for acked() > time.Since(wrote)+grain {
		if <-tick.C; time.Since(wrote) > never {
			t.Fatal("a living peer seems dead")
		}
	}
	if err := b.Down("eth0"); err != nil {
		t.Fatal(err)
	}
	wrote = time.Now()
	io.WriteString(conn, "dead?")
	for time.Since(wrote) < 300*time.Millisecond {
		<-tick.C
		age := time.Since(wrote) // before the kernel is asked, however long that takes
		if since := acked(); since+grain < age {
			t.Fatalf("%v after the end something was acknowledged %v ago", age, since)
		}
	}
}

// Between listening and the first SetPeers nobody gets in: keys come first.
func TestNobodyBeforeTheKeys(t *testing.T) {
	a, b := pair(t)
	for _, v4 := range []bool{true, false} {
		l, accepted := listenShut(t, b, v4)
		c := bgp.Config{Name: "b", LocalAS: 65001, RemoteAS: 65002, RouterID: a.v4, RemoteAddr: b.addr(v4), MultiHop: true}
		if _, err := dial(t, a, c, soon); err == nil {
			t.Fatalf("v4 %t: let in before SetPeers", v4)
		}
		if err := l.SetPeers(nil); err != nil {
			t.Fatal(err)
		}
		if _, err := dial(t, a, c, never); err != nil {
			t.Fatalf("v4 %t: %v", v4, err)
		}
		<-accepted
		l.Close()
	}
}
