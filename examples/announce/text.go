package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"iter"
	"log"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/pharoslb/pharos/bgp"
)

// arguments parses the command line that is left once -local, -peer and -bfd have
// filled in c: the file's name, and nothing else.
func arguments(c *bgp.Config) (file string, err error) {
	flag.Usage = func() { usage(nil) }
	flag.Parse()
	switch {
	case !c.LocalAddr.IsValid():
		return "", errors.New("-local is missing: our AS and address, as in -local 65001@10.0.0.1")
	case !c.RemoteAddr.IsValid():
		return "", errors.New("-peer is missing: the neighbor's AS and address, as in -peer 65000@10.0.0.254")
	case flag.NArg() == 0:
		return "", errors.New("FILE is missing: prefixes to announce, one a line")
	case flag.NArg() > 1:
		return "", fmt.Errorf("one FILE is wanted, not %q; flags go before it", flag.Args())
	}
	return flag.Arg(0), nil
}

// usage says how the program is called and, if err is not nil, ends it.
func usage(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "announce:", err)
	}
	fmt.Fprintln(os.Stderr, "usage: announce -local AS@ADDRESS -peer AS@ADDRESS[:PORT] [-bfd INTERVALxMULT] FILE")
	flag.PrintDefaults()
	if err != nil {
		os.Exit(2)
	}
}

// endpoint reads AS@ADDRESS, or AS@ADDRESS:PORT where a port is asked for; an IPv6
// address with a port stands in brackets.
func endpoint(s string, as *uint32, addr *netip.Addr, port *uint16) error {
	var host string
	_, err := fmt.Sscanf(s, "%d@%s", as, &host)
	if err != nil {
		return fmt.Errorf("not AS@ADDRESS: %w", err)
	}
	if both, err := netip.ParseAddrPort(host); err == nil && port != nil {
		*addr, *port = both.Addr(), both.Port()
		return nil
	}
	*addr, err = netip.ParseAddr(host)
	return err
}

// watch reads INTERVALxMULT, such as 50msx3.
func watch(s string) (*bgp.BFD, error) {
	b := new(bgp.BFD)
	interval, multiplier, _ := strings.Cut(s, "x")
	d, err := time.ParseDuration(interval)
	b.TransmitInterval, b.ReceiveInterval = d, d
	if _, err := fmt.Sscan(multiplier, &b.DetectMultiplier); err != nil || b.DetectMultiplier == 0 {
		return nil, fmt.Errorf("multiplier %q is not from 1 to 255", multiplier)
	}
	return b, err
}

var attrs = new(bgp.Attrs) // one set for all, so that they share UPDATEs

// read returns the prefixes of a file, one a line, as routes to a peer. They are of the
// session's own family: the engine would hold others back, as nothing here gives them
// a next hop (bgp.Config.Families, NextHopIPv4, NextHopIPv6).
func read(name string, peer netip.Addr) (iter.Seq2[netip.Prefix, *bgp.Attrs], error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var prefixes []netip.Prefix
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		p, err := netip.ParsePrefix(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if p.Addr().Is4() != peer.Is4() {
			return nil, fmt.Errorf("%s:%d: %v is of another family than the session with %v", name, n, p, peer)
		}
		prefixes = append(prefixes, p)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	log.Printf("%s: %d prefixes", name, len(prefixes))
	return func(yield func(netip.Prefix, *bgp.Attrs) bool) {
		for _, p := range prefixes {
			if !yield(p, attrs) {
				return
			}
		}
	}, nil
}
