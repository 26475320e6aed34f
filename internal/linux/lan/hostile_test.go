package lan_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/arp"
	"github.com/pharoslb/pharos/internal/linux/lan"
	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/ndp"
)

// While questions and claims of ever other stations pour in, for both families, Set and
// Status work, reports stay few, and clients are answered.
func TestFlood(t *testing.T) {
	t.Parallel()
	s, far, tap := pair(t)
	mac, peer := s.mac(t, "eth0"), far.mac(t, "eth0")
	local := s.local(t, "eth0")
	s.announce(vip4.String(), vip6.String())
	s.on(t, vip4.String(), layer2.OffSubnet, "eth0")
	s.on(t, vip6.String(), layer2.OffSubnet, "eth0")

	stop, done := make(chan struct{}), make(chan uint64)
	go func() {
		var n uint64
		var b [2][]byte
		for {
			select {
			case <-stop:
				done <- n
				return
			default:
			}
			n++
			var stranger arp.MAC
			binary.BigEndian.PutUint32(stranger[2:], uint32(n))
			stranger[0] = 6
			question := arp.Packet{Dst: arp.Broadcast, Src: peer, Op: arp.Request, SenderMAC: peer, SenderIP: netip.MustParseAddr("192.0.2.1"), TargetIP: vip4}
			claim := arp.Announce(stranger, vip4)[n%2]
			b[0] = question.Append(b[0][:0])
			b[1] = claim.Append(b[1][:0])
			if n%2 == 0 {
				b[0] = ndp.Probe(peer, netip.MustParseAddr("2001:db8::1"), vip6).Append(b[0][:0])
				b[1] = ndp.Announce(stranger, local, vip6).Append(b[1][:0])
			}
			for _, frame := range b {
				unix.Write(tap.fd, frame)
			}
		}
	}()
	extra := netip.MustParseAddr("192.0.2.200")
	for range 20 {
		s.announce(vip4.String(), vip6.String(), extra.String())
		s.on(t, extra.String(), layer2.OffSubnet, "eth0")
		s.announce(vip4.String(), vip6.String())
		eventually(t, func() error {
			if s.address(extra).Addr.IsValid() {
				return errors.New("still announced")
			}
			return nil
		})
	}
	eventually(t, func() error {
		a4, a6 := s.address(vip4), s.address(vip6)
		if len(a4.Conflicts) != 4 || len(a6.Conflicts) != 4 || len(s.heard()) == 0 {
			return fmt.Errorf("remembered: %v, %v; reported: %v", a4.Conflicts, a6.Conflicts, s.heard())
		}
		return nil
	})
	close(stop)
	n := <-done
	a4, a6 := s.address(vip4), s.address(vip6)
	if c := len(s.heard()); c > 64*(1+int(time.Minute/layer2.ConflictInterval)) {
		t.Errorf("%d conflicts reported", c)
	}
	t.Logf("%d frames sent; %d questions and %d claims taken in", 2*n, a4.Requests+a6.Requests, a4.Claims+a6.Claims)
	// And then a client like any other.
	peer[5] ^= 1
	last := arp.Packet{Dst: mac, Src: peer, Op: arp.Request, SenderMAC: peer, SenderIP: netip.MustParseAddr("192.0.2.3"), TargetIP: vip4}
	answered := func() bool {
		want := string(last.Answer(mac).Append(nil))
		for {
			select {
			case f := <-tap.frames:
				if string(f) == want {
					return true
				}
			default:
				return false
			}
		}
	}
	eventually(t, func() error {
		tap.send(t, last.Append(nil))
		if !answered() {
			return errors.New("not answered")
		}
		return nil
	})
}

