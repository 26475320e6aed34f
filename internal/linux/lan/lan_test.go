package lan_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"regexp"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/arp"
	"github.com/pharoslb/pharos/internal/linux/lan"
	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/ndp"
)

var (
	vip4 = netip.MustParseAddr("192.0.2.100")
	vip6 = netip.MustParseAddr("2001:db8::100")
	vips = []netip.Addr{vip4, vip6}
)

// segment is a bridge with a client and n speakers on it, each with eth0.
func segment(t testing.TB, n int, options ...func(*lan.Options)) (client machine, speakers []*speaker) {
	t.Helper()
	br := newMachine(t, "segment")
	must(t, br.AddBridge("br0"))
	plug := func(i int, m machine) {
		port := fmt.Sprintf("port%d", i)
		cable(t, m, "eth0", br, port)
		must(t, br.Enslave(port, "br0"))
		m.addr(t, "eth0", fmt.Sprintf("192.0.2.%d/24", i+1), fmt.Sprintf("2001:db8::%d/64", i+1))
	}
	client = newMachine(t, "client")
	plug(0, client)
	client.local(t, "eth0") // the kernel takes its time until a new link is ready
	for i := range n {
		m := newMachine(t, fmt.Sprint("speaker", i))
		plug(i+1, m)
		speakers = append(speakers, start(t, m, options...))
	}
	return client, speakers
}

// A client's kernel finds the addresses, and goes on finding them.
func TestResolve(t *testing.T) {
	t.Parallel()
	client, speakers := segment(t, 1)
	s := speakers[0]
	s.announce(vip4.String(), vip6.String())
	mac := s.mac(t, "eth0")
	for _, vip := range vips {
		s.on(t, vip.String(), layer2.OnSubnet, "eth0")
		client.resolves(t, vip, mac)
		eventually(t, func() error { // frames are counted when they have been sent
			if a := s.address(vip); a.Requests == 0 || a.Responses == 0 || a.Gratuitous == 0 {
				return fmt.Errorf("%+v", a)
			}
			return nil
		})
		if a := s.address(vip); a.Claims != 0 {
			t.Errorf("%+v", a)
		}
		// The kernel asks the neighbor it knows whether it is still there.
		before := s.address(vip)
		must(t, client.Link().NeighSet(&netlink.Neigh{
			LinkIndex: client.device(t, "eth0").Attrs().Index, IP: vip.AsSlice(), HardwareAddr: hardware(mac), State: netlink.NUD_PROBE,
		}))
		eventually(t, func() error {
			got, state := client.neighbor(t, vip)
			if a := s.address(vip); got != mac || state != netlink.NUD_REACHABLE || a.Responses == before.Responses {
				return fmt.Errorf("%v at %v, state %#x, %+v", vip, got, state, a)
			}
			return nil
		})
	}
	s.stop()
	if st := s.Status(); len(st.Addresses) != 0 || len(st.Links) != 0 || len(s.Links()) != 0 {
		t.Errorf("after the end: %+v", st)
	}
}

// pair is a speaker and a tap at the other end of its cable, which nobody else is on.
func pair(t testing.TB, options ...func(*lan.Options)) (*speaker, machine, *tap) {
	t.Helper()
	far, m := newMachine(t, "far"), newMachine(t, "speaker")
	must(t, far.Sysctl("net.ipv6.conf.default.disable_ipv6", "1"))
	cable(t, m, "eth0", far, "eth0")
	tap := newTap(t, far, "eth0")
	return start(t, m, options...), far, tap
}

// local waits for a device's link-local address.
func (m machine) local(t testing.TB, device string) (local netip.Addr) {
	t.Helper()
	eventually(t, func() error {
		list, err := m.Link().AddrList(m.device(t, device), unix.AF_INET6)
		must(t, err)
		for _, a := range list {
			if a.IP.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0 {
				local, _ = netip.AddrFromSlice(a.IP)
				return nil
			}
		}
		return fmt.Errorf("no link-local address on %s", device)
	})
	return local
}

// ofKernel says if a frame is none of ours: it is about another address.
func ofKernel(vips ...netip.Addr) func([]byte) bool {
	return func(f []byte) bool {
		for _, v := range vips {
			if bytes.Contains(f, v.AsSlice()) {
				return false
			}
		}
		return true
	}
}

