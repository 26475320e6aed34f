// Command bfdpair lets two BFD sessions watch each other, or one watch a peer, and
// prints what they find:
//
//	go run ./examples/bfdpair                       two sessions over loopback
//	go run ./examples/bfdpair 192.0.2.1 192.0.2.2   one, from the first address to the second
//	go run ./examples/bfdpair -interval 10ms -multiplier 5 -multihop 192.0.2.1 198.51.100.1
//
// Interrupt ends it; the peer is told that nothing failed. The ports of BFD must be
// free; any user may bind them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"time"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bfd/bfdudp"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bfdpair:", err)
		os.Exit(1)
	}
}

func run() error {
	interval := flag.Duration("interval", 50*time.Millisecond, "transmit and receive interval")
	multiplier := flag.Uint("multiplier", 3, "packets the peer may miss, 1 to 255")
	multihop := flag.Bool("multihop", false, "there are routers on the way")
	flag.Parse()
	session := func(name, local, remote string) (c bfd.Config, err error) {
		c = bfd.Config{Name: name, Multihop: *multihop, Profile: bfd.Profile{
			ReceiveInterval: *interval, TransmitInterval: *interval, DetectMultiplier: uint8(*multiplier),
		}}
		if c.Local, err = netip.ParseAddr(local); err == nil {
			c.Remote, err = netip.ParseAddr(remote)
		}
		return c, err
	}
	paths := [][2]string{{"127.0.0.1", "127.0.0.2"}, {"127.0.0.2", "127.0.0.1"}}
	switch {
	case flag.NArg() == 2:
		paths = [][2]string{{flag.Arg(0), flag.Arg(1)}}
	case flag.NArg() != 0 || *multiplier > 255:
		return errors.New("want no addresses, or local and remote, and a multiplier of 255 at most")
	}
	var sessions []bfd.Config
	for _, p := range paths {
		c, err := session(p[0]+" → "+p[1], p[0], p[1])
		if err != nil {
			return err
		}
		sessions = append(sessions, c)
	}
	transport, err := bfdudp.Open()
	if err != nil {
		return err
	}
	defer transport.Close()
	server, err := bfd.NewServer(bfd.Options{Transport: transport, Handler: bfd.HandlerFunc(func(c bfd.Change) {
		fmt.Printf("%s  %s: %v to %v, %v\n", c.At.Format("15:04:05.000"), c.Name, c.From, c.To, c.Reason)
	})})
	if err != nil {
		return err
	}
	if err := server.Set(sessions); err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	return server.Run(ctx)
}
