package table

import (
	_ "embed"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

//go:embed testdata/tables.txt
var goldenTables string

// Tables are the same on every machine and in every version: a line of the file is
// one's name, its Generation, and its first slots. One that changes breaks the
// connections of every cluster that is upgraded.
func TestGoldenTables(t *testing.T) {
	change := func(endpoints []Endpoint, change func(e []Endpoint)) []Endpoint {
		change(endpoints)
		return endpoints
	}
	six := func(c func(e []Endpoint)) []Endpoint { return change(pods(6), c) }
	var got strings.Builder
	for _, c := range []struct {
		name      string
		endpoints []Endpoint
	}{
		{"none", nil},
		{"one", pods(1)},
		{"six", pods(6)},
		{"fifty", pods(50)},
		{"ipv6", six(func(e []Endpoint) {
			for i := range e {
				e[i].Addr = netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("fd00:244:%d::%x", i%3, 11+i)), 8080)
			}
		})},
		{"weights", six(func(e []Endpoint) { e[0].Weight, e[1].Weight, e[5].Weight = 10, 3, 65535 })},
		{"draining", six(func(e []Endpoint) { e[2].Draining, e[3].Draining = true, true })},
		{"unready", six(func(e []Endpoint) { e[2].Unready, e[3].Unready, e[3].Dead = true, true, true })},
		{"noneReady", change(pods(2), func(e []Endpoint) { e[0].Unready, e[1].Unready = true, true })},
		{"dead", six(func(e []Endpoint) { e[1].Dead, e[4].Dead, e[4].Draining = true, true, true })},
		{"allDraining", change(pods(2), func(e []Endpoint) { e[0].Draining, e[1].Draining = true, true })},
		{"onePodTwice", change(pods(2), func(e []Endpoint) { e[1].Addr = netip.AddrPortFrom(e[0].Addr.Addr(), 9090) })},
	} {
		table := New(c.endpoints)
		fmt.Fprintf(&got, "%s %016x", c.name, table.Generation)
		for _, s := range table.Slots[:12] {
			fmt.Fprintf(&got, " %d/%d", int16(s.Current), int16(s.Previous))
		}
		got.WriteByte('\n')
	}
	if got.String() != goldenTables {
		t.Errorf("the tables are\n%s", got.String())
	}
}
