package bgp_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/signal"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptcp"
	"github.com/pharoslb/pharos/bgp/wire"
)

// printer tells what it hears.
type printer struct{ bgp.NopHandler }

func (printer) Established(peer string, s bgp.SessionStatus) {
	fmt.Println(peer, "is up, hold time", s.HoldTime)
}

func (printer) Update(peer string, u *wire.Update) {
	for _, p := range u.NLRI {
		fmt.Println(peer, "announces", p, "via", u.Attrs.NextHopFor(p))
	}
	for _, p := range u.Withdrawn {
		fmt.Println(peer, "withdraws", p)
	}
	bgp.Recycle(u)
}

func (printer) Closed(peer string, why bgp.Down) { fmt.Println(peer, "is down:", why) }

// A speaker with one neighbor: it announces an address and prints what it hears until
// it is interrupted.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	server, err := bgp.NewServer(bgp.Options{Dialer: bgptcp.Dialer{}, Handler: printer{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = server.SetPeers([]bgp.Config{{
		Name: "tor", LocalAS: 65001, RemoteAS: 65000,
		RouterID: netip.MustParseAddr("10.0.0.1"), RemoteAddr: netip.MustParseAddr("10.0.0.254"),
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	server.Apply([]bgp.Change{{Peer: "tor", Prefix: netip.MustParsePrefix("192.0.2.1/32"), Attrs: &bgp.Attrs{}}})
	if err := server.Run(ctx); err != nil {
		fmt.Println(err)
	}
}
