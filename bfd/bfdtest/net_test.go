package bfdtest_test

import (
	"net/netip"
	"testing"

	"github.com/pharoslb/pharos/bfd/bfdtest"
)

func TestNetIsATransport(t *testing.T) {
	bfdtest.TestTransport(t, func(*testing.T) (a, b bfdtest.End) {
		n := bfdtest.NewNet()
		end := func(s string) bfdtest.End {
			addr := netip.MustParseAddr(s)
			return bfdtest.End{Transport: n.Host(addr), Addr: addr, Device: bfdtest.Device}
		}
		return end("192.0.2.1"), end("192.0.2.2")
	})
}
