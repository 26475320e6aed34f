package ebpf

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// families are a client's and a frontend's address of each.
var families = []struct {
	client, vip netip.Addr
}{
	{addr("198.51.100.1"), addr("192.0.2.1")},
	{addr("2001:db8:1::1"), addr("2001:db8::1")},
}

// owned returns a client's address and port whose connections a node owns.
func owned(t testing.TB, state *dataplane.State, node string, client netip.Addr, vip netip.AddrPort, protocol pharos.Protocol) netip.AddrPort {
	t.Helper()
	model := dataplane.NewModel(1)
	model.Apply(t.Context(), state)
	for port := uint16(1024); port < 60000; port++ {
		a := model.Send(time.Unix(1e9, 0), dataplane.Packet{Src: client, SrcPort: port, Dst: vip, Protocol: protocol})
		if a.Node == node || node == "n1" && a.Action == dataplane.Accept {
			return netip.AddrPortFrom(client, port)
		}
	}
	t.Fatalf("%s owns nothing", node)
	return netip.AddrPort{}
}

// fragments returns the frame of a datagram in two.
func (f *frame) fragments(id byte) [2][]byte {
	p := f.packet(0)
	link, v6 := f.bytes()[:14], f.src.Addr().Is6()
	header := 20
	if v6 {
		header = 40
	}
	var all [2][]byte
	const first = 64
	for i, part := range [][]byte{p[header : header+first], p[header+first:]} {
		at, more := uint16(i*first), uint16(1-i)
		if v6 { // RFC 8200, section 4.5
			part = append(binary.BigEndian.AppendUint16([]byte{f.protocol, 0}, at|more), append([]byte{0, 0, 0, id}, part...)...)
			all[i] = append(bytes.Clone(link), ip(f.src.Addr(), f.dst.Addr(), 44, 0, f.ttl, part)...)
			continue
		}
		b := ip(f.src.Addr(), f.dst.Addr(), f.protocol, 0, f.ttl, part)
		b[5], b[10], b[11] = id, 0, 0
		binary.BigEndian.PutUint16(b[6:], at/8|more<<13)
		binary.BigEndian.PutUint16(b[10:], sum(b[:20]))
		all[i] = append(bytes.Clone(link), b...)
	}
	return all
}

// Fragments go where the first one of their datagram goes; what overtakes that is the stack's.
func TestFragmentsFollowTheFirst(t *testing.T) {
	b := newBench(t)
	b.serve(1, 6, nil)
	state := b.apply(t)
	ingress, _ := b.Programs()
	id := byte(0)
	for _, family := range families {
		for _, node := range []string{"n1", "n2", "n3"} {
			vip := netip.AddrPortFrom(family.vip, 80)
			f := frame{src: owned(t, state, node, family.client, vip, pharos.UDP), dst: vip, protocol: 17, ttl: 9, payload: 300}
			id++
			both := f.fragments(id)
			if verdict, out := b.run(t, ingress, both[1]); verdict != -1 || !bytes.Equal(out, both[1]) {
				t.Errorf("%s, %s: what overtakes the first: %d, %x", family.vip, node, verdict, out)
			}
			var to [2]netip.Addr
			for i, fragment := range both {
				verdict, out := b.run(t, ingress, fragment)
				if want := map[bool]int32{true: -1, false: 7}[node == "n1"]; verdict != want {
					t.Fatalf("%s, %s: fragment %d: %d, want %d", family.vip, node, i, verdict, want)
				}
				at, n := 14+16, 4
				if family.vip.Is6() {
					at, n = 14+24, 16
				} else if sum(out[14:34]) != 0 {
					t.Errorf("%s, %s: fragment %d has a wrong checksum", family.vip, node, i)
				}
				to[i], _ = netip.AddrFromSlice(out[at : at+n])
			}
			if to[0] != to[1] || node == "n1" && to[0] == family.vip {
				t.Errorf("%s, %s: the fragments go to %s", family.vip, node, to)
			}
		}
	}
}

