package nft

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// chain is a chain as it has to be.
type chain struct {
	name     string
	hook     *nftables.ChainHook // nil: only jumped to
	device   string              // of an ingress hook
	priority nftables.ChainPriority
	nat      bool
	rules    []rule
}

func (c *chain) kind() nftables.ChainType {
	if c.nat {
		return nftables.ChainTypeNAT
	}
	return nftables.ChainTypeFilter
}

// rule is one rule. Its comment in the kernel is its text and a digest, so that
// rules that were read back can be told from ones that somebody changed.
type rule struct {
	text  string
	terms []term
}

// Priorities: after connection tracking (-200); decisions to refuse come before
// the translation, which stands where kube-proxy's does.
const (
	priorityRefuse = nftables.ChainPriority(-110)
	priorityServe  = nftables.ChainPriority(-100)
	priorityFilter = nftables.ChainPriority(0)
	prioritySource = nftables.ChainPriority(100)
)

// chains returns the chains that every table has, those that pick aside.
func (f *family) chains() []chain {
	return []chain{
		{name: "refuse-prerouting", hook: nftables.ChainHookPrerouting, priority: priorityRefuse, rules: []rule{
			{"new, from a pod of this node", then(isNew(), f.fromPods(true), goTo("refuse-inside"))},
			{"new, from elsewhere", then(isNew(), goTo("refuse-outside"))},
		}},
		{name: "refuse-output", hook: nftables.ChainHookOutput, priority: priorityRefuse, rules: []rule{
			{"new, from this node", then(isNew(), goTo("refuse-inside"))},
		}},
		{name: "serve-prerouting", hook: nftables.ChainHookPrerouting, priority: priorityServe, nat: true, rules: []rule{
			{"from a pod of this node", then(f.fromPods(true), goTo("serve-inside"))},
			{"from elsewhere", goTo("serve-outside")},
		}},
		{name: "serve-output", hook: nftables.ChainHookOutput, priority: priorityServe, nat: true, rules: []rule{
			{"from this node", goTo("serve-inside")},
		}},
		// An answer that connection tracking cannot place would go out with the pod's
		// own address, and the client would reset the connection that it belongs to.
		{name: "invalid-forward", hook: nftables.ChainHookForward, priority: priorityFilter, rules: []rule{
			{"from a pod of this node, of no known connection", then(isInvalid(), f.fromPods(true), drop())},
		}},
		{name: "source-postrouting", hook: nftables.ChainHookPostrouting, priority: prioritySource, nat: true, rules: f.source()},
		{name: "refuse-inside", rules: f.refuse(true)},
		{name: "refuse-outside", rules: f.refuse(false)},
		{name: "refuse-inside-node-ports", rules: f.empty(true, nodePortPath, nodePortInsidePath)},
		{name: "refuse-outside-node-ports", rules: f.empty(false, nodePortPath, nodePortInsidePath)},
		{name: "serve-inside", rules: f.serve(true)},
		{name: "serve-outside", rules: f.serve(false)},
		f.guard(),
		{name: "reject", rules: []rule{
			{"TCP: reset", then(isProtocol(unix.IPPROTO_TCP), []term{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}})},
			{"others: port unreachable", []term{&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: f.portUnreachable()}}},
		}},
	}
}

// guard drops what comes from clients that are not admitted.
func (f *family) guard() chain {
	return chain{name: "guard", rules: []rule{
		{"client is in loadBalancerSourceRanges", then(
			f.target(frontendPath), f.load(f.saddr, reg(f.length(frontendPath))), f.in(allowed, 0), leave())},
		{"client is not", drop()},
	}}
}

// refuse decides about new connections that get no backend.
func (f *family) refuse(inside bool) []rule {
	nodePorts := "refuse-outside-node-ports"
	if inside {
		nodePorts = "refuse-inside-node-ports"
	}
	rules := []rule{{"frontend with source ranges", then(f.target(frontendPath), f.in(guarded, 0), jump("guard"))}}
	rules = append(rules, f.empty(inside, frontendPath, frontendInsidePath)...)
	rules = append(rules,
		rule{"address of the node", then(f.toNode(), jump(nodePorts))},
		rule{"cluster IP, but no port of the service", then(f.load(f.daddr, reg(0)), f.in(clusterIPs, 0), goTo("reject"))})
	if !inside {
		rules = append(rules, rule{"announced IP, but no port of the service", then(
			f.load(f.daddr, reg(0)), f.in(announcedIPs, 0), local(destination, expr.CmpOpNeq), goTo("reject"))})
	}
	return rules
}

// empty refuses targets without backends and leaves the chain for the others.
func (f *family) empty(inside bool, general, own path) []rule {
	var rules []rule
	if inside {
		rules = append(rules,
			rule{"no backend, from inside", then(f.is(rejected, own), goTo("reject"))},
			rule{"served from inside", then(f.is(targets, own), leave())})
	}
	return append(rules,
		rule{"no backend", then(f.is(rejected, general), goTo("reject"))},
		rule{"no backend here", then(f.is(dropped, general), drop())},
		rule{"served", then(f.is(targets, general), leave())})
}

