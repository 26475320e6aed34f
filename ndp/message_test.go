package ndp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func octets(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

var (
	client = MAC{0x02, 0, 0x5e, 0x10, 0, 0x01}
	node   = MAC{0x02, 0, 0x5e, 0x10, 0, 0x02}
	peer   = netip.MustParseAddr("2001:db8::1")
	peerLL = netip.MustParseAddr("fe80::5eff:fe10:1")
	nodeLL = netip.MustParseAddr("fe80::5eff:fe10:2")
	vip    = netip.MustParseAddr("2001:db8::100")
	group  = netip.MustParseAddr("ff02::1:ff00:100")
	none   = netip.IPv6Unspecified()
)

// What Linux asked on a cable, octet by octet.
const (
	captured = "3333ff000100 02005e100001 86dd 60000000 0020 3a ff 20010db8000000000000000000000001 ff0200000000000000000001ff000100" +
		"87 00 bc1a 00000000 20010db8000000000000000000000100 01 01 02005e100001"
	capturedDAD = "3333ff000001 02005e100001 86dd 60000000 0020 3a ff 00000000000000000000000000000000 ff0200000000000000000001ff000001" +
		"87 00 da97 00000000 20010db8000000000000000000000001 0e 01 d43de173ae9a" // a nonce (RFC 7527)
	capturedNUD = "02005e100002 02005e100001 86dd 60000000 0020 3a ff fe8000000000000000005efffe100001 20010db8000000000000000000000200" +
		"87 00 5c8e 00000000 20010db8000000000000000000000200 01 01 02005e100001"
)

func ask(m Message) Message {
	m.SrcMAC, m.Type = client, Solicitation
	return m
}

// Frames, octet by octet, and what they mean. Those that Linux did not send were put
// together by another program.
func TestVectors(t *testing.T) {
	question := ask(Message{DstMAC: MAC{0x33, 0x33, 0xff, 0, 1, 0}, Src: peer, Dst: group, Target: vip, LinkLayer: client})
	unicast := ask(Message{DstMAC: node, Src: peerLL, Dst: vip, Target: vip})
	dad := ask(Message{DstMAC: MAC{0x33, 0x33, 0xff, 0, 0, 1}, Src: none, Dst: netip.MustParseAddr("ff02::1:ff00:1"), Target: peer})
	for _, r := range []struct {
		name   string
		octets string
		want   Message
		again  bool       // Append writes the same
		asks   netip.Addr // not valid: nobody
		probes bool
		claims netip.Addr
		where  MAC
	}{
		{"question", captured, question, true, vip, false, peer, client},
		{"Duplicate Address Detection", capturedDAD, dad, false, peer, true, none, client},
		{
			"unreachability detection", capturedNUD,
			ask(Message{DstMAC: node, Src: peerLL, Dst: netip.MustParseAddr("2001:db8::200"), Target: netip.MustParseAddr("2001:db8::200"), LinkLayer: client}),
			true, netip.MustParseAddr("2001:db8::200"), false, peerLL, client,
		},
		{
			"unreachability detection without link-layer address",
			"02005e100002 02005e100001 86dd 60000000 0018 3a ff fe8000000000000000005efffe100001 20010db8000000000000000000000100" +
				"87 00 bfa8 00000000 20010db8000000000000000000000100",
			unicast, true, vip, false, peerLL, client,
		},
		{
			"answer",
			"02005e100001 02005e100002 86dd 60000000 0020 3a ff fe8000000000000000005efffe100002 20010db8000000000000000000000001" +
				"88 00 1d8b 40000000 20010db8000000000000000000000100 02 01 02005e100002",
			question.Answer(node, nodeLL), true, netip.Addr{}, false, vip, node,
		},
		{
			"answer to Duplicate Address Detection",
			"333300000001 02005e100002 86dd 60000000 0020 3a ff fe8000000000000000005efffe100002 ff020000000000000000000000000001" +
				"88 00 8c41 00000000 20010db8000000000000000000000100 02 01 02005e100002",
			ask(Message{Src: none, Dst: group, Target: vip}).Answer(node, nodeLL), true, netip.Addr{}, false, vip, node,
		},
		{
			"announcement",
			"333300000001 02005e100002 86dd 60000000 0020 3a ff fe8000000000000000005efffe100002 ff020000000000000000000000000001" +
				"88 00 6c41 20000000 20010db8000000000000000000000100 02 01 02005e100002",
			Announce(node, nodeLL, vip), true, netip.Addr{}, false, vip, node,
		},
		{
			"our probe",
			"3333ff000100 02005e100002 86dd 60000000 0020 3a ff fe8000000000000000005efffe100002 ff0200000000000000000001ff000100" +
				"87 00 8e40 00000000 20010db8000000000000000000000100 01 01 02005e100002",
			Probe(node, nodeLL, vip), true, vip, false, nodeLL, node,
		},
		{
			"a router's advertisement of itself, without link-layer address",
			"02005e100001 02005e100002 86dd 60000000 0018 3a ff 20010db8000000000000000000000100 20010db8000000000000000000000001" +
				"88 00 0c80 e0000000 20010db8000000000000000000000100",
			Message{DstMAC: client, SrcMAC: node, Src: vip, Dst: peer, Type: Advertisement, Target: vip, Router: true, Solicited: true, Override: true},
			true, netip.Addr{}, false, vip, node,
		},
	} {
		frame := octets(r.octets)
		m, err := Parse(append(frame[:len(frame):len(frame)], 0, 0, 0, 0))
		if err != nil || m != r.want {
			t.Errorf("%s: read %+v, %v; want %+v", r.name, m, err, r.want)
		}
		if got := r.want.Append(nil); r.again && !bytes.Equal(got, frame) {
			t.Errorf("%s: wrote\n%x, want\n%x", r.name, got, frame)
		}
		if addr, ok := m.Asks(); ok != r.asks.IsValid() || ok && addr != r.asks {
			t.Errorf("%s: asks for %v, %v", r.name, addr, ok)
		}
		if addr, mac, ok := m.Claims(); addr != r.claims || mac != r.where || ok != (addr != none) {
			t.Errorf("%s: claims %v at %x, %v", r.name, addr, mac, ok)
		}
		if m.Probes() != r.probes {
			t.Errorf("%s: probes: %v", r.name, !r.probes)
		}
	}
	if a := unicast.Answer(node, nodeLL); a.DstMAC != client || a.Dst != peerLL || !a.Solicited || a.Override {
		t.Errorf("a question without link-layer address is answered by %+v", a)
	}
}

// edited is a captured frame changed, its checksum right again if it was.
func edited(frame string, edit func(f []byte) []byte) []byte {
	f := edit(octets(frame))
	if len(f) < MinLen {
		return f
	}
	body := f[ethernetLen+ipLen:]
	if n := int(binary.BigEndian.Uint16(f[18:])); messageLen <= n && n <= len(body) {
		body = body[:n]
	}
	body[2], body[3] = 0, 0
	binary.BigEndian.PutUint16(body[2:], checksum(netip.AddrFrom16([16]byte(f[22:])), netip.AddrFrom16([16]byte(f[38:])), body))
	return f
}

func set(at int, b ...byte) func(f []byte) []byte {
	return func(f []byte) []byte {
		copy(f[at:], b)
		return f
	}
}

func TestParseRefuses(t *testing.T) {
	const body = ethernetLen + ipLen
	answer := hex.EncodeToString(ask(Message{Src: peer, Target: vip, LinkLayer: client}).Answer(node, nodeLL).Append(nil))
	wrong := octets(captured)
	wrong[body+2] ^= 1
	for _, r := range []struct {
		name  string
		frame []byte
		want  error
	}{
		{"nothing", nil, ErrShort},
		{"cut", octets(captured)[:MinLen-1], ErrShort},
		{"option cut", octets(captured)[:Len-1], ErrShort},
		{"shorter than a message", edited(captured, set(19, 23)), ErrShort},
		{"longer than the frame", edited(captured, set(18, 0xff)), ErrShort},
		{"IPv4", edited(captured, set(12, 8, 0)), ErrType},
		{"VLAN", edited(captured, set(12, 0x81, 0)), ErrType},
		{"version", edited(captured, set(ethernetLen, 0x40)), ErrType},
		{"hop-by-hop options", edited(captured, set(20, 0)), ErrType},
		{"fragment", edited(captured, set(20, 44)), ErrType},
		{"echo", edited(captured, set(body, 128)), ErrType},
		{"router advertisement", edited(captured, set(body, 134)), ErrType},
		{"from afar", edited(captured, set(21, 254)), ErrHopLimit},
		{"damaged", wrong, ErrChecksum},
		{"code", edited(captured, set(body+1, 1)), ErrCode},
		{"target is a group", edited(captured, set(body+8, 0xff, 2)), ErrTarget},
		{"no target", edited(captured, set(body+8, make([]byte, 16)...)), ErrTarget},
		{"from a group", edited(captured, set(22, 0xff, 2)), ErrSource},
		{"from a group of stations", edited(captured, set(6, 1)), ErrSource},
		{"advertisement from nobody", edited(answer, set(22, make([]byte, 16)...)), ErrSource},
		{"solicited to a group", edited(answer, set(38, 0xff, 2)), ErrFlags},
		{"option of no length", edited(captured, set(body+messageLen+1, 0)), ErrOption},
		{"option beyond the end", edited(captured, set(body+messageLen+1, 2)), ErrOption},
		{"half an option", edited(captured, func(f []byte) []byte { f[19] = 25; return f[:MinLen+1] }), ErrOption},
		{"long link-layer address", edited(captured, func(f []byte) []byte {
			f[19], f[body+messageLen+1] = 40, 2
			return append(f, make([]byte, 8)...)
		}), ErrOption},
		{"link-layer address of a group", edited(captured, set(body+messageLen+2, 0xff)), ErrOption},
		{"detection with link-layer address", edited(captured, set(22, make([]byte, 16)...)), ErrOption},
		{"detection to one node", edited(capturedDAD, set(38, 0x20, 1)), ErrDAD},
		{"detection to all nodes", edited(capturedDAD, set(38, AllNodes.AsSlice()...)), ErrDAD},
	} {
		if m, err := Parse(r.frame); !errors.Is(err, r.want) || m != (Message{}) {
			t.Errorf("%s: %+v, %v; want %v", r.name, m, err, r.want)
		}
	}
}

func TestFor(t *testing.T) {
	multi := Message{Dst: group}
	for _, r := range []struct {
		dst  MAC
		ip   netip.Addr
		want bool
	}{
		{node, vip, true},
		{node, group, true},
		{groupMAC(group), group, true},
		{groupMAC(AllNodes), AllNodes, true},
		{groupMAC(AllNodes), group, false},
		{groupMAC(group), vip, false},
		{client, vip, false},
		{MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, group, false},
	} {
		multi.DstMAC, multi.Dst = r.dst, r.ip
		if got := multi.For(node); got != r.want {
			t.Errorf("to %x, %v: %v", r.dst, r.ip, got)
		}
	}
}

func TestGroups(t *testing.T) {
	var g Groups
	other := netip.MustParseAddr("2001:db8:1::5:0:100") // ends in the same 24 bits
	far := netip.MustParseAddr("2001:db8::1:100")
	type step struct {
		do    func(netip.Addr) (netip.Addr, bool)
		addr  netip.Addr
		group string
		edge  bool
	}
	for i, s := range []step{
		{g.Remove, vip, "ff02::1:ff00:100", false},
		{g.Add, vip, "ff02::1:ff00:100", true},
		{g.Add, other, "ff02::1:ff00:100", false},
		{g.Add, far, "ff02::1:ff01:100", true},
		{g.Remove, vip, "ff02::1:ff00:100", false},
		{g.Remove, other, "ff02::1:ff00:100", true},
		{g.Add, other, "ff02::1:ff00:100", true},
		{g.Remove, far, "ff02::1:ff01:100", true},
	} {
		group, edge := s.do(s.addr)
		if group.String() != s.group || edge != s.edge {
			t.Errorf("step %d: %v, %v", i, group, edge)
		}
	}
	if len(g.users) != 1 {
		t.Errorf("%v", g.users)
	}
}

func TestNoMemory(t *testing.T) {
	frame, out := octets(captured), make([]byte, 0, Len)
	if n := testing.AllocsPerRun(100, func() {
		m, err := Parse(frame)
		if err != nil {
			t.Fatal(err)
		}
		out = m.Answer(node, nodeLL).Append(out[:0])
	}); n != 0 {
		t.Errorf("%v allocations for an answer", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(octets(captured), uint16(0))
	f.Add(octets(capturedDAD), uint16(0))
	f.Add(octets(capturedNUD), uint16(0))
	f.Add(Announce(node, nodeLL, vip).Append(nil), uint16(0))
	f.Fuzz(func(t *testing.T, frame []byte, fix uint16) {
		if fix != 0 { // else hardly any would get past the checksum
			frame = edited(hex.EncodeToString(frame), func(f []byte) []byte { return f })
		}
		m, err := Parse(frame)
		if err != nil {
			if m != (Message{}) {
				t.Errorf("%+v beside %v", m, err)
			}
			return
		}
		if again, err := Parse(m.Append(nil)); err != nil || again != m {
			t.Errorf("read %+v, wrote and read %+v, %v", m, again, err)
		}
		if _, ok := m.Asks(); !ok {
			return
		}
		answer, err := Parse(m.Answer(node, nodeLL).Append(nil))
		if err != nil || answer.Override || answer.Solicited == m.Probes() {
			t.Errorf("the answer %+v: %v", answer, err)
		}
		if _, ok := answer.Asks(); ok {
			t.Error("an answer asks")
		}
	})
}
