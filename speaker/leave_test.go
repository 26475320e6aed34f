package speaker

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
	"github.com/pharoslb/pharos/bgp/wire"
)

// What a peer sees of a speaker's end: the routes once more, marked, and a second later
// the goodbye; where it keeps the routes over a restart, nothing but the end.
func TestEndAsThePeerSeesIt(t *testing.T) {
	for name, agreed := range map[string]bool{"goodbye": false, "graceful restart": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := addr("10.10.2.1"), addr("10.10.2.210")
				n, heard := bgptest.NewNet(), bgptest.NewRecorder()
				sw := bgp.Config{Name: "n1", LocalAS: 65210, RemoteAS: 65211, RouterID: far, RemoteAddr: near, Passive: true}
				if agreed {
					sw.GracefulRestart = &bgp.GracefulRestart{}
				}
				serve := func(o bgp.Options) (*bgp.Server, func()) {
					s, err := bgp.NewServer(o)
					if err != nil {
						t.Fatal(err)
					}
					return s, background(t, s.Run)
				}
				remote, endRemote := serve(bgp.Options{Listener: n.Listen, ListenAddrs: []netip.AddrPort{netip.AddrPortFrom(far, bgp.Port)}, Handler: heard})
				defer endRemote()
				if err := remote.SetPeers([]bgp.Config{sw}); err != nil {
					t.Fatal(err)
				}
				engine, end := serve(bgp.Options{Dialer: n.Dialer(near)})
				feed := newFeed()
				s, err := New(Options{Node: "n1", DrainTime: time.Second}, Edge{Source: feed, Recorder: &notebook{}, Sessions: engine})
				if err != nil {
					t.Fatal(err)
				}
				world := &pharos.Snapshot{Synced: true, Config: base(), Nodes: cluster(node(1))}
				world.Config.Peers = world.Config.Peers[:1]
				world.Config.Peers[0].GracefulRestart = true
				svc := service("web", "172.19.100.1")
				world.Services, world.Endpoints = world.Services.With(svc.Name, svc), world.Endpoints.With(svc.Name, backends("n1"))
				feed.set(world)
				leave := background(t, func(ctx context.Context) error { return s.Run(ctx) })
				heard.WaitRoutes(t, "n1", "172.19.100.1/32")
				synctest.Wait()

				begin := time.Now()
				leave()
				got := heard.Heard("n1")
				marked := slices.Contains(got.Routes[prefix("172.19.100.1/32")].Communities, wire.CommunityGracefulShutdown)
				if took := time.Since(begin); !got.Up || marked == agreed || (took == time.Second) == agreed {
					t.Errorf("after %v the session is up %t, and the route marked %t", took, got.Up, marked)
				}
				end()
				down := heard.WaitDown(t, "n1", 1).Downs[0]
				if lost := down.Cause == bgp.CauseConnectionLost; lost != agreed {
					t.Errorf("the session ends by %v", down)
				}
				if n := down.Notification; !agreed && (n == nil || n.Code != wire.CodeCease || n.Subcode != wire.SubCeaseShutdown) {
					t.Errorf("the goodbye is %v", n)
				}
			})
		})
	}
}
