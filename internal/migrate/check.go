package migrate

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/controller"
	"github.com/pharoslb/pharos/why"
)

// Check compares what MetalLB does with what Pharos would do in its place, given
// the Snapshot of all kinds of objects. The Snapshot has to be Synced.
func Check(snap *pharos.Snapshot, m *MetalLB) *Report {
	c := &check{Snapshot: onSpeakers(snap, m.Speakers), m: m, report: &Report{Changes: []Finding{}, Notes: []Finding{}}}
	if c.config = snap.Config; c.config == nil {
		c.config = &pharos.Config{}
	}
	c.count()
	c.report.MetalLB = Summary{Mode: m.Mode, Version: m.Version.String(), Class: m.Class}

	c.installation()
	c.problems()
	c.sources()
	c.era()
	moved := c.addresses()
	c.announcements(moved)
	c.peers()
	c.advertisements()
	c.report.sort()
	return c.report
}

// check is one comparison.
type check struct {
	*pharos.Snapshot // with the nodes alone that have a speaker
	config           *pharos.Config
	m                *MetalLB
	report           *Report
}

// onSpeakers returns the Snapshot without the nodes that have no speaker: what is
// not there takes part in nothing.
func onSpeakers(snap *pharos.Snapshot, speakers []string) *pharos.Snapshot {
	if len(speakers) == 0 {
		return snap
	}
	next := *snap
	next.Nodes = pharos.Map[string, *pharos.Node]{}
	for _, name := range speakers {
		if n, ok := snap.Nodes.Get(name); ok {
			next.Nodes = next.Nodes.With(name, n)
		}
	}
	return &next
}

func (c *check) count() {
	n := &c.report.Compared
	n.Pools, n.Peers, n.Advertisements, n.Nodes = len(c.config.Pools), len(c.config.Peers), len(c.config.Advertisements), c.Nodes.Len()
	for _, svc := range c.Services.All() {
		if svc.Type == pharos.LoadBalancer && svc.Class == c.m.Class {
			n.Services++
			n.Addresses += len(svc.Ingress)
		}
	}
}

// installation tells what of MetalLB's own settings has to be taken along.
func (c *check) installation() {
	m := c.m
	switch {
	case m.Replaced:
		c.report.note(Finding{Kind: Configuration, Object: "Deployment controller", Is: "Pharos", Becomes: "Pharos",
			Why: "Pharos is there already: what is compared is what it did itself"})
	case !m.Found:
		c.report.note(Finding{Kind: Configuration, Object: "MetalLB", Is: "not found", Becomes: "Pharos",
			Why: "no controller or speaker of MetalLB is in the namespace, so that its mode and version are not known", Hint: "name its namespace with --namespace"})
	}
	if m.Class != "" {
		c.report.note(Finding{Kind: Configuration, Object: "--lb-class", Is: m.Class, Becomes: m.Class + ", if you say so again",
			Why: "MetalLB serves this load balancer class alone", Hint: "give controller and speakers --lb-class=" + m.Class + ", or the chart loadBalancerClass"})
	}
	if m.IgnoreExcludeLabel {
		c.report.note(Finding{Kind: Configuration, Object: "--ignore-exclude-lb", Is: "given", Becomes: "given, if you say so again",
			Why: "MetalLB announces from nodes with label " + pharos.ExcludeLabel, Hint: "give the speakers --ignore-exclude-lb, or the chart speaker.ignoreExcludeLB=true"})
	}
	if len(m.Own) > 0 {
		var names []string
		for _, ref := range m.Own {
			names = append(names, ref.Namespace+"/"+ref.Name)
		}
		slices.Sort(names)
		c.report.note(Finding{Kind: Configuration, Object: "FRRConfigurations " + list(names), Is: "kept by MetalLB's speakers", Becomes: "kept by nobody, and in force as long as frr-k8s runs",
			Why: "frr-k8s goes on holding the sessions that they tell of, with the routers that Pharos's speakers have sessions with", Hint: "delete them once the speakers are replaced, and frr-k8s unless you use it yourself"})
	}
	for _, ref := range m.Foreign {
		c.report.change(Finding{Kind: Refused, Object: ref.String(), Is: "part of FRR's configuration", Becomes: "not read",
			Why:  "there is no FRR: sessions are the speaker's own",
			Hint: "say it with BGPPeer and BGPAdvertisement, or keep frr-k8s for peers of its own, at other addresses than the BGPPeers'"})
	}
	for _, ref := range m.AddressPools {
		c.report.change(Finding{Kind: Refused, Object: ref.String(), Is: "a pool, of MetalLB before 0.14", Becomes: "not read",
			Why: "the kind was given up in MetalLB 0.14", Hint: "write it as an IPAddressPool and an advertisement before"})
	}
}

