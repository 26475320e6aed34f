package ebpf

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// What doesn't fit the tunnel to the owner's node is answered with what does.
func TestTooBigForTheTunnel(t *testing.T) {
	b := newBench(t)
	b.serve(1, 6, nil)
	state := b.apply(t)
	ingress, _ := b.Programs()
	for _, test := range []struct {
		client, vip, self string
		header            int
		protocol          byte
		from              byte // of the error's type and code
		code              byte
		mtu               uint32
	}{
		{"198.51.100.1", "192.0.2.1", "10.0.0.1", 20, 1, 3, 4, 1480},
		{"2001:db8:1::1", "2001:db8::1", "fd00::1", 40, 58, 2, 0, 1460},
	} {
		f := frame{dst: netip.AddrPortFrom(addr(test.vip), 80), protocol: 17, ttl: 9}
		for port := uint16(1024); ; port++ {
			f.src = netip.AddrPortFrom(addr(test.client), port)
			model := dataplane.NewModel(1)
			model.Apply(t.Context(), state)
			if model.Where(dataplane.Packet{Src: f.src.Addr(), SrcPort: port, Dst: f.dst, Protocol: pharos.UDP}).Node == "n3" {
				break
			}
		}
		f.payload = 1500 - 2*test.header - 8
		if verdict, out := b.run(t, ingress, f.bytes()); verdict != 7 || len(out) != 14+1500 {
			t.Errorf("what fits: %d, %d octets", verdict, len(out))
		}
		f.payload++
		sent := f.bytes()
		verdict, out := b.run(t, ingress, sent)
		p := parse(t, out)
		message := out[14+p.header:]
		if verdict != 7 || p.src.Addr() != addr(test.self) || p.dst.Addr() != f.src.Addr() || p.protocol != test.protocol {
			t.Fatalf("%d: %+v", verdict, p)
		}
		var pseudo []byte
		if test.header == 40 {
			pseudo = append(append(addr(test.self).AsSlice(), f.src.Addr().AsSlice()...), 0, 0, 0, byte(len(message)), 0, 0, 0, 58)
		}
		if got := sum(pseudo, message); got != 0 {
			t.Errorf("the error's checksum is off by %#x", got)
		}
		if mtu := binary.BigEndian.Uint32(message[4:]); message[0] != test.from || message[1] != test.code || mtu != test.mtu {
			t.Errorf("type %d, code %d, MTU %d", message[0], message[1], mtu)
		}
		if !bytes.Equal(message[8:], sent[14:14+128]) {
			t.Errorf("it quotes %x", message[8:])
		}
	}
	if e, err := b.Events(); err != nil || e.TooBig != 2 || e.Failed != 0 {
		t.Errorf("%+v, %v", e, err)
	}
}