// serve sends new connections to the chain that picks their backend.
func (f *family) serve(inside bool) []rule {
	var rules []rule
	for _, p := range []path{frontendInsidePath, frontendPath, nodePortInsidePath, nodePortPath} {
		if p.inside() && !inside {
			continue
		}
		var toNode []term
		if p.nodePort() {
			toNode = f.toNode()
		}
		rules = append(rules, rule{p.String(), then(toNode, f.is(targets, p), goTo(pickName(p)))})
	}
	return rules
}

func pickName(p path) string { return "pick-" + p.String() }

// pick returns the chain that picks a backend, given how many the path's targets
// have: each number has a rule of its own, because random numbers want a bound
// that is known to the rule.
func (f *family) pick(p path, classes []int) chain {
	n := f.length(p)
	rules := []rule{{"session affinity", then(f.target(p),
		[]term{&expr.Lookup{SourceRegister: reg(0), IsDestRegSet: true, SetName: sticky.on(p).in(f, 0).name()}})}}
	for _, c := range classes {
		rules = append(rules, rule{fmt.Sprintf("one of %d", c), then(
			f.target(p), f.in(class.on(p), c),
			f.target(p), []term{
				&expr.Numgen{Register: reg(n), Modulus: uint32(c), Type: unix.NFT_NG_RANDOM},
				&expr.Lookup{SourceRegister: reg(0), DestRegister: reg(0), IsDestRegSet: true, SetName: backends.on(p).in(f, 0).name()}},
			f.dnat(reg(0), f.after(0)))})
	}
	return chain{name: pickName(p), rules: rules}
}

// source masquerades what the frontend asks for. What the frontend was is told
// by the connection's original destination, so that no packet mark is needed
// and nobody else's can collide.
func (f *family) source() []rule {
	masquerade := []term{&expr.Masq{FullyRandom: true}}
	fromNode := local(source, expr.CmpOpEq)
	return []rule{
		{"destination was not translated", then(notTranslated(), leave())},
		{"pod to itself", then(f.load(f.saddr, reg(0)), f.load(f.daddr, f.after(0)), f.in(hairpins, 0), masquerade)},
		{"external policy Cluster", then(f.was(everybody, frontendPath), masquerade)},
		{"external policy Local, from the node itself", then(f.was(ownNode, frontendPath), fromNode, masquerade)},
		{"cluster IP, not from a pod of this node", then(f.fromPods(false), f.was(foreign, frontendPath), masquerade)},
		{"other frontends", then(f.was(targets, frontendPath), leave())},
		{"node port, external policy Cluster", then(f.was(everybody, nodePortPath), masquerade)},
		{"node port, external policy Local, from the node itself", then(f.was(ownNode, nodePortPath), fromNode, masquerade)},
	}
}

// stickyLimit bounds how many clients one backend remembers. Beyond it clients
// are spread as if there were no affinity.
const stickyLimit = 1 << 16

// stick returns the chains and sets of a group with session affinity: a chain
// that finds the backend of a client, and a chain and a set of clients for each
// backend.
func (f *family) stick(name string, protocol byte, timeout time.Duration, to []netip.AddrPort) ([]chain, []spec) {
	head := chain{name: name}
	var parts []chain
	var sets []spec
	for _, b := range to {
		part := stickyName(name, b)
		sets = append(sets, spec{name: part, key: []nftables.SetDatatype{f.addr}, dynamic: true, size: stickyLimit})
		parts = append(parts, chain{name: part, rules: []rule{
			{"remember the client", then(f.load(f.saddr, reg(0)), []term{&expr.Dynset{
				SrcRegKey: reg(0), SetName: part, Operation: unix.NFT_DYNSET_OP_UPDATE, Timeout: timeout}})},
			{"", then(isProtocol(protocol), []term{
				&expr.Immediate{Register: reg(0), Data: b.Addr().AsSlice()},
				&expr.Immediate{Register: f.after(0), Data: []byte{byte(b.Port() >> 8), byte(b.Port())}}},
				f.dnat(reg(0), f.after(0)))},
		}})
		head.rules = append(head.rules, rule{"", then(f.load(f.saddr, reg(0)),
			[]term{&expr.Lookup{SourceRegister: reg(0), SetName: part}}, goTo(part))})
	}
	for i, part := range parts {
		head.rules = append(head.rules, rule{"", then(oneOf(len(parts)-i), goTo(part.name))})
	}
	return append(parts, head), sets
}

func stickyName(group string, b netip.AddrPort) string {
	return fmt.Sprintf("%s/%s/%d", group, b.Addr(), b.Port())
}

// comment returns a rule's comment.
func (f *family) comment(r rule) string {
	h := fnv.New64a()
	for _, t := range r.terms {
		h.Write(f.encode(t))
	}
	if r.text == "" {
		return fmt.Sprintf("#%08x", uint32(h.Sum64()))
	}
	return fmt.Sprintf("%s #%08x", r.text, uint32(h.Sum64()))
}
