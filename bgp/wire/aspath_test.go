package wire

import (
	"slices"
	"testing"
)

func seg(t SegmentType, asns ...uint32) Segment { return Segment{t, asns} }

func TestASPath(t *testing.T) {
	for _, tt := range []struct {
		path ASPath
		text string
		hops int
	}{
		{nil, "", 0},
		{Sequence(), "", 0},
		{Sequence(65001), "65001", 1},
		{Sequence(4200000001, 2, 3), "4200000001 2 3", 3},
		{ASPath{seg(ASSequence, 1, 2), seg(ASSet, 4, 3)}, "1 2 {4,3}", 3},
		{ASPath{seg(ASConfedSequence, 1, 2), seg(ASConfedSet, 3, 4), seg(ASSequence, 5)}, "(1 2) [3,4] 5", 1},
	} {
		if tt.path.String() != tt.text || tt.path.Len() != tt.hops {
			t.Errorf("got %q of %d hops, want %q of %d", tt.path, tt.path.Len(), tt.text, tt.hops)
		}
		if c := tt.path.Clone(); !c.Equal(tt.path) {
			t.Errorf("clone %v of %v", c, tt.path)
		}
	}
	p := ASPath{seg(ASSequence, 1, 2), seg(ASSet, 3)}
	if !p.Contains(3) || p.Contains(4) {
		t.Error("Contains")
	}
	if as, ok := p.First(); as != 1 || !ok {
		t.Errorf("First %d %v", as, ok)
	}
	if _, ok := p[1:].First(); ok {
		t.Error("a set has a first AS")
	}
	q := p.Prepend(9)
	if q.String() != "9 1 2 {3}" || p.String() != "1 2 {3}" {
		t.Errorf("prepended %v to %v", q, p)
	}
	if q := p[1:].Prepend(9); q.String() != "9 {3}" || len(q) != 2 {
		t.Errorf("prepended %v", q)
	}
	if q := ASPath(nil).Prepend(9); !q.Equal(Sequence(9)) {
		t.Errorf("prepended %v", q)
	}
	if p.Equal(q) || p.Equal(p[:1]) || p.Equal(ASPath{seg(ASSet, 1, 2), seg(ASSet, 3)}) {
		t.Error("Equal")
	}
	c := p.Clone()
	c[0].ASNs[0] = 7
	if p[0].ASNs[0] != 1 {
		t.Error("a clone shares memory")
	}
}

func TestASPathLongSegment(t *testing.T) {
	asns := make([]uint32, 600)
	for i := range asns {
		asns[i] = uint32(i + 1)
	}
	for _, size := range []int{2, 4} {
		b := appendASPath(nil, Sequence(asns...), size, true)
		segments, n, why := checkASPath(b, size)
		if segments != 3 || n != 600 || why != ReasonNone {
			t.Fatalf("%d segments, %d numbers, %v", segments, n, why)
		}
		p, _ := decodeASPath(nil, nil, b, size)
		if got := slices.Concat(p[0].ASNs, p[1].ASNs, p[2].ASNs); len(p[0].ASNs) != 255 || !slices.Equal(got, asns) {
			t.Errorf("path %v", p)
		}
	}
}

// TestMergeAS4 goes through RFC 6793 §4.2.3.
func TestMergeAS4(t *testing.T) {
	for _, tt := range []struct {
		name     string
		old, new ASPath
		want     string
	}{
		{"same length", Sequence(ASTrans, 2), Sequence(70000, 2), "70000 2"},
		{"old speaker in front", Sequence(9, ASTrans, 2), Sequence(70000, 2), "9 70000 2"},
		{"new is longer", Sequence(9), Sequence(70000, 2), "9"},
		{"a set counts one", ASPath{seg(ASSequence, 9, ASTrans), seg(ASSet, 1, 2, 3)},
			ASPath{seg(ASSequence, 70000), seg(ASSet, 1, 2, 3)}, "9 70000 {1,2,3}"},
		{"a set in front", ASPath{seg(ASSet, 8, 9), seg(ASSequence, ASTrans)}, Sequence(70000), "{8,9} 70000"},
		{"confederation in front", ASPath{seg(ASConfedSequence, 5, 6), seg(ASSequence, 9, ASTrans)}, Sequence(70000),
			"(5 6) 9 70000"},
		{"confederation in front, nothing to prepend", ASPath{seg(ASConfedSequence, 5), seg(ASSequence, ASTrans)},
			Sequence(70000), "(5) 70000"},
		{"two old segments", ASPath{seg(ASSequence, 1, 2), seg(ASSequence, 3, ASTrans)}, Sequence(70000), "1 2 3 70000"},
	} {
		if got := mergeAS4(nil, tt.old, tt.new).String(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
