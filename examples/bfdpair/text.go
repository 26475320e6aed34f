package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/pharoslb/pharos/bfd"
)

// arguments makes sessions of the command line.
func arguments() (sessions []bfd.Config, err error) {
	interval := flag.Duration("interval", 50*time.Millisecond, "transmit and receive interval, 10ms to 1m")
	multiplier := flag.Uint("multiplier", 3, "packets the peer may miss, 1 to 255")
	multihop := flag.Bool("multihop", false, "there are routers on the way")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: bfdpair [-interval DURATION] [-multiplier N] [-multihop] [LOCAL REMOTE]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *multiplier < 1 || *multiplier > 255 || *interval <= 0 {
		return nil, errors.New("the multiplier is 1 to 255, the interval 10ms to 1m")
	}
	paths := [][2]string{{"127.0.0.1", "127.0.0.2"}, {"127.0.0.2", "127.0.0.1"}}
	switch flag.NArg() {
	case 0:
	case 2:
		paths = [][2]string{{flag.Arg(0), flag.Arg(1)}}
	default:
		return nil, fmt.Errorf("two addresses are wanted, LOCAL and REMOTE, or none, not %q; flags go before them", flag.Args())
	}
	for _, p := range paths {
		c := bfd.Config{Name: p[0] + " → " + p[1], Multihop: *multihop, Profile: bfd.Profile{
			ReceiveInterval: *interval, TransmitInterval: *interval, DetectMultiplier: uint8(*multiplier),
		}}
		if c.Local, err = netip.ParseAddr(p[0]); err != nil {
			return nil, err
		}
		if c.Remote, err = netip.ParseAddr(p[1]); err != nil {
			return nil, err
		}
		sessions = append(sessions, c)
	}
	return sessions, nil
}

// complain says every few seconds which sessions are not up, and why if the kernel
// gave a reason: a session that never comes up changes nothing to tell of.
func complain(ctx context.Context, server *bfd.Server) {
	again := time.NewTicker(3 * time.Second)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		for _, s := range server.Status() {
			switch {
			case s.State == bfd.Up:
			case s.SendError != "":
				fmt.Fprintf(os.Stderr, "%s is %v, the kernel sends nothing: %s\n", s.Config.Name, s.State, s.SendError)
			default:
				fmt.Fprintf(os.Stderr, "%s is %v, %d packets sent, %d received\n", s.Config.Name, s.State, s.Sent, s.Received)
			}
		}
	}
}
