package bgptcp_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptcp"
)

// hasAO says if the kernel has TCP-AO. Where it has not, the tests check that peers
// with keys are refused instead.
func hasAO(t *testing.T) bool {
	t.Helper()
	l, err := bgptcp.Listen(t.Context(), netip.MustParseAddrPort("0.0.0.0:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := bgp.Config{Name: "a", RemoteAddr: netip.MustParseAddr("192.0.2.1"), AO: aoKeys(1)}
	return !errors.Is(l.SetPeers([]bgp.Config{c}), bgptcp.ErrNoAO)
}

// aoKeys are keys whose IDs are equal on both sides; the secret goes with the ID.
func aoKeys(ids ...uint8) (keys []bgp.AOKey) {
	algorithms := []bgp.AOAlgorithm{bgp.HMACSHA1, bgp.AES128CMAC, bgp.HMACSHA256}
	for _, id := range ids {
		keys = append(keys, bgp.AOKey{
			SendID: id, RecvID: id, Algorithm: algorithms[int(id)%3], Secret: strings.Repeat("secret", int(id%4)+1), ExcludeOptions: id == 7,
		})
	}
	return keys
}

func withAO(c bgp.Config, keys ...bgp.AOKey) bgp.Config {
	c.AO = keys
	return c
}

// Where the kernel has no TCP-AO, nothing goes out and nobody comes in unsigned.
func TestWithoutAOPeersAreRefused(t *testing.T) {
	if hasAO(t) {
		return // TestAO
	}
	eachFamily(t, func(t *testing.T, a, b end, v4 bool, c bgp.Config) {
		_, err := dial(t, a, withAO(c, aoKeys(1)...), never)
		if !errors.Is(err, bgptcp.ErrNoAO) || !strings.Contains(err.Error(), "CONFIG_TCP_AO") {
			t.Errorf("dial: %v", err)
		}
		l, accepted := listen(t, b, v4)
		err = l.SetPeers([]bgp.Config{withAO(mirror(c), aoKeys(1)...)})
		if !errors.Is(err, bgptcp.ErrNoAO) || !strings.Contains(err.Error(), `peer "a"`) || strings.Contains(err.Error(), "secret") {
			t.Errorf("listener: %v", err)
		}
		if _, err := dial(t, a, c, never); err == nil {
			t.Error("an unsigned connection of a peer with keys was greeted")
		}
		// The others are served.
		if err := l.SetPeers([]bgp.Config{mirror(c)}); err != nil {
			t.Fatal(err)
		}
		if _, err := dial(t, a, c, never); err != nil {
			t.Error(err)
		}
		<-accepted
	})
}

// exchange passes octets in both directions.
func exchange(t *testing.T, a, b net.Conn) {
	t.Helper()
	for _, d := range [][2]net.Conn{{a, b}, {b, a}} {
		want := []byte("keepalive")
		if _, err := d[0].Write(want); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		d[1].SetReadDeadline(time.Now().Add(never))
		if _, err := io.ReadFull(d[1], got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %q: %v", got, err)
		}
	}
}

func TestAO(t *testing.T) {
	if !hasAO(t) {
		return // TestWithoutAOPeersAreRefused
	}
	eachFamily(t, func(t *testing.T, a, b end, v4 bool, c bgp.Config) {
		l, accepted := listen(t, b, v4)
		set := func(keys ...bgp.AOKey) {
			t.Helper()
			if err := l.SetPeers([]bgp.Config{withAO(mirror(c), keys...)}); err != nil {
				t.Fatal(err)
			}
		}
		try := func(what string, c bgp.Config, ok bool) (ours, theirs net.Conn) {
			t.Helper()
			patience := soon
			if ok {
				patience = never
			}
			ours, err := dial(t, a, c, patience)
			if (err == nil) != ok {
				t.Fatalf("%s: %v", what, err)
			}
			if ok {
				theirs = <-accepted
				exchange(t, ours, theirs)
			}
			return ours, theirs
		}
		for id := range uint8(8) {
			set(aoKeys(id)...)
			try("one key", withAO(c, aoKeys(id)...), true)
		}
		set(aoKeys(1)...)
		wrong := aoKeys(1)
		wrong[0].Secret = "wrong"
		try("a wrong secret", withAO(c, wrong...), false)
		try("no key", c, false)
		try("another ID", withAO(c, aoKeys(2)...), false)
		set()
		try("no key needed", c, true)

		// From key 1 to 2, under a connection that goes on: both sides get 2, both
		// prefer it, both forget 1.
		set(aoKeys(1)...)
		ours, theirs := try("one key", withAO(c, aoKeys(1)...), true)
		both := [2]*bgptcp.Conn{ours.(*bgptcp.Conn), theirs.(*bgptcp.Conn)}
		for _, keys := range [][]bgp.AOKey{aoKeys(1, 2), aoKeys(2, 1), aoKeys(2), aoKeys(2, 3, 7)} {
			set(keys...)
			for _, k := range both {
				if err := k.SetKeys(withAO(c, keys...)); err != nil {
					t.Fatalf("%v: %v", keys, err)
				}
				exchange(t, ours, theirs)
			}
		}
		if err := both[0].SetKeys(withAO(c, bgp.AOKey{SendID: 2, RecvID: 2, Secret: "other"})); err == nil {
			t.Error("another secret under an ID in use was taken")
		}
		if err := both[0].SetKeys(c); err == nil {
			t.Error("a signed connection was left without a key")
		}
		exchange(t, ours, theirs)
		try("the new keys", withAO(c, aoKeys(7)...), true)
		try("the old key", withAO(c, aoKeys(1)...), false)

		// One side drops the key that the other signs with: from then on both use
		// another that both have.
		for _, k := range both {
			if err := k.SetKeys(withAO(c, aoKeys(2, 3)...)); err != nil {
				t.Fatal(err)
			}
		}
		if err := both[0].SetKeys(withAO(c, aoKeys(3)...)); err != nil {
			t.Fatal(err)
		}
		exchange(t, ours, theirs)
		exchange(t, theirs, ours)
	})
}

// A prefix's hosts share keys.
func TestAOForPrefix(t *testing.T) {
	if !hasAO(t) {
		return // TestWithoutAOPeersAreRefused
	}
	eachFamily(t, func(t *testing.T, a, b end, v4 bool, c bgp.Config) {
		l, accepted := listen(t, b, v4)
		m := withAO(mirror(c), aoKeys(1, 2)...)
		m.RemoteAddr, m.RemotePrefix = netip.Addr{}, netip.PrefixFrom(a.addr(v4), map[bool]int{true: 24, false: 64}[v4]).Masked()
		if err := l.SetPeers([]bgp.Config{m}); err != nil {
			t.Fatal(err)
		}
		if _, err := dial(t, a, c, soon); err == nil {
			t.Error("unsigned, and let in")
		}
		ours, err := dial(t, a, withAO(c, aoKeys(2)...), never)
		if err != nil {
			t.Fatal(err)
		}
		theirs := <-accepted
		exchange(t, ours, theirs)
		for _, k := range []net.Conn{ours, theirs} {
			if err := k.(*bgptcp.Conn).SetKeys(withAO(c, aoKeys(2)...)); err != nil {
				t.Fatal(err)
			}
			exchange(t, ours, theirs)
		}
	})
}
