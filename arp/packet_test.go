package arp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func octets(s string) []byte {
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		panic(err)
	}
	return b
}

var (
	client = MAC{0x02, 0, 0x5e, 0x10, 0, 0x01}
	node   = MAC{0x02, 0, 0x5e, 0x10, 0, 0x02}
	peer   = netip.MustParseAddr("192.0.2.1")
	vip    = netip.MustParseAddr("192.0.2.100")
	zero   = netip.IPv4Unspecified()
)

// Frames, octet by octet, and what they mean.
func TestVectors(t *testing.T) {
	for _, r := range []struct {
		name   string
		octets string
		want   Packet
		asks   netip.Addr // not valid: nobody
		claims netip.Addr
		probes bool
	}{
		{
			"a kernel's question",
			"ffffffffffff 02005e100001 0806 0001 0800 06 04 0001  02005e100001 c0000201  000000000000 c0000264",
			Packet{Broadcast, client, Request, client, peer, MAC{}, vip}, vip, peer, false,
		},
		{
			"a kernel's question to the station that it knew",
			"02005e100002 02005e100001 0806 0001 0800 06 04 0001  02005e100001 c0000201  000000000000 c0000264",
			Packet{node, client, Request, client, peer, MAC{}, vip}, vip, peer, false,
		},
		{
			"our answer",
			"02005e100001 02005e100002 0806 0001 0800 06 04 0002  02005e100002 c0000264  02005e100001 c0000201",
			Packet{Broadcast, client, Request, client, peer, MAC{}, vip}.Answer(node), netip.Addr{}, vip, false,
		},
		{
			"our announcement, as a request",
			"ffffffffffff 02005e100002 0806 0001 0800 06 04 0001  02005e100002 c0000264  ffffffffffff c0000264",
			Announce(node, vip)[0], netip.Addr{}, vip, false,
		},
		{
			"our announcement, as a reply",
			"ffffffffffff 02005e100002 0806 0001 0800 06 04 0002  02005e100002 c0000264  ffffffffffff c0000264",
			Announce(node, vip)[1], netip.Addr{}, vip, false,
		},
		{
			"our probe",
			"ffffffffffff 02005e100002 0806 0001 0800 06 04 0001  02005e100002 00000000  000000000000 c0000264",
			Probe(node, vip), vip, zero, true,
		},
		{
			"our answer to a probe",
			"02005e100001 02005e100002 0806 0001 0800 06 04 0002  02005e100002 c0000264  02005e100001 00000000",
			Probe(client, vip).Answer(node), netip.Addr{}, vip, false,
		},
	} {
		frame := octets(r.octets)
		if got := r.want.Append(nil); !bytes.Equal(got, frame) {
			t.Errorf("%s: wrote\n%x, want\n%x", r.name, got, frame)
		}
		p, err := Parse(append(frame, make([]byte, 18)...)) // padded, as on the wire
		if err != nil || p != r.want {
			t.Errorf("%s: read %+v, %v; want %+v", r.name, p, err, r.want)
		}
		if addr, ok := p.Asks(); ok != r.asks.IsValid() || ok && addr != r.asks {
			t.Errorf("%s: asks for %v, %v", r.name, addr, ok)
		}
		if addr, ok := p.Claims(); addr != r.claims || ok != (addr != zero) {
			t.Errorf("%s: claims %v, %v", r.name, addr, ok)
		}
		if p.Probes() != r.probes {
			t.Errorf("%s: probes: %v", r.name, !r.probes)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := Packet{Broadcast, client, Request, client, peer, MAC{}, vip}.Append(nil)
	with := func(at int, b ...byte) []byte {
		f := bytes.Clone(good)
		copy(f[at:], b)
		return f
	}
	for _, r := range []struct {
		name  string
		frame []byte
		want  error
	}{
		{"nothing", nil, ErrShort},
		{"cut", good[:Len-1], ErrShort},
		{"IPv4", with(12, 8, 0), ErrType},
		{"VLAN", with(12, 0x81, 0), ErrType},
		{"Token Ring", with(14, 0, 6), ErrProtocol},
		{"IPv6", with(16, 0x86, 0xdd), ErrProtocol},
		{"long hardware addresses", with(18, 8), ErrProtocol},
		{"long addresses", with(19, 16), ErrProtocol},
		{"no operation", with(20, 0, 0), ErrOp},
		{"RARP", with(20, 0, 3), ErrOp},
		{"from a group", with(6, 1), ErrSender},
		{"sender is a group", with(22, 0xff), ErrSender},
		{"sender is nobody", with(22, 0, 0, 0, 0, 0, 0), ErrSender},
	} {
		if p, err := Parse(r.frame); !errors.Is(err, r.want) || p != (Packet{}) {
			t.Errorf("%s: %+v, %v; want %v", r.name, p, err, r.want)
		}
	}
}

func TestFor(t *testing.T) {
	for dst, want := range map[MAC]bool{Broadcast: true, node: true, client: false, {1, 0, 0x5e, 0, 0, 1}: false} {
		if got := (Packet{Dst: dst}).For(node); got != want {
			t.Errorf("to %x: %v", dst, got)
		}
	}
}

func TestNoMemory(t *testing.T) {
	frame, out := Probe(client, vip).Append(nil), make([]byte, 0, Len)
	if n := testing.AllocsPerRun(100, func() {
		p, err := Parse(frame)
		if err != nil {
			t.Fatal(err)
		}
		out = p.Answer(node).Append(out[:0])
	}); n != 0 {
		t.Errorf("%v allocations for an answer", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Packet{Broadcast, client, Request, client, peer, MAC{}, vip}.Append(nil))
	f.Add(Announce(node, vip)[1].Append(nil))
	f.Add(append(Probe(client, vip).Append(nil), 0, 0, 0))
	f.Fuzz(func(t *testing.T, frame []byte) {
		p, err := Parse(frame)
		if err != nil {
			if p != (Packet{}) {
				t.Errorf("%+v beside %v", p, err)
			}
			return
		}
		if again := p.Append(nil); !bytes.Equal(again, frame[:Len]) {
			t.Errorf("read %x, wrote %x", frame, again)
		}
		answer, err := Parse(p.Answer(node).Append(nil))
		if err != nil || !answer.For(p.SenderMAC) {
			t.Errorf("the answer %+v: %v", answer, err)
		}
		if _, ok := answer.Asks(); ok {
			t.Error("an answer asks")
		}
	})
}
