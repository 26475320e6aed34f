// Command bfdpair lets two BFD sessions watch each other, or one watch a peer, and
// prints what they find:
//
//	go run ./examples/bfdpair                       two sessions over loopback
//	go run ./examples/bfdpair 192.0.2.1 192.0.2.2   one, from the first address to the second
//	go run ./examples/bfdpair -interval 10ms -multiplier 5 -multihop 192.0.2.1 198.51.100.1
//
// A session that does not come up is complained of. Interrupt ends the program; the
// peer is told that nothing failed. The ports of BFD must be
// free; any user may bind them.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

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
	sessions, err := arguments()
	if err != nil {
		return err
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
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	go complain(ctx, server)
	return server.Run(ctx)
}
