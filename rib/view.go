package rib

import (
	"cmp"
	"net/netip"
	"slices"
)

// PathView is a path as it was at one moment. Source and Attrs are never changed
// once they are seen here.
type PathView struct {
	Path
	Verdict
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
	e := t.entries[prefix.Masked()]
	if e == nil || len(e.paths) == 0 {
		return Entry{}, false
	}
	return e.view(), true
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
	out := make([]Entry, 0, len(t.entries))
	for _, e := range t.entries {
		if len(e.paths) > 0 {
			out = append(out, e.view())
		}
	}
	slices.SortFunc(out, func(a, b Entry) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
	})
	return out
}

func (e *entry) view() Entry {
	v := Entry{Prefix: e.prefix, Version: e.version, Hops: e.set, Paths: make([]PathView, 0, len(e.paths))}
	for _, p := range slices.Backward(e.paths) {
		view := PathView{p.Path, p.verdict}
		source := *p.Source // the table updates its own
		view.Source = &source
		v.Paths = append(v.Paths, view)
	}
	return v
}

// Routes returns the next hops of every prefix that has some, as last handed out
// by Decide, in no order.
func (t *Table) Routes() []Route {
	out := make([]Route, 0, len(t.entries))
	for _, e := range t.entries {
		if e.set != (HopSet{}) {
			out = append(out, Route{e.prefix, e.set})
		}
	}
	return out
}

// SourceView is what the table holds of one neighbor.
type SourceView struct {
	Source
	Paths    int               // usable or not, without deleted ones
	Deleted  int               // kept from a session that is down
	Rejected map[Reason]uint64 // announcements not taken
}

// Source returns what the table holds of a neighbor.
func (t *Table) Source(name string) (SourceView, bool) {
	s := t.sources[name]
	if s == nil {
		return SourceView{}, false
	}
	v := SourceView{Source: s.Source, Paths: s.live, Deleted: s.deleted, Rejected: make(map[Reason]uint64, len(s.rejected))}
	for r, n := range s.rejected {
		v.Rejected[r] = n
	}
	return v, true
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
	s := Summary{Version: t.version, Paths: t.live, Attributes: len(t.attrs)}
	for _, e := range t.entries {
		if len(e.paths) > 0 {
			s.Networks++
		}
	}
	for _, src := range t.sources {
		s.Paths += src.deleted
	}
	asPaths := make(map[string]bool)
	for _, a := range t.attrs {
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
