package wire

import "testing"

// TestAllocations: nothing is allocated per UPDATE once the buffers have grown, in any kind of session.
func TestAllocations(t *testing.T) {
	for name, s := range map[string]Session{
		"internal":              {AS4: true, Internal: true, Families: both},
		"external":              {AS4: true, Families: both},
		"two-octet AS numbers":  {Internal: true, Families: both},
		"path identifiers":      {AS4: true, Families: both, AddPathReceive: both, AddPathSend: both},
		"identifiers, one side": {AS4: true, Families: both, AddPathReceive: both[1:], AddPathSend: both[1:]},
		"long messages":         {AS4: true, Families: both, MaxLen: MaxExtendedLen},
		"IPv6 next hops":        {AS4: true, Families: both, ExtendedNextHop: true},
	} {
		t.Run(name, func(t *testing.T) {
			e := Encoder{Session: s}
			list := append(hosts(2000, IPv4Unicast), hosts(2000, IPv6Unicast)...)
			paths := make([]uint32, len(list))
			a := sample()
			a.NextHop6 = addr("2001:db8::1")
			if s.ExtendedNextHop {
				a.NextHop, a.LinkLocal = a.NextHop6, addr("fe80::1")
			}
			var buf []byte
			encode := func() {
				var err error
				if buf, _, err = e.AppendReach(buf[:0], a, list, paths); err != nil {
					t.Fatal(err)
				}
				if buf, _, err = e.AppendWithdraw(buf, list, paths); err != nil {
					t.Fatal(err)
				}
				buf = AppendEndOfRIB(AppendKeepalive(buf), IPv6Unicast)
			}
			encode()
			if n := testing.AllocsPerRun(20, encode); n != 0 {
				t.Errorf("encoding: %v allocations", n)
			}
			messages := split(t, buf)
			var u Update
			decode := func() {
				for _, m := range messages {
					if m.Type != TypeUpdate {
						continue
					}
					if r := s.DecodeUpdate(m.Body, &u); r.Outcome != Accept {
						t.Fatal(r.Findings)
					}
				}
			}
			decode()
			if n := testing.AllocsPerRun(20, decode); n != 0 {
				t.Errorf("decoding: %v allocations", n)
			}
		})
	}
}
