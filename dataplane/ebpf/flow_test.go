package ebpf

import (
	"net/netip"
	"testing"

	"github.com/pharoslb/pharos"
)

// Established connections outlive a flood of others' first packets, and their answers
// come from the frontend.
func TestFloodPutsOutNoConnection(t *testing.T) {
	b := newBench(t)
	b.serve(1, 1, nil) // one pod, here
	b.apply(t)
	ingress, egress := b.Programs()
	for _, v6 := range []bool{false, true} {
		client, vip, pod := netip.MustParseAddrPort("198.51.100.1:999"), netip.MustParseAddrPort("192.0.2.1:80"), netip.MustParseAddrPort("10.244.1.10:8080")
		if v6 {
			client, vip, pod = netip.MustParseAddrPort("[2001:db8:1::1]:999"), netip.MustParseAddrPort("[2001:db8::1]:80"), netip.MustParseAddrPort("[fd00:244:1::a]:8080")
		}
		from := func(flags byte) frame { return frame{src: client, dst: vip, protocol: 6, flags: flags, ttl: 9} }
		delivered := func(f frame) bool {
			t.Helper()
			verdict, out := b.run(t, ingress, f.bytes())
			return verdict == -1 && parse(t, out).dst == pod
		}
		answered := func(flags byte) {
			t.Helper()
			f := frame{src: pod, dst: client, protocol: 6, flags: flags, ttl: 9, seq: 1999}
			if verdict, out := b.run(t, egress, f.bytes()); verdict != -1 || parse(t, out).src != vip || parse(t, out).dst != client {
				t.Fatalf("an answer: %d, %+v", verdict, parse(t, out))
			}
		}
		if !delivered(from(2)) {
			t.Fatal("a SYN is not delivered")
		}
		answered(2 | 16)
		if !delivered(from(16)) {
			t.Fatal("an ACK is not delivered")
		}
		flood := frame{dst: vip, protocol: 6, flags: 2, ttl: 9}
		for i := range 40000 {
			a := netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})
			if v6 {
				a = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 9, 14: byte(i >> 8), 15: byte(i)})
			}
			flood.src = netip.AddrPortFrom(a, 1024)
			if _, err := ingress.Run(runOf(flood.bytes())); err != nil {
				t.Fatal(err)
			}
		}
		if !delivered(from(16)) {
			t.Error("a flood has put out a connection")
		}
		answered(16)
		// Who has not heard the answer is not established by guessing.
		guess := flood
		guess.src = netip.AddrPortFrom(client.Addr(), 998)
		b.run(t, ingress, guess.bytes())
		answer := frame{src: pod, dst: guess.src, protocol: 6, flags: 2 | 16, ttl: 9, seq: 1 << 30}
		b.run(t, egress, answer.bytes())
		guess.flags = 16
		b.run(t, ingress, guess.bytes())
		var f directFlow
		key := directFlowKey{From: addrOf(guess.src.Addr()), To: addrOf(vip.Addr()), Sport: wire(998), Dport: wire(80), Protocol: 6}
		if err := b.kernel.objects.Known.Lookup(key, &f); err == nil {
			t.Error("a guess has established a connection")
		}
	}
	traffic, err := b.Traffic()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range traffic {
		if m.Frontend.Protocol == pharos.TCP && (m.Connections != 40002 || m.Packets != 40005 || m.Bytes < 40*m.Packets) {
			t.Errorf("%+v", m)
		}
	}
}

// Connections that come and go put out none that is silent meanwhile, however many
// they are.
func TestChurnPutsOutNoConnection(t *testing.T) {
	b := newBench(t)
	b.options.Sizes.Known, b.options.Sizes.Fresh = 1024, 1024
	b.serve(1, 1, nil) // one pod, here
	b.apply(t)
	ingress, egress := b.Programs()
	vip, pod := netip.MustParseAddrPort("192.0.2.1:80"), netip.MustParseAddrPort("10.244.1.10:8080")
	from := func(client netip.AddrPort, flags byte) bool {
		t.Helper()
		f := frame{src: client, dst: vip, protocol: 6, flags: flags, ttl: 9}
		verdict, out := b.run(t, ingress, f.bytes())
		return verdict == -1 && parse(t, out).dst == pod
	}
	answered := func(client netip.AddrPort, flags byte) bool {
		t.Helper()
		f := frame{src: pod, dst: client, protocol: 6, flags: flags, ttl: 9, seq: 1999}
		verdict, out := b.run(t, egress, f.bytes())
		return verdict == -1 && parse(t, out).src == vip
	}
	begin := func(client netip.AddrPort) {
		t.Helper()
		if !from(client, 2) || !answered(client, 2|16) || !from(client, 16) {
			t.Fatalf("%s gets no connection", client)
		}
	}
	const fin, rst, ack = 1, 4, 16
	silent := netip.MustParseAddrPort("198.51.100.1:999")
	begin(silent)
	for i := range 3000 {
		client := netip.AddrPortFrom(addr("198.51.100.2"), uint16(1024+i))
		begin(client)
		ok := false
		switch i % 3 {
		case 0: // the client closes first
			ok = from(client, fin|ack) && answered(client, ack) && answered(client, fin|ack) && from(client, ack)
		case 1:
			ok = answered(client, fin|ack) && from(client, ack) && from(client, fin|ack) && answered(client, ack)
		case 2:
			ok = answered(client, rst)
		}
		if !ok {
			t.Fatalf("connection %d is not closed as it should be", i)
		}
	}
	if !from(silent, ack) || !answered(silent, ack) {
		t.Error("others that came and went have put out a connection")
	}
	known, err := all[directFlowKey, directFlow](b.kernel.objects.Known)
	if err != nil || len(known) != 2 {
		t.Errorf("%d entries are left (%v)", len(known), err)
	}
	begin(netip.AddrPortFrom(addr("198.51.100.2"), 1024)) // the port is free again
}
