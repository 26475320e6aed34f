package nft_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/nft"
)

// directNode is a node with one direct Service of two endpoints, on a segment of
// its own with a sibling whose address the gateway leads to.
func directNode(t *testing.T) *node {
	n := newNode(t)
	n.planner = dataplane.NewPlanner(dataplane.Options{Node: "n1", Mode: pharos.Direct})
	n.add("web", 1, 2)
	return n
}

// Whatever somebody changes in the tables of direct frontends is noticed and
// repaired, and what somebody does to tables of his own is not looked into.
func TestDirectIsRepaired(t *testing.T) {
	n := directNode(t)
	n.apply()
	want := n.nft("list", "ruleset")
	for _, change := range [][]string{
		{"delete", "table", "netdev", "pharos-direct"},
		{"delete", "table", "ip", "pharos-direct"},
		{"flush", "map", "ip6", "pharos-direct", "slots"},
		{"flush", "map", "netdev", "pharos-direct", "owners"},
		{"flush", "chain", "ip", "pharos-direct", "ongoing"},
		{"add", "rule", "netdev", "pharos-direct6", "direct", "drop"},
		{"add", "element", "ip", "pharos-direct", "siblings", "{ 02:00:00:00:00:01 }"},
	} {
		n.nft(change...)
		if repaired, err := n.driver.Verify(context.Background()); !repaired || err != nil {
			t.Errorf("%v: repaired %v, error %v", change, repaired, err)
		}
		if got := sorted(n.nft("list", "ruleset")); got != sorted(want) {
			t.Errorf("%v: the ruleset is another one:\n%s", change, got)
		}
	}
	before := n.driver.Status()
	n.nft("add", "table", "inet", "somebody")
	n.nft("add", "set", "inet", "somebody", "else", "{ type ipv4_addr; }")
	if repaired, err := n.driver.Verify(context.Background()); repaired || err != nil {
		t.Errorf("somebody else's table: repaired %v, error %v", repaired, err)
	}
	if after := n.driver.Status(); after != before {
		t.Errorf("somebody else's table: was %+v, is %+v", before, after)
	}
}

// A successor takes over the tables of direct frontends where they are what they
// have to be, and makes them anew where they aren't.
func TestDirectIsAdopted(t *testing.T) {
	n := directNode(t)
	n.apply()
	for _, c := range []struct {
		endpoints int
		written   bool
	}{{2, false}, {3, true}, {3, false}, {0, true}, {0, false}, {2, true}} {
		n.endpoints("web", 1, c.endpoints)
		d := nft.New(nft.Options{NetNS: n.ns.Fd()})
		if err := d.Apply(context.Background(), n.state()); err != nil {
			t.Fatal(err)
		}
		if s := d.Status(); (s.Added+s.Removed > 0) != c.written {
			t.Errorf("with %d endpoints: %+v", c.endpoints, s)
		}
		if err := d.Remove(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := n.nft("list", "ruleset"); got != "" {
			t.Errorf("after Remove there is:\n%s", got)
		}
		if err := d.Apply(context.Background(), n.state()); err != nil {
			t.Fatal(err)
		}
	}
}

// A change writes the slots that change, and no more with many Services than with
// one.
func TestDirectChangeIsSmall(t *testing.T) {
	var cost []uint64
	for _, others := range []int{0, 20} {
		n := directNode(t)
		for i := range others {
			n.add(fmt.Sprintf("other%d", i), 2+i, 9)
		}
		n.endpoints("web", 1, 9)
		n.apply()
		before := n.driver.Status()
		n.endpoints("web", 1, 10)
		n.apply()
		after := n.driver.Status()
		cost = append(cost, after.Added+after.Removed-before.Added-before.Removed)
	}
	if cost[0] != cost[1] || cost[0] > 2000 {
		t.Errorf("the tenth endpoint of one Service writes %v objects", cost)
	}
}

func TestProbe(t *testing.T) {
	n := newNode(t)
	if err := nft.Probe(nft.Options{NetNS: n.ns.Fd()}); err != nil {
		t.Error(err)
	}
	if got := n.nft("list", "ruleset"); got != "" {
		t.Errorf("the probe left:\n%s", got)
	}
}

// What others do while a large transaction is under way is not missed.
func TestChangesBesideALargeTransactionAreFound(t *testing.T) {
	n := directNode(t)
	for i := range 20 {
		n.add(fmt.Sprintf("other%d", i), 2+i, 9)
	}
	n.apply()
	want := sorted(n.nft("list", "ruleset"))
	for round := range 5 {
		if err := n.driver.Remove(context.Background()); err != nil {
			t.Fatal(err)
		}
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
					// Before the transaction there is no such map.
					_, _ = n.ns.Output(context.Background(), "nft", "flush", "map", "ip", "pharos-direct", "slots")
				}
			}
		}()
		n.apply()
		close(stop)
		<-stopped
		if _, err := n.driver.Verify(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := sorted(n.nft("list", "ruleset")); got != want {
			t.Fatalf("round %d: the ruleset is another one", round)
		}
	}
}
