package bfd

import (
	"net/netip"
	"testing"
	"time"
)

// still is a Transport on which nothing happens but what a test does.
type still struct{ Transport }

func (still) Open(Path) (Endpoint, error) { return mute{}, nil }
func (still) Wake()                       {}

type mute struct{ Endpoint }

func (mute) Send([]byte) error     { return nil }
func (mute) SendEcho([]byte) error { return nil }

// A session that stays Up makes no garbage: while the garbage collector is at work, the
// sessions' thread has to wait for threads that the kernel does not prefer.
func TestNoGarbage(t *testing.T) {
	for _, auth := range []*Auth{nil, {Type: AuthMeticulousSHA1, KeyID: 1, Key: "key"}} {
		s, err := NewServer(Options{Transport: still{}})
		if err != nil {
			t.Fatal(err)
		}
		c := Config{Name: "x", Remote: netip.MustParseAddr("192.0.2.1"), Auth: auth}
		c.EchoMode = true
		if err := s.Set([]Config{c}); err != nil {
			t.Fatal(err)
		}
		x := s.names["x"]
		p := Packet{
			State: Init, DetectMult: 3, MyDiscriminator: theirs, YourDiscriminator: x.m.local,
			DesiredMinTx: time.Second, RequiredMinRx: time.Second, RequiredMinEchoRx: time.Second,
		}
		if auth != nil {
			p.Auth = AuthSection{Type: auth.Type, KeyID: auth.KeyID}
		}
		raw := make([]byte, 0, MaxPacketLen)
		round := func() {
			now := time.Now()
			p.Auth.Sequence++
			d := Datagram{Source: c.Remote, TTL: 255, At: now, Data: p.Append(raw, x.key)}
			s.receive(&d, now)
			s.receiveEcho(&Datagram{TTL: 254, At: now, Data: x.m.echoes.next.Append(raw)}, now)
			x.m.soonAt, x.m.echoes.sendAt = now, now
			s.heap.set(x, now)
			s.work(now)
		}
		round()
		s.changes, p.State = nil, Up
		if n := testing.AllocsPerRun(100, round); n != 0 || x.m.State() != Up || x.received < 100 || x.sent < 100 || x.echoesSent < 100 {
			t.Errorf("%v: %v allocations a round; %+v", auth, n, x.status())
		}
	}
}
