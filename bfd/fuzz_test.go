package bfd

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

// Whatever decodes survives the round trip; nothing panics.
func FuzzDecode(f *testing.F) {
	key := []byte("k")
	for _, p := range []Packet{
		{State: Down, DetectMult: 3, MyDiscriminator: 1, DesiredMinTx: time.Second, RequiredMinRx: time.Second},
		{State: Up, Poll: true, DetectMult: 255, MyDiscriminator: 1, YourDiscriminator: 2, Auth: AuthSection{Type: AuthKeyedSHA1, KeyID: 1, Sequence: 7}},
	} {
		f.Add(p.Append(nil, key))
	}
	f.Add([]byte("\x20\xc4\x03\x1c\x12\x34\x56\x78\xab\xcd\xef\x12\x00\x01\x86\xa0\x00\x03\x0d\x40\x00\x00\x00\x00\x01\x04\x01\x41"))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		p, err := Decode(b)
		if !bytes.Equal(b, before) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			if _, ok := err.(Discard); !ok || p != (Packet{}) {
				t.Fatalf("%v, %+v", err, p)
			}
			return
		}
		for _, a := range []*Auth{nil, {AuthKeyedSHA1, p.Auth.KeyID, "k"}, {AuthMeticulousSHA1, p.Auth.KeyID, "k"}} {
			a.verify(&p, b)
		}
		if p.Auth.Type != AuthNone && p.Auth.Type != AuthKeyedSHA1 && p.Auth.Type != AuthMeticulousSHA1 {
			return // never written
		}
		out := p.Append(nil, key)
		if again, err := Decode(out); err != nil || again != p {
			t.Fatalf("%+v became %+v, %v", p, again, err)
		}
		if p.Auth.Type != AuthNone {
			if d := (&Auth{p.Auth.Type, p.Auth.KeyID, "k"}).verify(&p, out); d != DiscardNone {
				t.Fatal(d)
			}
		}
		DecodeEcho(b)
	})
}

// FuzzMachine plays octets as a story: each chunk is time passing and an event. What
// holds in every state is checked after each.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0}, []byte{1, 0x40, 3, 50, 50, 1, 0x80, 3, 50, 50, 1, 0xc0, 3, 50, 50})
	f.Add([]byte{0x1f}, []byte{200, 0x48, 1, 0, 0, 9, 0xe8, 255, 255, 1, 0, 1, 2, 3, 4, 255, 2, 0, 0, 0})
	f.Fuzz(func(t *testing.T, options, story []byte) {
		var o byte
		if len(options) > 0 {
			o = options[0]
		}
		c := Config{Name: "x", Remote: netip.MustParseAddr("192.0.2.1"), Disabled: o&1 != 0, Multihop: o&2 != 0}
		c.Passive, c.EchoMode = o&4 != 0, o&8 != 0
		if o&16 != 0 {
			c.Auth = &Auth{Type: AuthMeticulousSHA1, KeyID: 1, Key: "k"}
		}
		if len(options) > 2 {
			c.TransmitInterval, c.ReceiveInterval = leastInterval+time.Duration(options[1])*time.Millisecond, leastInterval+time.Duration(options[2])*time.Millisecond
			c.DetectMultiplier = options[1]
		}
		c, err := c.normal()
		if err != nil {
			t.Fatal(err)
		}
		now := epoch
		m := NewMachine(now, c, ours, epoch, uint64(o))
		var lastFinal, polls int
		var seq uint32
		step := func(in Event) {
			from := m.State()
			for _, e := range m.Step(now, in) {
				switch e := e.(type) {
				case Changed:
					if e.From != from || e.From == e.To {
						t.Fatalf("change %+v from %v", e, from)
					}
					from = e.To
				case Send:
					p := e.Packet
					if _, tick := in.(Tick); !tick {
						t.Fatal("sent outside of a tick")
					}
					if p.Poll && p.Final {
						t.Fatal("Poll and Final in one packet (§6.5)")
					}
					if c.Passive && p.YourDiscriminator == 0 {
						t.Fatal("a passive session spoke first (§6.8.7)")
					}
					if p.State != m.State() || p.State != Up && p.DesiredMinTx < slowTx {
						t.Fatalf("%v says %v, %v", m.State(), p.State, p.DesiredMinTx)
					}
					if p.Final {
						lastFinal++
					}
					var key []byte
					if m.cfg.Auth != nil {
						key = []byte(m.cfg.Auth.Key)
					}
					if _, err := Decode(p.Append(nil, key)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if from != m.State() {
				t.Fatalf("%v without a change told", m.State())
			}
			if lastFinal > polls {
				t.Fatal("Final without a Poll")
			}
			if m.State() == Up && (m.remote == 0 || m.detectAt.IsZero()) {
				t.Fatal("Up without detection")
			}
			if tx := m.txInterval(); tx < m.remoteRx || tx < leastInterval {
				t.Fatalf("interval %v", tx)
			}
		}
		for len(story) >= 5 {
			b := story[:5]
			story = story[5:]
			now = now.Add(time.Duration(b[0]) * time.Duration(b[0]) * time.Millisecond / 4)
			switch b[1] & 3 {
			case 0, 1:
				p := Packet{
					State: State(b[1] >> 6), Poll: b[1]&32 != 0, Final: b[1]&16 != 0, Demand: b[1]&8 != 0,
					DetectMult: max(1, b[2]), MyDiscriminator: theirs, YourDiscriminator: ours,
					DesiredMinTx: time.Duration(b[3]) * time.Millisecond, RequiredMinRx: time.Duration(b[4]) * time.Millisecond,
					RequiredMinEchoRx: time.Duration(b[2]&15) * time.Millisecond,
				}
				var raw []byte
				if a := m.cfg.Auth; a != nil {
					seq++
					p.Auth = AuthSection{Type: a.Type, KeyID: a.KeyID, Sequence: seq}
					raw = p.Append(nil, []byte(a.Key))
				}
				if p.Poll {
					polls++
				}
				step(Received{Packet: &p, Raw: raw, At: now.Add(-time.Duration(b[4]) * time.Microsecond)})
			case 2:
				edit := m.cfg
				edit.Disabled = b[2]&1 != 0
				edit.TransmitInterval = leastInterval + time.Duration(b[3])*time.Millisecond
				edit.ReceiveInterval = leastInterval + time.Duration(b[4])*time.Millisecond
				step(Configure{edit})
			case 3:
				step(EchoReceived{Echo: Echo{ours, binary.BigEndian.Uint32(b[1:]), m.echoes.next.Cookie}, At: now})
			}
			for n := 0; due(m.Deadline(), now); n++ {
				if n > 8 {
					t.Fatalf("the machine never rests: deadline %v, now %v", m.Deadline(), now)
				}
				step(Tick{Heard: now})
			}
		}
	})
}
