// Command announce originates a file's prefixes, one a line, to a BGP neighbor: the
// engine as a library, without Kubernetes.
//
//	printf '192.0.2.1/32\n192.0.2.2/32\n' >vips
//	go run ./examples/announce -local 65001@10.0.0.1 -peer 65000@10.0.0.254 vips
//
// After a change of the file, SIGHUP has it read again, and what differs is sent. An
// IPv6 address with a port is written in brackets. SIGINT and SIGTERM say goodbye.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/internal/linux/bgptcp"
)

func main() {
	c := bgp.Config{Name: "peer"}
	flag.Func("local", "our `AS@ADDRESS`", func(s string) error { return endpoint(s, &c.LocalAS, &c.LocalAddr, nil) })
	flag.Func("peer", "the neighbor's `AS@ADDRESS[:PORT]`", func(s string) error { return endpoint(s, &c.RemoteAS, &c.RemoteAddr, &c.RemotePort) })
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := announce(ctx, c, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "announce:", err)
		os.Exit(1)
	}
}

func announce(ctx context.Context, c bgp.Config, file string) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	last := c.LocalAddr.As16()
	c.RouterID = netip.AddrFrom4([4]byte(last[12:])) // any number that is ours alone (RFC 6286)
	server, err := bgp.NewServer(bgp.Options{Dialer: bgptcp.Dialer{}, Log: slog.Default()})
	if err != nil {
		return err
	}
	if err := server.SetPeers([]bgp.Config{c}); err != nil {
		return err
	}
	if err := replace(server, c.Name, file); err != nil {
		return err
	}
	go func() {
		for range hangup {
			if err := replace(server, c.Name, file); err != nil {
				slog.Error("the file is refused; what was announced stays", "err", err)
			}
		}
	}()
	return server.Run(ctx)
}

var attrs = new(bgp.Attrs) // one set for all, so that they share UPDATEs

// replace has the neighbor hold the file's prefixes in place of those before.
func replace(server *bgp.Server, peer, file string) error {
	prefixes, err := read(file)
	if err == nil {
		server.Replace(peer, func(yield func(netip.Prefix, *bgp.Attrs) bool) {
			for _, p := range prefixes {
				if !yield(p, attrs) {
					return
				}
			}
		})
	}
	return err
}