// problems tells of objects that would not be in force as they are written.
func (c *check) problems() {
	for _, p := range c.Problems {
		f := Finding{Kind: Refused, Object: p.Object.String(), Is: "as MetalLB read it last", Becomes: "left out", Why: p.Reason.String(), Hint: p.Hint}
		if p.Field != "" {
			f.Why = p.Field + ": " + f.Why
		}
		switch {
		case p.Object.Kind == "ConfigMap" && p.Object.Name == "bgpextras":
			f.Is = "appended to FRR's configuration"
			if c.m.Mode != FRR && c.m.Mode != "" {
				f.Is = "refused by " + c.report.MetalLB.String() + ", with all of the configuration"
			}
			f.Becomes = "not read"
		case p.Reason.Code == why.ConfigMissing:
			f.Is, f.Becomes = "not there", "nothing is given out or announced"
			f.Hint = "name MetalLB's namespace with --namespace"
		}
		c.report.change(f)
	}
}

// legacy reports whether a part of the configuration is written in the ConfigMap.
func legacy(origin string) bool { return strings.HasPrefix(origin, "ConfigMap") }

// sources tells of objects that only one of the two reads: MetalLB the ConfigMap up
// to 0.12 and the resources since 0.13, Pharos both.
func (c *check) sources() {
	var text, objects []string
	add := func(origin, what, name string) {
		if legacy(origin) {
			text = append(text, what+" "+name)
		} else {
			objects = append(objects, what+" "+name)
		}
	}
	for i := range c.config.Pools {
		add(c.config.Pools[i].Origin, "pool", c.config.Pools[i].Name)
	}
	for i := range c.config.Peers {
		add(c.config.Peers[i].Origin, "peer", c.config.Peers[i].Name)
	}
	switch {
	case len(text) > 0 && (c.m.Version.since(13) || c.m.Version == Version{} && len(objects) > 0):
		c.report.change(Finding{Kind: Configuration, Object: "ConfigMap config", Is: "not read", Becomes: "in force: " + list(text),
			Why: "MetalLB reads it up to 0.12, Pharos reads it beside the resources", Hint: "delete it, if the resources say all"})
	case len(objects) > 0 && c.m.Version.before(13):
		c.report.change(Finding{Kind: Configuration, Object: "resources of group metallb.io", Is: "not read", Becomes: "in force: " + list(objects),
			Why: "MetalLB reads them since 0.13, Pharos reads them beside the ConfigMap", Hint: "delete them, if the ConfigMap says all"})
	}
}

// era tells of what MetalLB did not know in the days of the ConfigMap: classes of
// load balancers, and nodes that are excluded from them.
func (c *check) era() {
	if !c.m.Version.before(13) || len(c.config.Advertisements) == 0 {
		return
	}
	for _, n := range c.Nodes.All() {
		if n.Excluded() && !c.m.IgnoreExcludeLabel {
			c.report.change(Finding{Kind: Announcement, Object: "Node " + n.Name, Is: "announces", Becomes: "announces nothing",
				Why: "it has label " + pharos.ExcludeLabel + ", which MetalLB heeds since 0.13", Hint: "give the speakers --ignore-exclude-lb, or take the label off"})
		}
	}
	for name, svc := range c.Services.All() {
		if svc.Type == pharos.LoadBalancer && svc.Class != c.m.Class && slices.ContainsFunc(svc.Ingress, func(a netip.Addr) bool { return c.config.PoolOf(a) != nil }) {
			c.report.change(Finding{Kind: Announcement, Object: "Service " + name.String(), Is: "announced", Becomes: "not announced; the address stays in its status",
				Why: "it is of load balancer class " + svc.Class + ", and MetalLB did not look at classes then", Hint: "make the Service anew without spec.loadBalancerClass"})
		}
	}
}

// addresses tells which statuses would change, and returns the Services whose
// addresses would.
func (c *check) addresses() (moved map[pharos.Name]bool) {
	moved = map[pharos.Name]bool{}
	if c.Snapshot.Config == nil {
		return moved
	}
	changes, gate := controller.Preview(controller.Options{Class: c.m.Class}, c.Snapshot)
	if gate.Code != why.OK && gate != c.Problem {
		c.report.change(Finding{Kind: Refused, Object: "the configuration", Is: "refused by MetalLB as well, or not yet seen", Becomes: "refused as a whole, until it is right",
			Why: gate.String()})
	}
	var noted []string
	for i := range changes {
		ch := &changes[i]
		object := "Service " + ch.Service.String()
		switch {
		case ch.Moves():
			moved[ch.Service] = true
			f := Finding{Kind: Address, Object: object, Is: addresses(ch.Has, ch.HasPool), Becomes: addresses(ch.Gets, ch.GetsPool), Why: ch.Reason.String()}
			if ch.Lost.Code != why.OK {
				f.Why = ch.Lost.String()
				f.Hint = "if it is to keep its address, let the pool admit it, or reserve the address for it by annotation pharoslb.io/reservations on the pool"
			}
			c.report.change(f)
		case ch.HasPool == "":
			noted = append(noted, ch.Service.String())
		default:
			c.report.change(Finding{Kind: Address, Object: object, Is: addresses(ch.Has, ch.HasPool), Becomes: addresses(ch.Gets, ch.GetsPool),
				Why: "the annotation metallb.io/ip-allocated-from-pool names another pool than the one that has the address"})
		}
	}
	if len(noted) > 0 {
		c.report.note(Finding{Kind: Address, Object: services(noted), Is: "no annotation metallb.io/ip-allocated-from-pool", Becomes: "the pool's name",
			Why: "it tells where an address is from; older versions of MetalLB did not write it"})
	}
	return moved
}
