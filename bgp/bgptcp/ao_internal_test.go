package bgptcp

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/pharoslb/pharos/bgp"
)

// The structures are as a C compiler lays out those of linux/tcp.h (6.12).
func TestAOStructures(t *testing.T) {
	for _, r := range []struct {
		v       any
		size    int
		offsets map[string]uintptr
	}{
		{aoAdd{}, 288, map[string]uintptr{
			"Addr": 0, "Algorithm": 128, "IfIndex": 192, "Flags": 196, "Prefix": 202, "SendID": 203, "RecvID": 204,
			"MACLen": 205, "KeyFlags": 206, "KeyLen": 207, "Key": 208,
		}},
		{aoDel{}, 144, map[string]uintptr{
			"Addr": 0, "IfIndex": 128, "Flags": 132, "Prefix": 138, "SendID": 139, "RecvID": 140, "Current": 141, "RNext": 142, "KeyFlags": 143,
		}},
		{aoInfo{}, 48, map[string]uintptr{"Flags": 0, "Current": 6, "RNext": 7, "Good": 8, "DroppedICMP": 40}},
		{aoGet{}, 304, map[string]uintptr{
			"Addr": 0, "Algorithm": 128, "Key": 192, "NKeys": 272, "Flags": 276, "SendID": 278, "RecvID": 279, "Prefix": 280,
			"MACLen": 281, "KeyFlags": 282, "KeyLen": 283, "IfIndex": 284, "Good": 288, "Bad": 296,
		}},
	} {
		typ := reflect.TypeOf(r.v)
		if n := binary.Size(r.v); n != r.size || int(typ.Size()) != r.size {
			t.Errorf("%v: %d octets written, %d in memory, want %d", typ, n, typ.Size(), r.size)
		}
		for name, want := range r.offsets {
			if f, ok := typ.FieldByName(name); !ok || f.Offset != want {
				t.Errorf("%v.%s at %d, want %d", typ, name, f.Offset, want)
			}
		}
	}
}

// On both kinds of machines the first bit of a C bit-field is the first in memory's
// order of bits.
func TestBitFields(t *testing.T) {
	little := *(*byte)(unsafe.Pointer(&[]uint16{1}[0])) == 1
	want := map[bool][]uint32{true: {1, 2, 4, 1, 2, 4}, false: {1 << 31, 1 << 30, 1 << 29, 1 << 15, 1 << 14, 1 << 13}}[little]
	got := []uint32{aoSetCurrent, aoSetRNext, aoRequired, uint32(aoIsCurrent), uint32(aoIsRNext), uint32(aoGetAll)}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPlanAO(t *testing.T) {
	keys := func(ids ...uint8) (out []bgp.AOKey) {
		for i := 0; i < len(ids); i += 2 {
			out = append(out, bgp.AOKey{SendID: ids[i], RecvID: ids[i+1], Secret: "s"})
		}
		return out
	}
	for _, r := range []struct {
		name string
		have []aoID
		want []bgp.AOKey
		add  []bgp.AOKey
		del  []int
		err  string
	}{
		{name: "the same", have: []aoID{{1, 2}}, want: keys(1, 2)},
		{name: "one more", have: []aoID{{1, 2}}, want: keys(3, 4, 1, 2), add: keys(3, 4)},
		{name: "one less", have: []aoID{{1, 2}, {3, 4}}, want: keys(3, 4), del: []int{0}},
		{name: "another", have: []aoID{{1, 2}}, want: keys(3, 4), add: keys(3, 4), del: []int{0}},
		{name: "SendID in use", have: []aoID{{1, 2}}, want: keys(1, 4), err: "one of the IDs"},
		{name: "RecvID in use", have: []aoID{{1, 2}}, want: keys(3, 2), err: "one of the IDs"},
		{name: "none", have: []aoID{{1, 2}}, err: "no TCP-AO key"},
	} {
		add, del, err := planAO(r.have, r.want)
		if (err == nil) != (r.err == "") || err != nil && !strings.Contains(err.Error(), r.err) {
			t.Errorf("%s: %v", r.name, err)
		}
		if !slices.Equal(add, r.add) || !slices.Equal(del, r.del) {
			t.Errorf("%s: add %v, remove %v; want %v, %v", r.name, add, del, r.add, r.del)
		}
	}
	if id, ok := changedUnderID(keys(1, 2), []bgp.AOKey{{SendID: 1, RecvID: 2, Secret: "other"}}); !ok || id != (aoID{1, 2}) {
		t.Errorf("a new secret under old IDs: %v %v", id, ok)
	}
}

// Whom a connection belongs to, and who is refused as the kernel could not tell its
// signatures from another's.
func TestPlan(t *testing.T) {
	addr := func(s string) bgp.Config { return bgp.Config{Name: s, RemoteAddr: netip.MustParseAddr(s)} }
	prefix := func(s string) bgp.Config { return bgp.Config{Name: s, RemotePrefix: netip.MustParsePrefix(s)} }
	signed := func(c bgp.Config, password string) bgp.Config { c.Password = password; return c }
	onto := func(c bgp.Config, name, local string) bgp.Config {
		c.Name, c.LocalAddr = name, netip.MustParseAddr(local)
		return c
	}
	peers := []bgp.Config{
		prefix("0.0.0.0/0"), prefix("192.0.2.0/24"), signed(prefix("192.0.2.128/25"), "a"), signed(addr("192.0.2.129"), "b"),
		addr("192.0.2.130"), // cannot go unsigned
		addr("192.0.2.2"), onto(addr("192.0.2.2"), "local", "192.0.2.1"),
		signed(addr("192.0.2.3"), "c"), signed(onto(addr("192.0.2.3"), "other", "192.0.2.1"), "d"), // two passwords
		prefix("2001:db8::/64"), addr("fe80::1%eth0"), addr("fe80::1%eth1"),
		{Name: "unnumbered", Interface: "eth2"},
	}
	const any4, any6 = "198.51.100.1", "2001:db8::99"
	for _, r := range []struct {
		local, remote, want string
		refused             bool
	}{
		{any4, "203.0.113.1", "0.0.0.0/0", false},
		{any4, "192.0.2.9", "192.0.2.0/24", false},
		{any4, "192.0.2.200", "192.0.2.128/25", false},
		{any4, "192.0.2.129", "192.0.2.129", false},
		{any4, "192.0.2.130", "192.0.2.130", true},
		{any4, "192.0.2.2", "192.0.2.2", false},
		{"192.0.2.1", "192.0.2.2", "local", false},
		{any4, "192.0.2.3", "192.0.2.3", false},
		{"192.0.2.1", "192.0.2.3", "other", true},
		{any6, "2001:db8::7", "2001:db8::/64", false},
		{any6, "2001:db8:1::7", "", false},
		{any6, "fe80::1%eth0", "fe80::1%eth0", false},
		{any6, "fe80::1%eth1", "fe80::1%eth1", false},
		{any6, "fe80::1%eth2", "", false},
	} {
		local, remote := netip.MustParseAddr(r.local), netip.MustParseAddr(r.remote)
		l := &Listener{}
		var want map[netip.Prefix]credential
		l.peers, want = plan(peers, remote.Is4())
		e, _ := l.peerOf(local, remote)
		if e.Name != r.want || (e.err != nil) != r.refused {
			t.Errorf("%v to %v: %q, refused %v; want %q, %v", remote, local, e.Name, e.err, r.want, r.refused)
		}
		if n := len(want); remote.Is4() && n != 3 || !remote.Is4() && n != 0 {
			t.Errorf("the kernel is to have %d keys: %v", n, want)
		}
	}
}
