package main

import (
	"bufio"
	"fmt"
	"iter"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/pharoslb/pharos/bgp"
)

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

// read returns the prefixes of a file, one a line, as routes.
func read(name string) (iter.Seq2[netip.Prefix, *bgp.Attrs], error) {
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
		prefixes = append(prefixes, p)
	}
	return func(yield func(netip.Prefix, *bgp.Attrs) bool) {
		for _, p := range prefixes {
			if !yield(p, attrs) {
				return
			}
		}
	}, lines.Err()
}
