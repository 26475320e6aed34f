package lan_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/internal/linux/lan"
	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
	"github.com/pharoslb/pharos/layer2"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m.Run)) }

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// eventually waits until f is content.
func eventually(t testing.TB, f func() error) {
	t.Helper()
	tick := time.NewTicker(3 * time.Millisecond)
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

// machine is a namespace with the kernel's own network stack.
type machine struct{ *netns.NS }

func newMachine(t testing.TB, name string) machine {
	t.Helper()
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	ns, err := netns.New(name)
	must(t, err)
	t.Cleanup(func() { ns.Close() })
	must(t, ns.Sysctl("net.ipv6.conf.default.accept_dad", "0"), ns.Sysctl("net.ipv6.conf.default.router_solicitations", "0"))
	return machine{ns}
}

func cable(t testing.TB, a machine, deviceA string, b machine, deviceB string) {
	t.Helper()
	must(t, netns.Veth(a.NS, deviceA, b.NS, deviceB))
}

func (m machine) addr(t testing.TB, device string, prefixes ...string) {
	t.Helper()
	for _, p := range prefixes {
		must(t, m.AddAddr(device, netip.MustParsePrefix(p)))
	}
}

func (m machine) device(t testing.TB, name string) netlink.Link {
	t.Helper()
	l, err := m.Link().LinkByName(name)
	must(t, err)
	return l
}

func (m machine) mac(t testing.TB, device string) layer2.MAC {
	t.Helper()
	return layer2.MAC(m.device(t, device).Attrs().HardwareAddr)
}

// neighbor is what the kernel knows of a neighbor on eth0: its MAC and state.
func (m machine) neighbor(t testing.TB, addr netip.Addr) (mac layer2.MAC, state int) {
	t.Helper()
	family := unix.AF_INET
	if addr.Is6() {
		family = unix.AF_INET6
	}
	list, err := m.Link().NeighList(m.device(t, "eth0").Attrs().Index, family)
	must(t, err)
	for _, n := range list {
		if a, _ := netip.AddrFromSlice(n.IP); a.Unmap() == addr && len(n.HardwareAddr) == 6 {
			return layer2.MAC(n.HardwareAddr), n.State
		}
	}
	return layer2.MAC{}, 0
}

// say sends a datagram, which makes the kernel look for the neighbor.
func (m machine) say(t testing.TB, addr netip.Addr) {
	t.Helper()
	c, err := m.DialContext(t.Context(), "udp", netip.AddrPortFrom(addr, 9).String())
	must(t, err)
	defer c.Close()
	c.Write([]byte("hello")) // refused if an earlier one was
}

// resolves waits until the kernel finds addr at a MAC, asking for it.
func (m machine) resolves(t testing.TB, addr netip.Addr, want layer2.MAC) {
	t.Helper()
	eventually(t, func() error {
		mac, state := m.neighbor(t, addr)
		if mac == want && state&(netlink.NUD_REACHABLE|netlink.NUD_STALE|netlink.NUD_DELAY|netlink.NUD_PROBE) != 0 {
			return nil
		}
		m.say(t, addr)
		return fmt.Errorf("%s finds %v at %v (state %#x), want %v", m.Name(), addr, mac, state, want)
	})
}

// speaker is a machine with a Server.
type speaker struct {
	machine
	*lan.Server
	stop func()

	mu        sync.Mutex
	conflicts []layer2.Conflict
	defend    bool
}

// Conflict is layer2.Handler.
func (s *speaker) Conflict(c layer2.Conflict) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conflicts = append(s.conflicts, c)
	return s.defend
}

func (s *speaker) heard() []layer2.Conflict {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.conflicts)
}

