package rib

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
)

// PathView is a path as it was at one moment. Source and Attrs are never changed
// once they are seen here.
type PathView struct {
	Path
	Verdict
	LocalPref uint32 // as the decision counts it: 0 for paths that are not to be used any more (RFC 8326)
}

// Entry is a prefix with all its paths, newest first, and the next hops in use.
type Entry struct {
	Prefix  netip.Prefix
	Version uint64 // of the table, when the decision last changed
	Hops    HopSet
	Paths   []PathView
}

// Best returns the best path, or nil.
func (e *Entry) Best() *PathView {
	for i := range e.Paths {
		if e.Paths[i].Best {
			return &e.Paths[i]
		}
	}
	return nil
}

// Lookup returns the entry of exactly this prefix.
func (t *Table) Lookup(prefix netip.Prefix) (Entry, bool) {
	if !prefix.IsValid() {
		return Entry{}, false
	}
	number := t.entries.Find(prefix.Masked())
	if number == 0 || t.entries.At(number).oldest == 0 {
		return Entry{}, false
	}
	return t.view(number), true
}

// Covering returns the entry with the longest prefix that has the address.
func (t *Table) Covering(a netip.Addr) (Entry, bool) {
	for bits := a.BitLen(); bits >= 0; bits-- {
		prefix, err := a.Prefix(bits)
		if err != nil {
			break
		}
		if e, ok := t.Lookup(prefix); ok {
			return e, true
		}
	}
	return Entry{}, false
}

// Entries returns all entries, sorted by prefix.
func (t *Table) Entries() []Entry {
	out := make([]Entry, 0, t.entries.Len())
	for number, e := range t.entries.All() {
		if e.oldest != 0 {
			out = append(out, t.view(number))
		}
	}
	slices.SortFunc(out, func(a, b Entry) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
	})
	return out
}

func (t *Table) view(number uint32) Entry {
	e := t.entries.At(number)
	v := Entry{Prefix: t.entries.Prefix(number), Version: e.version, Hops: e.set}
	for at := e.oldest; at != 0; {
		p := t.paths.At(at)
		view := PathView{Path: t.expand(p), Verdict: p.standing.verdict()}
		view.LocalPref = t.policy.localPref(&view.Path)
		if p.state == longLived {
			view.Attrs = view.Attrs.stale()
		}
		v.Paths = append(v.Paths, view)
		at = p.next
	}
	slices.Reverse(v.Paths)
	return v
}

// Routes returns the next hops of every prefix that has some, as last handed out
// by Decide, in no order.
func (t *Table) Routes() []Route {
	out := make([]Route, 0, t.entries.Len())
	for number, e := range t.entries.All() {
		if e.set != (HopSet{}) {
			out = append(out, Route{t.entries.Prefix(number), e.set})
		}
	}
	return out
}

// SourceView is what the table holds of one neighbor.
type SourceView struct {
	Source
	Paths    int               // usable or not, without deleted ones
	Stale    int               // of these, kept from a session that is over
	Deleted  int               // shown from a session that is over
	Rejected map[Reason]uint64 // announcements not taken
}

// Source returns what the table holds of a neighbor.
func (t *Table) Source(name string) (SourceView, bool) {
	s := t.sourceByName[name]
	if s == nil {
		return SourceView{}, false
	}
	kept := s.count[stale] + s.count[longLived]
	return SourceView{
		Source: *s.info, Paths: s.count[live] + kept, Stale: kept, Deleted: s.count[deleted],
		Rejected: maps.Clone(s.rejected),
	}, true
}

// Live is how many paths a neighbor announced in its present session.
func (t *Table) Live(name string) int {
	if s := t.sourceByName[name]; s != nil {
		return s.count[live]
	}
	return 0
}

// Summary counts what a table holds.
type Summary struct {
	Version      uint64 `json:"version"`
	Networks     int    `json:"networks"`
	Paths        int    `json:"paths"` // deleted ones included
	Attributes   int    `json:"attributes"`
	ASPaths      int    `json:"asPaths"`    // distinct ones
	ASPathHops   int    `json:"asPathHops"` // AS numbers in them
	Communities  int    `json:"communities"`
	ClusterLists int    `json:"clusterLists"`
}

// Summary counts distinct attributes; it costs what they are in number.
func (t *Table) Summary() Summary {
	s := Summary{Version: t.version, Paths: t.paths.Len(), Attributes: t.attrs.Len()}
	for _, e := range t.entries.All() {
		if e.oldest != 0 {
			s.Networks++
		}
	}
	asPaths := make(map[string]bool)
	for _, a := range t.attrsByKey {
		if text := a.ASPath.String(); text != "" && !asPaths[text] {
			asPaths[text] = true
			for _, segment := range a.ASPath {
				s.ASPathHops += len(segment.ASNs)
			}
		}
		if len(a.Communities) > 0 {
			s.Communities++
		}
		if len(a.ClusterList) > 0 {
			s.ClusterLists++
		}
	}
	s.ASPaths = len(asPaths)
	return s
}
