package main

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// endpoint reads AS@ADDRESS, or AS@ADDRESS:PORT where a port is asked for.
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

// read returns the prefixes of a file, one a line.
func read(name string) (prefixes []netip.Prefix, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
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
	return prefixes, lines.Err()
}
