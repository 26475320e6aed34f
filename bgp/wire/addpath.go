package wire

import (
	"fmt"
	"slices"
)

// AddPathMode says in which direction a speaker can use several paths to one prefix (RFC 7911 §4).
type AddPathMode uint8

// Modes, as the sender of the capability sees them.
const (
	AddPathReceive AddPathMode = 1
	AddPathSend    AddPathMode = 2
	AddPathBoth    AddPathMode = 3
)

// String names the mode.
func (m AddPathMode) String() string {
	switch m {
	case AddPathReceive:
		return "receive"
	case AddPathSend:
		return "send"
	case AddPathBoth:
		return "both"
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// AddPathFamily is one family of an additional paths capability.
type AddPathFamily struct {
	Family
	Mode AddPathMode
}

// AddPath offers to receive or send several paths to one prefix (RFC 7911 §4). More than 63 families do not fit in a
// capability.
func AddPath(families ...AddPathFamily) Capability {
	var v []byte
	for _, f := range families {
		v = append(appendFamily(v, f.Family), byte(f.Mode))
	}
	return Capability{CapAddPath, v}
}

// AddPath returns the families of an additional paths capability. ok is false as well when a mode is none of the
// three: then the capability counts as not understood (RFC 7911 §4).
func (c Capability) AddPath() (families []AddPathFamily, ok bool) {
	if c.Code != CapAddPath || c.malformed() {
		return nil, false
	}
	for v := c.Value; len(v) > 0; v = v[4:] {
		f := AddPathFamily{familyAt(v), AddPathMode(v[3])}
		if f.Mode < AddPathReceive || f.Mode > AddPathBoth {
			return nil, false
		}
		families = append(families, f)
	}
	return families, true
}

// AddPath returns the families of the additional paths capabilities. RFC 7911 §4 allows for one capability and one
// entry of a family; of several the last counts.
func (o *Open) AddPath() []AddPathFamily {
	var all []AddPathFamily
	for _, c := range o.Capabilities {
		families, _ := c.AddPath()
		all = append(all, families...)
	}
	return lastOfEach(all, func(f AddPathFamily) Family { return f.Family })
}

// addPathFamilies returns the families among fs of which from sends several paths and to receives them.
func addPathFamilies(fs []Family, from, to *Open) []Family {
	var out []Family
	senders, receivers := from.AddPath(), to.AddPath()
	for _, f := range fs {
		has := func(m AddPathMode) func(AddPathFamily) bool {
			return func(a AddPathFamily) bool { return a.Family == f && a.Mode&m != 0 }
		}
		if slices.ContainsFunc(senders, has(AddPathSend)) && slices.ContainsFunc(receivers, has(AddPathReceive)) {
			out = append(out, f)
		}
	}
	return out
}
