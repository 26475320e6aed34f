package table

import (
	_ "embed"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

//go:embed testdata/jhash.txt
var kernelHashes string

// The kernel's hash of the same packets is the same, bit for bit.
func TestHashIsTheKernels(t *testing.T) {
	n := 0
	for line := range strings.Lines(kernelHashes) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var client, port string
		var want uint32
		if _, err := fmt.Sscanf(line, "%s %s 0x%x", &client, &port, &want); err != nil {
			t.Fatal(err)
		}
		hashed := address(nil, netip.MustParseAddr(client))
		if port != "-" {
			p, err := strconv.ParseUint(port, 10, 16)
			if err != nil {
				t.Fatal(err)
			}
			hashed = withPort(hashed, uint16(p))
		}
		if got := uint32(uint64(jhash(hashed, Seed)) * 0xffffffff >> 32); got != want {
			t.Errorf("%s port %s: %#x, the kernel has %#x", client, port, got, want)
		}
		n++
	}
	if n < 90 {
		t.Errorf("%d lines", n)
	}
}

// Every slot is reached by the ports of one client.
func TestHashSpreads(t *testing.T) {
	seen := map[int]int{}
	for port := 0; port <= 1<<16-1; port++ {
		seen[Hash(netip.MustParseAddr("192.0.2.1"), uint16(port))]++
	}
	if len(seen) != Size {
		t.Errorf("%d slots of %d are reached", len(seen), Size)
	}
}
