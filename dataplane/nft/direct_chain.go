package nft

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Priorities of the owner's chains. What is to be sent on goes before connection
// tracking (-200) sees it; what is to have a second chance goes once that has
// told that it knows nothing; and the translation stands before kube-proxy's.
const (
	prioritySendOn = nftables.ChainPriority(-300)
	prioritySecond = nftables.ChainPriority(-150)
	priorityDirect = nftables.ChainPriority(-101)
)

// directKinds are the two kinds of tables' keys, and how rules are called that
// look into them.
var directKinds = []struct {
	kind kind
	text string
}{{directPorts, "slot by address and port"}, {directClients, "slot by address"}}

// perKind makes a rule for each kind of tables.
func perKind(text string, terms func(k kind) []term) []rule {
	var rules []rule
	for _, k := range directKinds {
		rules = append(rules, rule{text + ", " + k.text, terms(k.kind)})
	}
	return rules
}

// directChains returns the chains that every table of direct frontends has; those
// of ingress tables have one more for each device.
func (f *family) directChains() []chain {
	if f.isIngress() {
		return f.ingressChains()
	}
	return f.ownerChains()
}

// hook returns the chain of a device. A tagged frame shows here first and again
// at its VLAN's own device, where it has lost its tag: only then it is looked at.
func (f *family) hook(device string) chain {
	ethertype := []byte{0x08, 0x00}
	if f.is6() {
		ethertype = []byte{0x86, 0xdd}
	}
	isOurs := []term{&expr.Payload{DestRegister: reg(0), Base: expr.PayloadBaseLLHeader, Offset: 12, Len: 2}, compare(expr.CmpOpEq, reg(0), ethertype...)}
	toDirect := then(isOurs, f.load(f.daddr, reg(0)), f.in(directAddrs, 0))
	rules := []rule{{"for a direct frontend", then(toDirect, goTo("direct"))}}
	if slices.Contains(tunnelNames[:], device) {
		rules = []rule{{"for a direct frontend", then(toDirect, goTo("from-sibling"))}, {"nothing else comes by a tunnel", then(isOurs, drop())}}
	}
	return chain{name: "ingress/" + device, hook: nftables.ChainHookIngress, device: device, rules: rules}
}

func (f *family) ingressChains() []chain {
	toOwner := func(q quotes) []rule {
		return perKind("to another owner's node", func(k kind) []term {
			to := reg(4)
			return then(f.slot(k, q), []term{f.ownerOf(k, reg(0)), find(f, nodes, reg(1), to), forward{to, to + f.words()}})
		})
	}
	word := func(text string, q quotes, register uint32) []rule {
		return perKind(text, func(k kind) []term {
			return then(f.slot(k, q), []term{f.ownerOf(k, reg(0))}, leaveWord(register), leave())
		})
	}
	direct := []rule{
		{"from a pod of this node", then(f.fromPods(true), leave())},
		{"from another node", then(f.fromSibling(), goTo("from-sibling"))},
		{"frontend with source ranges", then(f.target(frontendPath), f.in(guarded, 0), jump("guard"))},
		{"no second chance by strangers", then(f.isMarked(), f.mark(0))},
		{"fragment", then(f.isFragment(), goTo("fragment"))},
		{"more than a tunnel carries", then(f.isTooLong(), jump("too-long"))},
	}
	direct = append(direct, toOwner(false)...)
	// Its sender asks again. A reset would end what may be well by another way.
	direct = append(direct, perKind("no way to the owner's node", func(k kind) []term {
		return append(f.slot(k, false), f.ownerOf(k, reg(0)), &expr.Verdict{Kind: expr.VerdictDrop})
	})...)
	direct = append(direct, rule{"ICMP error", then(f.isError(), goTo("error"))})
	sibling := []rule{{"had its second chance", then(f.isMarked(), leave())}}
	sibling = append(sibling, word("unless its connection is known", false, reg(0))...)
	sibling = append(sibling, rule{"ICMP error", then(f.isError(), goTo("error-from-sibling"))})
	return []chain{
		{name: "direct", rules: direct},
		{name: "from-sibling", rules: sibling},
		// The first fragment tells where the packet goes once it is whole.
		{name: "fragment", rules: word("to another owner's node once it is whole", false, reg(1))},
		// The kernel tells its sender how much a tunnel carries.
		{name: "too-long", rules: perKind("to a tunnel", func(k kind) []term {
			return then(f.slot(k, false), []term{f.ownerOf(k, reg(0)), &expr.Lookup{SourceRegister: reg(1), SetName: tunnelled.in(f, 0).name()}},
				leaveWord(reg(1)), []term{&expr.Verdict{Kind: expr.VerdictAccept}})
		})},
		{name: "error", rules: toOwner(true)},
		{name: "error-from-sibling", rules: word("unless its connection is known", true, reg(0))},
		f.guard(),
	}
}

// isTooLong ends the rule for what tunnels carry: TCP, which is told to send no
// more, packets that are short enough, and those that may be fragmented.
func (f *family) isTooLong() []term {
	length := uint32(2)
	if f.is6() {
		length = 4
	}
	terms := []term{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg(0)}, compare(expr.CmpOpNeq, reg(0), unix.IPPROTO_TCP),
		header(length, 2, reg(0)), &expr.Lookup{SourceRegister: reg(0), SetName: fits.in(f, 0).name(), Invert: true},
	}
	if f.is6() {
		return terms
	}
	return then(terms, []term{header(6, 1, reg(0))}, masked(expr.CmpOpNeq, []byte{0x40}, []byte{0})) // don't fragment
}