func start(t testing.TB, m machine, options ...func(*lan.Options)) *speaker {
	t.Helper()
	s := &speaker{machine: m}
	o := lan.Options{Do: m.Do, Handler: s, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, f := range options {
		f(&o)
	}
	s.Server = lan.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

// announce sets addresses, each with its interfaces after commas.
func (s *speaker) announce(list ...string) {
	var out []layer2.Announcement
	for _, text := range list {
		f := strings.Split(text, ",")
		out = append(out, layer2.Announcement{Addr: netip.MustParseAddr(f[0]), Interfaces: f[1:]})
	}
	s.Set(out)
}

func (s *speaker) address(addr netip.Addr) layer2.AddressStatus {
	for _, a := range s.Status().Addresses {
		if a.Addr == addr {
			return a
		}
	}
	return layer2.AddressStatus{}
}

// on waits until an address is announced on exactly these interfaces.
func (s *speaker) on(t testing.TB, addr string, reach layer2.Reach, interfaces ...string) {
	t.Helper()
	eventually(t, func() error {
		a := s.address(netip.MustParseAddr(addr))
		if a.Addr.IsValid() && a.Reach == reach && slices.Equal(a.Interfaces, interfaces) {
			return nil
		}
		return fmt.Errorf("%s on %v, %v; want %v, %v", addr, a.Interfaces, a.Reach, interfaces, reach)
	})
}

// link waits until a link has a state for both families, or two.
func (s *speaker) link(t testing.TB, name string, want ...layer2.LinkState) {
	t.Helper()
	eventually(t, func() error {
		for _, l := range s.Links() {
			if l.Name == name && l.IPv4 == want[0] && l.IPv6 == want[len(want)-1] {
				return nil
			}
		}
		return fmt.Errorf("%s is not %v in %+v", name, want, s.Links())
	})
}

// tap hears all ARP and Neighbor Discovery that arrives on a device, and sends.
type tap struct {
	fd     int
	frames chan []byte
}

func newTap(t testing.TB, m machine, device string) *tap {
	t.Helper()
	index := m.device(t, device).Attrs().Index
	c := &tap{frames: make(chan []byte, 4096)}
	must(t, m.Do(func() (err error) {
		const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL<<8&0xff00
		if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all); err != nil {
			return err
		}
		return unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index})
	}))
	timeout := unix.NsecToTimeval(int64(20 * time.Millisecond)) // to notice the end
	must(t, unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 2048)
		for {
			n, from, err := unix.Recvfrom(c.fd, b, 0)
			select {
			case <-stop:
				return
			default:
			}
			ll, ok := from.(*unix.SockaddrLinklayer)
			if err != nil || !ok || ll.Ifindex != index || ll.Pkttype == unix.PACKET_OUTGOING {
				continue
			}
			kind := hex.EncodeToString(b[12:14])
			if kind == "0806" || kind == "86dd" && n > 54 && b[20] == 58 && (b[54] == 135 || b[54] == 136) {
				select {
				case c.frames <- slices.Clone(b[:n]):
				default:
				}
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
		unix.Close(c.fd)
	})
	return c
}

func (c *tap) send(t testing.TB, frame []byte) {
	t.Helper()
	_, err := unix.Write(c.fd, frame)
	must(t, err)
}

// next is the next frame.
func (c *tap) next(t testing.TB) []byte {
	t.Helper()
	select {
	case f := <-c.frames:
		return f
	case <-time.After(time.Minute):
		t.Fatal("no frame")
		return nil
	}
}

// want waits for a frame, octet by octet, passing over those that skip names.
func (c *tap) want(t testing.TB, want []byte, skip func([]byte) bool) {
	t.Helper()
	for {
		got := c.next(t)
		if slices.Equal(got, want) {
			return
		}
		if skip == nil || !skip(got) {
			t.Fatalf("heard\n%x, want\n%x", got, want)
		}
	}
}

func hardware(m layer2.MAC) net.HardwareAddr { return m[:] }

// groups are the multicast groups of IPv6 that the kernel is in.
func (m machine) groups(t testing.TB) (out []netip.Addr) {
	t.Helper()
	must(t, m.Do(func() error {
		b, err := os.ReadFile("/proc/thread-self/net/igmp6")
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) < 3 {
				continue
			}
			if octets, err := hex.DecodeString(f[2]); err == nil && len(octets) == 16 {
				out = append(out, netip.AddrFrom16([16]byte(octets)))
			}
		}
		return err
	}))
	return out
}