// A fragment of IPv6 that doesn't fit the tunnel is answered too, though it has a
// header of its own.
func TestFragmentTooBigForTheTunnel(t *testing.T) {
	b := newBench(t)
	b.serve(1, 6, nil)
	state := b.apply(t)
	ingress, _ := b.Programs()
	for i, family := range families {
		vip := netip.AddrPortFrom(family.vip, 80)
		f := frame{src: owned(t, state, "n3", family.client, vip, pharos.UDP), dst: vip, protocol: 17, ttl: 9, payload: 1520}
		both := f.fragments(byte(i))
		b.run(t, ingress, both[0])
		if verdict, out := b.run(t, ingress, both[1]); verdict != 7 || parse(t, out).dst.Addr() != family.client {
			t.Errorf("%s: %d", family.vip, verdict)
		}
	}
	if e, err := b.Events(); err != nil || e.TooBig != 2 || e.Lost != 0 {
		t.Errorf("%+v, %v", e, err)
	}
}

// What is not for a frontend stays as it is: frames with tags (IEEE 802.1Q), packets that a routing
// header sends on from here (RFC 8200, section 4.4), and whatever is malformed.
func TestOthersPacketsStayAsTheyAre(t *testing.T) {
	b := newBench(t)
	b.serve(1, 3, nil)
	b.apply(t)
	ingress, egress := b.Programs()
	untouched := func(what string, sent []byte) {
		t.Helper()
		if verdict, out := b.run(t, ingress, sent); verdict != -1 || !bytes.Equal(out, sent) {
			t.Fatalf("%s: ingress answers %d and makes %x of %x", what, verdict, out, sent)
		}
		if verdict, out := b.run(t, egress, sent); verdict != -1 || !bytes.Equal(out, sent) {
			t.Fatalf("%s: egress answers %d and makes %x of %x", what, verdict, out, sent)
		}
	}
	r := rand.New(rand.NewPCG(3, 4))
	for _, family := range families {
		f := frame{src: netip.AddrPortFrom(family.client, 999), dst: netip.AddrPortFrom(family.vip, 80), protocol: 6, flags: 16, ttl: 9}
		plain := f.bytes()
		untouched("a tag", append(append(bytes.Clone(plain[:12]), 0x81, 0, 0, 7), plain[12:]...))
		if family.vip.Is6() {
			routed := append([]byte{6, 2, 4, 1, 0, 0, 0, 0}, family.client.AsSlice()...)
			routed = append(routed, f.packet(0)[40:]...)
			untouched("a routing header", append(bytes.Clone(plain[:14]), ip(f.src.Addr(), f.dst.Addr(), 43, 0, 9, routed)...))
		}
	}
	for i := range 3000 {
		f, _ := random(r)
		f.payload += r.IntN(60)
		ours := f.bytes()
		// Our own, of any length and content: some verdict, no end of the world.
		malformed := mutate(r, ours)
		verdict, out := b.run(t, ingress, malformed)
		if verdict != -1 && verdict != 2 && verdict != 7 || len(out) > len(malformed)+48 {
			t.Fatalf("%x: %d, %x", malformed, verdict, out)
		}
		b.run(t, egress, malformed)
		// Another's, in which only what is not the destination changes.
		f.dst = netip.AddrPortFrom(addr("203.0.113.77"), uint16(r.IntN(1<<16)))
		if f.src.Addr().Is6() {
			f.dst = netip.AddrPortFrom(addr("2001:db8:ffff::77"), f.dst.Port())
		}
		f.as = dataplane.Network
		theirs := f.bytes()
		at, n := 14+16, 4
		if f.src.Addr().Is6() {
			at, n = 14+24, 16
		}
		changed := mutate(r, theirs)
		if len(changed) >= at+n {
			copy(changed[at:at+n], theirs[at:])
		}
		copy(changed[12:14], theirs[12:])
		if verdict, out := b.run(t, ingress, changed); verdict != -1 || !bytes.Equal(out, changed) {
			t.Fatalf("round %d: another's packet %x: %d, %x", i, changed, verdict, out)
		}
	}
}

// mutate returns a frame with some octets changed and maybe an end that is missing; there is
// always one of IP's fixed header, for less isn't accepted by BPF_PROG_RUN.
func mutate(r *rand.Rand, frame []byte) []byte {
	m := bytes.Clone(frame)
	for range r.IntN(4) {
		m[14+r.IntN(len(m)-14)] = byte(r.Uint32())
	}
	least := 14 + 20
	if m[12] == 0x86 {
		least = 14 + 40
	}
	if r.IntN(2) == 0 {
		m = m[:least+r.IntN(len(m)-least+1)]
	}
	return m
}
