// Command announce originates FILE's prefixes, one a line, to a BGP neighbor: the engine
// as a library, without Kubernetes.
//
//	printf '192.0.2.1/32\n192.0.2.2/32\n' >vips
//	go run ./examples/announce -local 65001@10.0.0.1 -peer 65000@10.0.0.254 vips
//
// SIGHUP has the file read again, and what differs is sent. With -bfd 50msx3 the path is
// watched as well. What becomes of the session is logged. SIGINT and SIGTERM say goodbye.
package main

import (
	"context"
	"flag"
	"log"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bfd/bfdudp"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptcp"
)

func main() {
	c := bgp.Config{Name: "peer"}
	flag.Func("local", "our `AS@ADDRESS`", func(s string) error { return endpoint(s, &c.LocalAS, &c.LocalAddr, nil) })
	flag.Func("peer", "the neighbor's `AS@ADDRESS[:PORT]`", func(s string) error { return endpoint(s, &c.RemoteAS, &c.RemoteAddr, &c.RemotePort) })
	flag.Func("bfd", "watch the path: `INTERVALxMULT`", func(s string) (err error) { c.BFD, err = watch(s); return err })
	file, err := arguments(&c)
	if err != nil {
		usage(err)
	}
	last := c.LocalAddr.As16()
	c.RouterID = netip.AddrFrom4([4]byte(last[12:])) // any number that is ours alone (RFC 6286)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := announce(ctx, c, file); err != nil {
		log.Fatal("announce: ", err)
	}
}

func announce(ctx context.Context, c bgp.Config, file string) error {
	opt := bgp.Options{Dialer: bgptcp.Dialer{}, Log: slog.Default()}
	var server *bgp.Server
	if c.BFD != nil {
		packets, err := bfdudp.Open()
		if err != nil {
			return err
		}
		tell := bfd.HandlerFunc(func(c bfd.Change) { server.StateChanged(c) })
		paths, _ := bfd.NewServer(bfd.Options{Transport: packets, Handler: tell, Log: slog.Default()}) // fails without a Transport only
		opt.Detector = paths
		go paths.Run(ctx)
	}
	server, _ = bgp.NewServer(opt) // fails without a Dialer and a Listener only
	if err := server.SetPeers([]bgp.Config{c}); err != nil {
		return err
	}
	routes, err := read(file, c.RemoteAddr)
	if err != nil {
		return err
	}
	server.Replace(c.Name, routes)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		for range hangup {
			if routes, err := read(file, c.RemoteAddr); err != nil {
				log.Print("the file is refused; what was announced stays: ", err)
			} else {
				server.Replace(c.Name, routes)
			}
		}
	}()
	return server.Run(ctx)
}