// What is on the wire, octet by octet, from the take-over to the last round, and what is
// answered.
func TestFrames(t *testing.T) {
	t.Parallel()
	s, far, tap := pair(t)
	mac, peer := s.mac(t, "eth0"), far.mac(t, "eth0")
	local := s.local(t, "eth0")
	s.link(t, "eth0", layer2.Usable)
	skip := ofKernel(vip4, vip6)

	s.announce(vip4.String())
	for range 5 {
		tap.want(t, arp.Probe(mac, vip4).Append(nil), skip)
		for _, p := range arp.Announce(mac, vip4) {
			tap.want(t, p.Append(nil), skip)
		}
	}
	s.announce(vip4.String(), vip6.String())
	for range 5 {
		tap.want(t, ndp.Probe(mac, local, vip6).Append(nil), skip)
		tap.want(t, ndp.Announce(mac, local, vip6).Append(nil), skip)
	}

	asker := netip.MustParseAddr("192.0.2.1")
	ask := arp.Packet{Dst: arp.Broadcast, Src: peer, Op: arp.Request, SenderMAC: peer, SenderIP: asker, TargetIP: vip4}
	for _, dst := range []arp.MAC{arp.Broadcast, mac} {
		ask.Dst = dst
		tap.send(t, ask.Append(nil))
		tap.want(t, ask.Answer(mac).Append(nil), skip)
	}
	probe := arp.Probe(peer, vip4)
	tap.send(t, probe.Append(nil))
	tap.want(t, probe.Answer(mac).Append(nil), skip)

	asker = netip.MustParseAddr("2001:db8::1")
	question := ndp.Probe(peer, asker, vip6)
	tap.send(t, question.Append(nil))
	tap.want(t, question.Answer(mac, local).Append(nil), skip)
	// Of one that is known already, without a word on where the asker is.
	question.DstMAC, question.Dst, question.LinkLayer = mac, vip6, ndp.MAC{}
	tap.send(t, question.Append(nil))
	tap.want(t, question.Answer(mac, local).Append(nil), skip)
	detection := ndp.Probe(peer, netip.IPv6Unspecified(), vip6)
	detection.LinkLayer = ndp.MAC{}
	tap.send(t, detection.Append(nil))
	answer := detection.Answer(mac, local)
	if answer.Dst != ndp.AllNodes || answer.Solicited {
		t.Fatalf("%+v", answer)
	}
	tap.want(t, answer.Append(nil), skip)

	eventually(t, func() error { // frames are counted when they have been sent
		if a4, a6 := s.address(vip4), s.address(vip6); a4.Requests != 3 || a4.Responses != 3 || a4.Gratuitous != 10 || a6.Requests != 3 || a6.Responses != 3 || a6.Gratuitous != 5 {
			return fmt.Errorf("counters %+v, %+v", a4.Counters, a6.Counters)
		}
		return nil
	})
}

// Questions that are not for this host, or not questions, stay unanswered, whatever
// arrives; the host goes on answering.
func TestSilence(t *testing.T) {
	t.Parallel()
	s, far, tap := pair(t)
	mac, peer, other := s.mac(t, "eth0"), far.mac(t, "eth0"), layer2.MAC{2, 0, 0, 0, 0, 9}
	local := s.local(t, "eth0")
	s.announce(vip4.String(), vip6.String())
	s.on(t, vip4.String(), layer2.OffSubnet, "eth0")
	s.on(t, vip6.String(), layer2.OffSubnet, "eth0")
	ask := arp.Packet{Dst: arp.Broadcast, Src: peer, Op: arp.Request, SenderMAC: peer, SenderIP: netip.MustParseAddr("192.0.2.1"), TargetIP: vip4}
	question := ndp.Probe(peer, netip.MustParseAddr("2001:db8::1"), vip6)
	edit4 := func(f func(*arp.Packet)) []byte { p := ask; f(&p); return p.Append(nil) }
	edit6 := func(f func(*ndp.Message)) []byte { m := question; f(&m); return m.Append(nil) }
	flip := func(at int) []byte { b := question.Append(nil); b[at] ^= 1; return b }
	good4 := ask.Append(nil)
	for _, frame := range [][]byte{
		edit4(func(p *arp.Packet) { p.Dst = other }),
		edit4(func(p *arp.Packet) { p.TargetIP = netip.MustParseAddr("192.0.2.101") }),
		edit4(func(p *arp.Packet) { p.SenderIP = vip4 }), // an announcement
		edit4(func(p *arp.Packet) { p.Op = arp.Reply; p.Dst = mac }),
		edit4(func(p *arp.Packet) { p.SenderMAC = arp.Broadcast }),
		good4[:30],
		bytes.Join([][]byte{good4[:12], {0x81, 0, 0, 7}, good4[12:]}, nil), // another VLAN
		edit6(func(m *ndp.Message) { m.DstMAC = other }),
		edit6(func(m *ndp.Message) { m.Target = netip.MustParseAddr("2001:db8:1::100") }), // the same group
		edit6(func(m *ndp.Message) { m.Type = ndp.Advertisement }),
		flip(21), // hop limit
		flip(56), // checksum
		flip(55), // code
		question.Append(nil)[:ndp.MinLen-4],
	} {
		tap.send(t, frame)
		// What is sent later is answered first.
		tap.send(t, good4)
		tap.send(t, question.Append(nil))
		answers := map[string]bool{string(ask.Answer(mac).Append(nil)): true, string(question.Answer(mac, local).Append(nil)): true}
		for len(answers) > 0 {
			got := tap.next(t)
			delete(answers, string(got))
			if p, err := arp.Parse(got); err == nil && p.Dst != arp.Broadcast && !bytes.Equal(got, ask.Answer(mac).Append(nil)) {
				t.Errorf("%x is answered by %+v", frame, p)
			}
			if m, err := ndp.Parse(got); err == nil && m.Solicited && !bytes.Equal(got, question.Answer(mac, local).Append(nil)) {
				t.Errorf("%x is answered by %+v", frame, m)
			}
		}
	}
}

