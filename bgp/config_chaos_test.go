package bgp_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
	"github.com/pharoslb/pharos/bgp/wire"
)

// ordered is a Handler that checks what Handler promises about the order of calls.
type ordered struct {
	*bgptest.Recorder
	t  *testing.T
	mu sync.Mutex
	up map[string]bool
}

func (o *ordered) is(peer, what string, up, then bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.up[peer] != up {
		o.t.Errorf("%s of %s while up is %t", what, peer, o.up[peer])
	}
	o.up[peer] = then
}

func (o *ordered) Established(peer string, s bgp.SessionStatus) {
	o.is(peer, "Established", false, true)
	o.Recorder.Established(peer, s)
}

func (o *ordered) Update(peer string, u *wire.Update) {
	o.is(peer, "Update", true, true)
	o.Recorder.Update(peer, u)
}

func (o *ordered) EndOfRIB(peer string, f wire.Family) {
	o.is(peer, "EndOfRIB", true, true)
	o.Recorder.EndOfRIB(peer, f)
}

func (o *ordered) Closed(peer string, d bgp.Down) {
	o.is(peer, "Closed", true, false)
	o.Recorder.Closed(peer, d)
}

// Whatever SetPeers, Reset, Refuse and PathDown are made to say, as fast as they can
// be called, by several callers, on both sides: in the end there is the session that
// the last configuration asks for, with its routes, and nothing else is left.
func TestAnySequenceOfConfigurationsEndsTheSame(t *testing.T) {
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 11))
			n := bgptest.NewNet()
			// The sides: A, which may know B by its address, under two names, and B, which
			// may know A by its address or a prefix.
			var sets [2][][]bgp.Config
			toB := conf(hostA, hostB)
			toB.GracefulRestart = &bgp.GracefulRestart{Restart: time.Minute}
			shut, other, hold, drained := toB, toB, toB, toB
			shut.Shutdown = true
			other.Name = "other"
			hold.HoldTime = ptr(30 * time.Second)
			drained.GracefulShutdown, drained.Export = true, bgptest.Prefixes("172.19.0.0/16")
			sets[0] = [][]bgp.Config{nil, {toB}, {shut}, {other}, {hold}, {drained}, {toB, conf(hostA, hostC)}}
			fixed := passive(conf(hostB, hostA))
			fixed.GracefulRestart = toB.GracefulRestart
			named := fixed
			named.Name = "named"
			sets[1] = [][]bgp.Config{nil, {fixed}, {rack("rack", "192.0.2.0/24")}, {rack("rack", "192.0.2.0/24"), fixed},
				{rack("rack", "192.0.2.0/24"), rack("narrow", "192.0.2.0/30")}, {named}}
			var servers [2]*bgp.Server
			var heard [2]*ordered
			var stop [2]func()
			for i, addr := range []netip.Addr{hostA, hostB} {
				heard[i] = &ordered{Recorder: bgptest.NewRecorder(), t: t, up: make(map[string]bool)}
				opt := bgp.Options{Dialer: n.Dialer(addr), Handler: heard[i], Listener: n.Listen, ListenAddrs: []netip.AddrPort{at(addr)}}
				s, err := bgp.NewServer(opt)
				if err != nil {
					t.Fatal(err)
				}
				servers[i] = s
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- s.Run(ctx) }()
				stop[i] = func() {
					cancel()
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
			}
			names := []string{hostA.String(), hostB.String(), hostC.String(), "other", "named"}
			var callers sync.WaitGroup
			for range 3 {
				r := rand.New(rand.NewPCG(seed, r.Uint64()))
				callers.Go(func() {
					for range 40 {
						i := r.IntN(2)
						name := names[r.IntN(len(names))]
						switch r.IntN(10) {
						case 0, 1, 2:
							if err := servers[i].SetPeers(sets[i][r.IntN(len(sets[i]))]); err != nil {
								t.Error(err)
							}
						case 3:
							servers[i].Reset("", name)
						case 4:
							servers[i].Refuse(name, &wire.Notification{Code: wire.CodeCease, Subcode: wire.SubCeaseMaxPrefixes})
						case 5:
							servers[i].PathDown(name)
						case 6:
							servers[i].Refresh(wire.IPv4Unicast, name)
						case 7:
							servers[i].Apply([]bgp.Change{{Peer: name, Prefix: netip.MustParsePrefix("172.19.9.9/32"), Attrs: &bgp.Attrs{}}})
						case 8:
							servers[i].Status()
						default:
							pass(time.Duration(r.IntN(2000)) * time.Millisecond)
						}
					}
				})
			}
			callers.Wait()
			last := [2][]bgp.Config{sets[0][1+r.IntN(6)], sets[1][1+r.IntN(5)]}
			for slices.ContainsFunc(last[0], func(c bgp.Config) bool { return c.Shutdown }) {
				last[0] = sets[0][1+r.IntN(6)]
			}
			for i := range servers {
				if err := servers[i].SetPeers(last[i]); err != nil {
					t.Fatal(err)
				}
				for _, name := range names {
					servers[i].Reset("", name)
				}
			}
			name := last[0][0].Name
			servers[0].Apply([]bgp.Change{{Peer: name, Prefix: netip.MustParsePrefix("172.19.9.9/32")}})
			servers[0].Apply([]bgp.Change{{Peer: name, Prefix: netip.MustParsePrefix("172.19.1.1/32"), Attrs: &bgp.Attrs{}}})
			pass(90 * time.Second)
			synctest.Wait()
			seen := hostA.String()
			if last[1][0].Name == "named" {
				seen = "named"
			}
			if h := heard[1].Heard(seen); !h.Up || len(h.Routes) != 1 || h.Routes[netip.MustParsePrefix("172.19.1.1/32")] == nil {
				t.Errorf("seed %d: last %v and %v: B has up %t, %v\n%s\n%s", seed, namesIn(last[0]), namesIn(last[1]), h.Up, h.Routes, brief(servers[0]), brief(servers[1]))
			}
			for i := range heard {
				heard[i].mu.Lock()
				ups := 0
				for _, up := range heard[i].up {
					if up {
						ups++
					}
				}
				heard[i].mu.Unlock()
				if ups != 1 {
					t.Errorf("seed %d: side %d has %d sessions", seed, i, ups)
				}
			}
			stop[0]()
			stop[1]()
		})
	}
}

func namesIn(cs []bgp.Config) (out []string) {
	for _, c := range cs {
		out = append(out, c.Name)
	}
	return out
}

func brief(s *bgp.Server) (out string) {
	for _, st := range s.Status() {
		out += fmt.Sprintf("%s %v error %v\n", st.Name, st.State, st.LastError.Down)
	}
	return out
}
