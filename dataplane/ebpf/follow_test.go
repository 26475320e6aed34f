package ebpf

import "testing"

// A sibling on the segment is no way until what it sends can be told from what clients
// send; one behind a tunnel is known by that.
func TestSiblingIsNoWayUntilItIsKnown(t *testing.T) {
	segment, tunnel := directLeg{How: legSegment, Device: 2}, directLeg{How: legTunnel, Device: 2}
	s := surroundings{
		legs: map[string]directNode{
			"n2": {Legs: [2]directLeg{segment, tunnel}},
			"n3": {Legs: [2]directLeg{segment, {}}},
		},
		macs: map[directMac]string{{Octets: [6]uint8{2, 0, 0, 0, 0, 3}}: "n3"},
	}
	s.trust()
	if got := s.legs["n2"].Legs; got != [2]directLeg{{}, tunnel} {
		t.Errorf("an unknown sibling: %+v", got)
	}
	if got := s.legs["n3"].Legs; got != [2]directLeg{segment, {}} {
		t.Errorf("a known one: %+v", got)
	}
}
