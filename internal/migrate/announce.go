package migrate

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/speaker"
	"github.com/pharoslb/pharos/why"
)

// nodes are what nodes do about one Service: to whom each announces it over BGP, or
// on which interfaces on layer 2.
type nodes map[string][]string

// outlook is what speakers would do about one Service.
type outlook struct {
	peers  nodes
	owners nodes

	// reasons are those of nodes that MetalLB has announcing, and any one of the
	// others.
	reasons map[string]why.Reason
	reason  why.Reason
}

// announcements tells which Services would be announced by others, or to others.
// Those whose addresses move are told of already.
func (c *check) announcements(moved map[pharos.Name]bool) {
	isOwner, isPeer := group(c.m.Owners, false), group(c.m.Announcers, true)
	byRule := len(isOwner) == 0 && c.m.Version.before(11)
	outlooks := c.foresee(isOwner, isPeer)
	var owned, peered []string
	for _, name := range slices.SortedFunc(maps.Keys(outlooks), pharos.Name.Compare) {
		o := outlooks[name]
		if moved[name] {
			continue
		}
		is := isOwner[name]
		if byRule && len(o.owners) > 0 {
			is = c.ownerBefore11(name)
		}
		switch {
		case len(c.m.Owners) > 0 || byRule:
			if len(is)+len(o.owners) > 0 {
				c.report.Compared.Owners++
				c.owner(name, is, o)
			}
		case len(o.owners) > 0:
			owned = append(owned, name.String())
		}
		switch {
		case len(c.m.Announcers) > 0:
			if len(isPeer[name])+len(o.peers) > 0 {
				c.report.Compared.Announced++
				c.announcement(name, isPeer[name], o)
			}
		case len(o.peers) > 0:
			peered = append(peered, name.String())
		}
	}
	if len(owned) > 0 {
		c.report.note(Finding{Kind: Owner, Object: services(owned), Is: "not told by MetalLB", Becomes: "the node that MetalLB's rule elects",
			Why: "there are no ServiceL2Statuses to compare with, which older versions do not write; the rule is the same"})
	}
	if len(peered) > 0 {
		c.report.note(Finding{Kind: Announcement, Object: services(peered), Is: "not told by MetalLB", Becomes: "announced as the configuration says",
			Why: "there are no ServiceBGPStatuses to compare with, which older versions do not write"})
	}
}

// group sorts statuses by Service and node.
func group(statuses []Status, peers bool) map[pharos.Name]nodes {
	all := map[pharos.Name]nodes{}
	for _, st := range statuses {
		if all[st.Service] == nil {
			all[st.Service] = nodes{}
		}
		what := st.Interfaces
		if peers {
			what = st.Peers
		}
		merged := slices.Sorted(slices.Values(slices.Concat(all[st.Service][st.Node], what)))
		all[st.Service][st.Node] = slices.Compact(merged)
	}
	return all
}

// foresee asks the speakers.
func (c *check) foresee(isOwner, isPeer map[pharos.Name]nodes) map[pharos.Name]*outlook {
	all := map[pharos.Name]*outlook{}
	for in := range speaker.Preview(speaker.Options{Class: c.m.Class, IgnoreExcludeLabel: c.m.IgnoreExcludeLabel}, c.Snapshot) {
		o := all[in.Service]
		if o == nil {
			svc, _ := c.Services.Get(in.Service)
			if svc.Class != c.m.Class || svc.Type != pharos.LoadBalancer {
				continue
			}
			o = &outlook{peers: nodes{}, owners: nodes{}, reasons: map[string]why.Reason{}, reason: in.Reason}
			all[in.Service] = o
		}
		if len(in.Peers) > 0 {
			merged := slices.Sorted(slices.Values(slices.Concat(o.peers[in.Node], in.Peers)))
			o.peers[in.Node] = slices.Compact(merged)
		}
		if in.Layer2 {
			o.owners[in.Node] = in.Interfaces
		}
		_, owner := isOwner[in.Service][in.Node]
		_, peer := isPeer[in.Service][in.Node]
		if owner || peer {
			o.reasons[in.Node] = in.Reason
		}
	}
	return all
}