// isFragment ends the rule for packets that are whole.
func (f *family) isFragment() []term {
	if f.is6() { // RFC 8200, section 4.5
		return []term{header(6, 1, reg(0)), compare(expr.CmpOpEq, reg(0), unix.IPPROTO_FRAGMENT)}
	}
	// RFC 791, section 3.1: more fragments, or an offset
	return then([]term{header(6, 2, reg(0))}, masked(expr.CmpOpNeq, []byte{0x3f, 0xff}, []byte{0, 0}))
}

func (f *family) ownerChains() []chain {
	toDirect := then(f.load(f.daddr, reg(0)), f.in(directAddrs, 0))
	pod, previous := reg(4), reg(5+f.words())
	second := func(q quotes) []rule {
		return append([]rule{
			{"had its second chance", then(f.isMarked(), goTo("nobody-knows"))},
			{"another node's, as this one has it", then([]term{priority(reg(0)), otherWord(reg(0))}, f.away(reg(0), true))},
		}, perKind("to the previous owner's node", func(k kind) []term {
			return then(f.slot(k, q), []term{f.podOf(k, pod)}, f.away(previous, true))
		})...)
	}
	ours := func(text string, end ...term) []rule {
		return perKind(text, func(k kind) []term {
			return append(f.slot(k, false), append([]term{f.podOf(k, pod)}, end...)...)
		})
	}
	unknown := append([]rule{
		{"TCP, but not the first", then(isOngoing(), goTo("ongoing"))},
		{"ICMP error", then(f.isError(), goTo("error"))},
	}, ours("this node's", leave()...)...)
	unknown = append(unknown,
		rule{"another node's, as this one has it", then(f.isNotMarked(), []term{priority(reg(0)), otherWord(reg(0))}, f.away(reg(0), true))})
	unknown = append(unknown, perKind("of a node that is not known", func(k kind) []term { return then(f.target(frontendPath), f.in(k, 0), drop()) })...)
	return []chain{
		{name: "send-on", hook: nftables.ChainHookPrerouting, priority: prioritySendOn, rules: []rule{
			{"a tunnel that is not ours", then(isProtocol(unix.IPPROTO_UDP), []term{transport(2, 2, reg(0)), compare(expr.CmpOpEq, reg(0), tunnelPort>>8, tunnelPort&0xff)},
				f.load(f.saddr, reg(0)), []term{&expr.Lookup{SourceRegister: reg(0), SetName: peers.in(f, 0).name(), Invert: true}}, local(destination, expr.CmpOpEq), drop())},
			{"to another owner's node, now that it is whole", then(toDirect, []term{priority(reg(0))}, f.away(reg(0), false))},
		}},
		{name: "second-chance", hook: nftables.ChainHookPrerouting, priority: prioritySecond, rules: []rule{
			{"of no known connection", then(state(expr.CtStateBitNEW|expr.CtStateBitINVALID), toDirect, f.fromPods(false), jump("unknown"))},
			{"pods don't see the mark", then(toDirect, f.isMarked(), f.mark(0))},
		}},
		{name: "serve", hook: nftables.ChainHookPrerouting, priority: priorityDirect, nat: true, rules: append([]rule{
			{"from a pod of this node", then(f.fromPods(true), leave())},
		}, ours("to the slot's pod", f.dnat(pod, pod+f.words())...)...)},
		{name: "segment-size", hook: nftables.ChainHookPostrouting, priority: prioritySecond, rules: perKind("as much as a tunnel carries", func(k kind) []term {
			return then(isProtocol(unix.IPPROTO_TCP), []term{transport(13, 1, reg(0))}, masked(expr.CmpOpNeq, []byte{0x02}, []byte{0}),
				[]term{&expr.Ct{Key: expr.CtKeyDIRECTION, Register: reg(0)}, compare(expr.CmpOpEq, reg(0), 1)}, // of a reply
				f.originalTarget(frontendPath), f.in(k, 0),
				[]term{&expr.Immediate{Register: reg(0), Data: []byte{0, 0, 0, 0}}, find(f, clamp, reg(0), reg(4)),
					&expr.Exthdr{SourceRegister: reg(4), Type: 2, Offset: 2, Len: 2, Op: expr.ExthdrOpTcpopt}})
		})},
		{name: "unknown", rules: unknown},
		{name: "ongoing", rules: append(second(false), rule{"nobody knows it", goTo("nobody-knows")})},
		{name: "error", rules: append(second(true), rule{"nobody knows it", goTo("nobody-knows")})},
		{name: "nobody-knows", rules: append(
			perKind("TCP: reset", func(k kind) []term {
				return then(isProtocol(unix.IPPROTO_TCP), f.target(frontendPath), f.in(k, 0), []term{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}})
			}),
			perKind("ICMP error", func(k kind) []term {
				return then(f.isError(), f.quoted(reg(8)), f.in(k, 0), drop())
			})...)},
	}
}
