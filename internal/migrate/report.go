package migrate

import (
	"cmp"
	"slices"
)

// Kind is what a finding is about.
type Kind string

// The kinds of findings, in the order in which they are told.
const (
	Refused       Kind = "refused"       // an object that would not be in force as it is written
	Configuration Kind = "configuration" // an object that MetalLB does not read, and Pharos does
	Address       Kind = "address"       // a Service's status
	Owner         Kind = "owner"         // the node that announces a Service on layer 2
	Announcement  Kind = "announcement"  // the nodes and peers that a Service is announced by and to
	Attribute     Kind = "attribute"     // what a route says
	Session       Kind = "session"       // a BGP session
)

var order = []Kind{Refused, Configuration, Address, Owner, Announcement, Attribute, Session}

// Finding is one difference.
type Finding struct {
	Kind    Kind   `json:"kind"`
	Object  string `json:"object"` // kind and name, for people
	Is      string `json:"is"`
	Becomes string `json:"becomes"`
	Why     string `json:"why"`
	Hint    string `json:"hint,omitempty"` // what to do about it
}

// Report is the outcome of a comparison.
type Report struct {
	Changes  []Finding `json:"changes"` // sorted by kind, then object
	Notes    []Finding `json:"notes"`   // the same of what moves nothing
	Compared Counts    `json:"compared"`
	MetalLB  Summary   `json:"metallb"`
}

// Counts are how many objects were looked at.
type Counts struct {
	Services       int `json:"services"`  // of type LoadBalancer and the class
	Addresses      int `json:"addresses"` // that they have
	Owners         int `json:"owners"`    // Services whose layer 2 owner MetalLB tells
	Announced      int `json:"announced"` // Services whose BGP announcements MetalLB tells
	Pools          int `json:"pools"`
	Advertisements int `json:"advertisements"`
	Peers          int `json:"peers"`
	Nodes          int `json:"nodes"` // with a speaker
}

// Summary is what MetalLB was taken for.
type Summary struct {
	Mode    Mode   `json:"mode"`
	Version string `json:"version,omitempty"`
	Class   string `json:"class,omitempty"`
}

// String names MetalLB as far as it is known.
func (s Summary) String() string {
	name := "MetalLB"
	if s.Version != "" {
		name += " " + s.Version
	}
	if s.Mode != "" {
		name += " in " + string(s.Mode) + " mode"
	}
	return name
}

func (r *Report) change(f Finding) { r.Changes = append(r.Changes, f) }
func (r *Report) note(f Finding)   { r.Notes = append(r.Notes, f) }

func (r *Report) sort() {
	for _, list := range [][]Finding{r.Changes, r.Notes} {
		slices.SortStableFunc(list, func(a, b Finding) int {
			return cmp.Or(cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)), cmp.Compare(a.Object, b.Object),
				cmp.Compare(a.Is, b.Is), cmp.Compare(a.Becomes, b.Becomes))
		})
	}
}
