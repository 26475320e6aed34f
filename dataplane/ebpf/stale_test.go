package ebpf

import (
	"net/netip"
	"testing"

	"github.com/pharoslb/pharos"
)

// What a node remembers of a connection that is closed takes no packets from a later one of
// the client's port that another node has.
func TestClosedConnectionTakesNothingFromLaterOnes(t *testing.T) {
	const fin, syn, rst, ack = 1, 2, 4, 16
	for _, closing := range []struct {
		name   string
		client []byte // flags of its segments
		pod    []byte
	}{
		{"by both", []byte{fin | ack}, []byte{fin | ack}},
		{"by the client", []byte{fin | ack}, nil},
		{"by the pod", nil, []byte{fin | ack}},
		{"by the client's reset", []byte{rst}, nil},
	} {
		t.Run(closing.name, func(t *testing.T) {
			b := newBench(t)
			b.serve(1, 2, nil)
			name := pharos.Name{Namespace: "default", Name: "s1"}
			both, _ := b.snapshot.Endpoints.Get(name)
			on := func(node string) {
				t.Helper()
				e := &pharos.Endpoints{}
				for _, p := range both.Backends {
					if p.Node == node {
						e.Backends = append(e.Backends, p)
					}
				}
				b.snapshot.Endpoints = b.snapshot.Endpoints.With(name, e)
				b.apply(t)
			}
			on("n1")
			ingress, egress := b.Programs()
			client, vip, pod := netip.MustParseAddrPort("198.51.100.1:999"), netip.MustParseAddrPort("192.0.2.1:80"), netip.MustParseAddrPort("10.244.1.10:8080")
			const first, later = 1000, 3_000_000_000 // sequence numbers
			delivered := func(flags byte, seq uint32) bool {
				t.Helper()
				f := frame{src: client, dst: vip, protocol: 6, flags: flags, ttl: 9, seq: seq}
				verdict, out := b.run(t, ingress, f.bytes())
				return verdict == -1 && parse(t, out).dst == pod
			}
			answer := func(flags byte) {
				t.Helper()
				f := frame{src: pod, dst: client, protocol: 6, flags: flags, ttl: 9, seq: 1999}
				if verdict, out := b.run(t, egress, f.bytes()); verdict != -1 || parse(t, out).src != vip {
					t.Fatalf("an answer: %d, %+v", verdict, parse(t, out))
				}
			}
			if !delivered(syn, first) {
				t.Fatal("a SYN is not delivered")
			}
			answer(syn | ack)
			if !delivered(ack, first+1) {
				t.Fatal("an ACK is not delivered")
			}
			for _, flags := range closing.client {
				if !delivered(flags, first+1) {
					t.Fatal("the client's end is not delivered")
				}
			}
			for _, flags := range closing.pod {
				answer(flags)
			}
			on("n2")
			if closing.client != nil && !delivered(ack, first+2) || closing.client == nil && !delivered(ack, 2000) { // what frames acknowledge
				t.Error("a straggler is not delivered")
			}
			if delivered(ack, later+1) {
				t.Error("a later connection's segment is delivered to the earlier one's pod")
			}
			if delivered(syn, later) {
				t.Error("a later connection's SYN is delivered to the earlier one's pod")
			}
			if delivered(ack, first+2) {
				t.Error("after the SYN of another one the earlier one is still known")
			}
		})
	}
}