// What the kernel refuses makes the link fail, for all to see, and is tried again.
func TestRefused(t *testing.T) {
	t.Parallel()
	s, far, tap := pair(t)
	s.stop() // it is another one's turn, on the same machine
	m := s.machine
	m.local(t, "eth0")
	var refuse atomic.Bool
	var after atomic.Int32 // that many succeed first
	s = start(t, m, func(o *lan.Options) {
		o.Do = func(f func() error) error {
			if refuse.Load() && after.Add(-1) < 0 {
				return errors.New("refused by the test")
			}
			return m.Do(f)
		}
	})
	s.link(t, "eth0", layer2.Usable)
	failed := func(family string, n int32, addr string) {
		t.Helper()
		after.Store(n)
		refuse.Store(true)
		s.announce(addr)
		want := []layer2.LinkState{layer2.Failed, layer2.Usable}
		if family == "IPv6" {
			want = []layer2.LinkState{layer2.Usable, layer2.Failed}
		}
		s.link(t, "eth0", want...)
		s.on(t, addr, layer2.Unreachable)
		for _, l := range s.Links() {
			if l.Name == "eth0" && !strings.Contains(l.Err, "refused by the test") {
				t.Errorf("%+v", l)
			}
		}
		refuse.Store(false)
		s.link(t, "eth0", layer2.Usable)
		s.on(t, addr, layer2.OffSubnet, "eth0")
	}
	failed("IPv4", 0, vip4.String())
	peer := far.mac(t, "eth0")
	question := arp.Packet{Dst: arp.Broadcast, Src: peer, Op: arp.Request, SenderMAC: peer, SenderIP: netip.MustParseAddr("192.0.2.1"), TargetIP: vip4}
	tap.send(t, question.Append(nil))
	tap.want(t, question.Answer(m.mac(t, "eth0")).Append(nil), func([]byte) bool { return true })

	failed("IPv6", 0, vip6.String()) // the packet socket
	s.announce()
	eventually(t, func() error {
		if n := len(s.Status().Addresses); n > 0 {
			return fmt.Errorf("%d addresses", n)
		}
		return nil
	})
	failed("IPv6", 1, vip6.String()) // the groups
	eventually(t, func() error {
		for _, g := range s.groups(t) {
			if g == ndp.SolicitedNode(vip6) {
				return nil
			}
		}
		return errors.New("not in the group")
	})
	// What failed stays so when it is no longer wanted, until it works again: whoever
	// leaves the address to another host for that would take it back at once.
	s.announce()
	refuse.Store(true)
	after.Store(0)
	s.announce(vip4.String())
	s.link(t, "eth0", layer2.Failed, layer2.Usable)
	s.announce()
	eventually(t, func() error {
		if n := len(s.Status().Addresses); n > 0 {
			return fmt.Errorf("%d addresses", n)
		}
		return nil
	})
	s.link(t, "eth0", layer2.Failed, layer2.Usable)
	refuse.Store(false)
	s.announce(vip4.String())
	s.link(t, "eth0", layer2.Usable)
}

// Run leaves no socket and no goroutine behind, however often links come and go. Nobody
// else runs meanwhile: the test is not parallel.
func TestNothingIsLeft(t *testing.T) {
	client, m := newMachine(t, "client"), newMachine(t, "speaker")
	cycle := func() {
		s := start(t, m)
		s.announce(vip4.String(), vip6.String())
		for range 3 {
			cable(t, client, "eth0", m, "eth0")
			m.local(t, "eth0")
			s.on(t, vip6.String(), layer2.OffSubnet, "eth0")
			must(t, client.Delete("eth0"))
			s.on(t, vip6.String(), layer2.Unreachable)
		}
		cable(t, client, "eth0", m, "eth0")
		s.on(t, vip6.String(), layer2.OffSubnet, "eth0")
		s.stop()
		must(t, client.Delete("eth0"))
	}
	count := func() (fds, goroutines int) {
		list, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(list), runtime.NumGoroutine()
	}
	cycle() // what is made once
	fds, goroutines := count()
	for range 3 {
		cycle()
	}
	eventually(t, func() error {
		if f, g := count(); f > fds || g > goroutines {
			return fmt.Errorf("%d files and %d goroutines, before %d and %d", f, g, fds, goroutines)
		}
		return nil
	})
}

// BenchmarkAnswer is the time from a question on the wire to its answer, by how many
// addresses are announced.
func BenchmarkAnswer(b *testing.B) {
	for _, n := range []int{1, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, far, tap := pair(b)
			mac, peer := s.mac(b, "eth0"), far.mac(b, "eth0")
			var list []string
			for i := range n {
				list = append(list, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String())
			}
			s.announce(list...)
			last := netip.MustParseAddr(list[n-1])
			eventually(b, func() error {
				if a := s.address(last); a.Gratuitous < 10 {
					return fmt.Errorf("%+v", a)
				}
				return nil
			})
			for len(tap.frames) > 0 {
				<-tap.frames
			}
			question := arp.Packet{Dst: mac, Src: peer, Op: arp.Request, SenderMAC: peer, SenderIP: netip.MustParseAddr("192.0.2.1"), TargetIP: netip.MustParseAddr(list[n/2])}
			frame, want := question.Append(nil), string(question.Answer(mac).Append(nil))
			for b.Loop() {
				tap.send(b, frame)
				for string(tap.next(b)) != want {
				}
			}
		})
	}
}
