package table

import (
	"fmt"
	"net/netip"
	"testing"
)

func pods(n int) []Endpoint {
	var out []Endpoint
	for i := range n {
		out = append(out, Endpoint{Addr: netip.MustParseAddrPort(fmt.Sprintf("10.244.%d.%d:8080", i%3, 11+i)), Node: fmt.Sprint("n", i%3)})
	}
	return out
}

// owner returns the address of an owner of a slot.
func (t *Table) owner(i uint16) netip.AddrPort {
	if i == None {
		return netip.AddrPort{}
	}
	return t.Owners[i].Addr
}

// One endpoint more takes slots, and nothing else moves; whose they were is
// their previous owner. One that drains loses its slots and is their previous
// owner.
func TestChangeMovesOnlyWhatItMust(t *testing.T) {
	five, six := New(pods(5)), New(pods(6))
	moved := 0
	for s := range five.Slots {
		was, is := five.owner(five.Slots[s].Current), six.owner(six.Slots[s].Current)
		if was == is {
			continue
		}
		moved++
		if is != pods(6)[5].Addr {
			t.Fatalf("slot %d moved from %s to %s", s, was, is)
		}
		if prev := six.owner(six.Slots[s].Previous); prev != was {
			t.Fatalf("slot %d was %s's, previous is %s", s, was, prev)
		}
	}
	if moved < Size/10 || moved > Size/4 {
		t.Errorf("%d slots moved", moved)
	}
	drain := pods(6)
	drain[5].Draining = true
	drained := New(drain)
	for s := range six.Slots {
		was, is := six.owner(six.Slots[s].Current), drained.owner(drained.Slots[s].Current)
		if was != drain[5].Addr && is != was {
			t.Fatalf("slot %d moved from %s to %s", s, was, is)
		}
		if was == drain[5].Addr && drained.owner(drained.Slots[s].Previous) != was {
			t.Fatalf("slot %d: its owner drains and is not the previous one", s)
		}
	}
}

func TestDeadAndFew(t *testing.T) {
	if s := New(nil).Slots[0]; s != (Slot{None, None}) {
		t.Error(s)
	}
	if s := New(pods(1)).Slots[0]; s != (Slot{0, None}) {
		t.Error(s)
	}
	two := pods(2)
	two[0].Dead = true
	for _, s := range New(two).Slots {
		if s.Previous == 0 {
			t.Fatal("a dead node gets second chances")
		}
	}
	for i := range two {
		two[i].Draining, two[i].Dead = true, false
	}
	if s := New(two).Slots[7]; s.Current == None || s.Previous == None {
		t.Error("all drain and nobody is chosen:", s)
	}
}