func (c *check) owner(name pharos.Name, is nodes, o *outlook) {
	if maps.EqualFunc(is, o.owners, slices.Equal[[]string]) {
		return
	}
	f := Finding{Kind: Owner, Object: "Service " + name.String(), Is: on(is), Becomes: on(o.owners)}
	switch {
	case slices.Equal(slices.Sorted(maps.Keys(is)), slices.Sorted(maps.Keys(o.owners))):
		f.Why = "the layer 2 advertisements name other interfaces than ServiceL2Status does"
	case c.m.Version.before(11):
		f.Why = "MetalLB before 0.11 elects by the Service's name, and only nodes with endpoints"
	case len(is) == 0:
		f.Why = "no ServiceL2Status tells that MetalLB announces it"
	case len(o.owners) == 0:
		f.Why = o.because(is).String()
	default:
		f.Why = "MetalLB's rule elects another node now than ServiceL2Status tells: " + o.because(is).String()
	}
	c.report.change(f)
}

func (c *check) announcement(name pharos.Name, is nodes, o *outlook) {
	was, becomes := nodes{}, nodes{}
	for node := range merge(is, o.peers) {
		if a, b := is[node], o.peers[node]; !slices.Equal(a, b) {
			if len(a) > 0 {
				was[node] = a
			}
			if len(b) > 0 {
				becomes[node] = b
			}
		}
	}
	if len(was)+len(becomes) == 0 {
		return
	}
	f := Finding{Kind: Announcement, Object: "Service " + name.String(), Is: to(was), Becomes: to(becomes)}
	switch {
	case len(becomes) == 0:
		f.Why = o.because(was).String()
	case len(was) == 0:
		f.Why = "the configuration says so, and no ServiceBGPStatus does"
	default:
		f.Why = "the configuration says otherwise than ServiceBGPStatus does"
	}
	c.report.change(f)
}

// because is why one of the nodes, the first by name, is not to announce.
func (o *outlook) because(is nodes) why.Reason {
	for _, n := range slices.Sorted(maps.Keys(is)) {
		if r, ok := o.reasons[n]; ok {
			return r
		}
	}
	if r := o.reason; r.Code != why.NodeAssigned {
		return r
	}
	return why.New(why.NotOwner, "no speaker runs there")
}

func merge(a, b nodes) nodes {
	all := maps.Clone(a)
	if all == nil {
		all = nodes{}
	}
	maps.Copy(all, b)
	return all
}

// on renders owners, and to announcers with their peers, by the nodes' names.
func on(n nodes) string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(n)) {
		if interfaces := n[name]; len(interfaces) > 0 {
			name += " on " + strings.Join(interfaces, ", ")
		}
		texts = append(texts, name)
	}
	return or(list(texts), "nobody")
}

func to(n nodes) string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(n)) {
		texts = append(texts, fmt.Sprintf("%s to %s", name, strings.Join(n[name], " and ")))
	}
	return or(list(texts), "nobody")
}

// ownerBefore11 is whom MetalLB elected up to 0.10: of the nodes that have an
// endpoint, whatever the traffic policy, the one whose hash with the Service's name
// is lowest.
func (c *check) ownerBefore11(name pharos.Name) nodes {
	eps, _ := c.Endpoints.Get(name)
	if eps == nil {
		return nil
	}
	var able []string
	for i := range eps.Backends {
		if b := &eps.Backends[i]; b.Ready {
			if _, ok := c.Nodes.Get(b.Node); ok {
				able = append(able, b.Node)
			}
		}
	}
	if len(able) == 0 {
		return nil
	}
	hash := func(node string) []byte {
		sum := sha256.Sum256([]byte(node + "#" + name.String()))
		return sum[:]
	}
	return nodes{slices.MinFunc(able, func(a, b string) int { return cmp.Or(bytes.Compare(hash(a), hash(b)), cmp.Compare(a, b)) }): nil}
}