// A client that gives itself the address is told that it is taken.
func TestDuplicateAddressDetection(t *testing.T) {
	t.Parallel()
	client, speakers := segment(t, 1)
	s := speakers[0]
	s.announce(vip6.String())
	eventually(t, func() error { // an announcement would tell the client before it asks
		if a := s.address(vip6); a.Gratuitous < 5 {
			return fmt.Errorf("%+v", a)
		}
		return nil
	})
	must(t, client.Sysctl("net.ipv6.conf.eth0.accept_dad", "1"))
	eth0 := client.device(t, "eth0")
	must(t, client.Link().AddrAdd(eth0, &netlink.Addr{IPNet: netlink.NewIPNet(vip6.AsSlice())}))
	eventually(t, func() error {
		list, err := client.Link().AddrList(eth0, unix.AF_INET6)
		must(t, err)
		for _, a := range list {
			if ip, _ := netip.AddrFromSlice(a.IP); ip == vip6 && a.Flags&unix.IFA_F_DADFAILED != 0 {
				return nil
			}
		}
		return fmt.Errorf("the duplicate is not detected: %v", list)
	})
	eventually(t, func() error {
		for _, c := range s.heard() {
			if c.Addr == vip6 && c.MAC == client.mac(t, "eth0") && c.Interface == "eth0" && c.Probe {
				return nil
			}
		}
		return fmt.Errorf("no conflict in %v", s.heard())
	})
}

// Another speaker takes the address over: the client's packets go there at once, while
// the first still answers, which hears of it and does not take it for its own.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	for _, vip := range vips {
		t.Run(vip.String(), func(t *testing.T) {
			t.Parallel()
			client, speakers := segment(t, 2)
			a, b := speakers[0], speakers[1]
			macA, macB := a.mac(t, "eth0"), b.mac(t, "eth0")
			a.announce(vip.String())
			client.resolves(t, vip, macA)
			b.announce(vip.String())
			eventually(t, func() error { // without a packet of the client's
				if mac, _ := client.neighbor(t, vip); mac != macB {
					return fmt.Errorf("%v is at %v, want %v", vip, mac, macB)
				}
				return nil
			})
			eventually(t, func() error {
				for _, c := range a.heard() {
					if c.Addr == vip && c.MAC == macB && !c.Probe {
						return nil
					}
				}
				return fmt.Errorf("%v", a.heard())
			})
			a.announce()
			eventually(t, func() error {
				if len(a.Status().Addresses) != 0 {
					return fmt.Errorf("%+v", a.Status())
				}
				return nil
			})
			// All over again, from nothing.
			must(t, client.Link().NeighDel(&netlink.Neigh{LinkIndex: client.device(t, "eth0").Attrs().Index, IP: vip.AsSlice()}))
			before := a.address(vip)
			client.resolves(t, vip, macB)
			if a.address(vip).Responses != before.Responses {
				t.Error("the first still answers")
			}
		})
	}
}

// A host that has the address is found by the probe, though it never says so unasked;
// and when it speaks, the address is defended.
func TestConflict(t *testing.T) {
	t.Parallel()
	for _, vip := range vips {
		t.Run(vip.String(), func(t *testing.T) {
			t.Parallel()
			client, speakers := segment(t, 1)
			s := speakers[0]
			s.link(t, "eth0", layer2.Usable)
			client.addr(t, "eth0", netip.PrefixFrom(vip, vip.BitLen()).String())
			s.defend = true
			s.announce(vip.String())
			eventually(t, func() error {
				a := s.address(vip)
				for _, c := range s.heard() {
					if c.Addr == vip && c.MAC == client.mac(t, "eth0") && c.Interface == "eth0" && !c.Probe && len(a.Conflicts) == 1 && a.Claims > 0 {
						return nil
					}
				}
				return fmt.Errorf("no conflict in %v, %+v", s.heard(), a)
			})
			// One announcement more than the rounds.
			want := uint64(6)
			if vip.Is4() {
				want *= 2
			}
			eventually(t, func() error {
				if a := s.address(vip); a.Gratuitous < want {
					return fmt.Errorf("%d frames, want %d or more", a.Gratuitous, want)
				}
				return nil
			})
		})
	}
}

func exclude(expressions ...string) func(*lan.Options) {
	return func(o *lan.Options) {
		for _, x := range expressions {
			o.Exclude = append(o.Exclude, regexp.MustCompile(x))
		}
	}
}
