package nxos

import "fmt"

// checkNeighbor looks for what is at odds in the lines about one neighbor.
func (p *parser) checkNeighbor(n *Neighbor) {
	c, b := p.config, p.config.BGP
	fail := func(line int, text, reason, hint string) {
		if line == 0 {
			line = n.line
		}
		p.fail(line, text, reason, hint)
	}
	at := func(word, reason, hint string) { fail(n.lines[word], "", reason, hint) }
	peer := n.Peer()
	if n.AS == 0 && !n.External && !n.asGiven {
		fail(n.line, "", fmt.Sprintf("neighbor %s has no remote-as", peer), "add remote-as N under it")
	}
	for _, i := range c.Interfaces {
		for _, own := range i.Addrs {
			if own.Addr() == n.Addr {
				fail(n.line, "", fmt.Sprintf("neighbor %s is this switch's own address on %s", peer, i.Name), "")
			}
		}
	}
	p.checkSource(n)
	internal := !n.External && n.AS == b.AS
	if n.LocalAS != 0 {
		switch {
		case internal:
			at("local-as", fmt.Sprintf("neighbor %s is of the switch's own AS, which local-as would deny", peer), "leave local-as out")
		case n.LocalAS == b.AS:
			at("local-as", fmt.Sprintf("AS %d is the switch's own", n.LocalAS), "leave local-as out")
		case n.LocalAS == n.AS:
			at("local-as", fmt.Sprintf("AS %d is the neighbor's own", n.LocalAS), "")
		}
	}
	if n.Role != nil && internal {
		at("local-role", fmt.Sprintf("neighbor %s is of the switch's own AS, where nobody has a role", peer), "leave local-role out")
	}
	if n.TTLSecurity > 0 && n.MultiHop > 0 {
		at("ttl-security", "ttl-security and ebgp-multihop cannot be had together", "ttl-security hops N says how far the neighbor may be")
	}
	if n.MaxPeers > 0 && !n.Prefix.IsValid() {
		at("maximum-peers", fmt.Sprintf("neighbor %s is one", peer), "maximum-peers belongs under neighbor A.B.C.D/LEN")
	}
	if n.BFD != nil && !n.BFD.Multihop && n.MultiHop > 1 && c.towards(n) == nil {
		at("bfd", fmt.Sprintf("neighbor %s is on no interface's network", peer), "write bfd multihop")
	}
	if n.BFD != nil && n.BFD.Multihop && (n.Interface != "" || linkLocal(n.Addr)) {
		at("bfd", fmt.Sprintf("neighbor %s is never several hops away", peer), "write bfd")
	}
}

// checkSource looks at where the session with a neighbor comes from.
func (p *parser) checkSource(n *Neighbor) {
	text := "update-source " + n.UpdateSource
	has := false
	for _, i := range p.config.Interfaces {
		has = has || i.Name == n.UpdateSource || i.Name == n.Interface
	}
	switch {
	case n.Interface != "" && n.UpdateSource != "":
		p.fail(n.sourceLine, text, fmt.Sprintf("neighbor %s has its interface", n.Peer()), "leave update-source out")
	case n.Interface != "" && !has:
		p.fail(n.line, "", fmt.Sprintf("interface %s is not configured", n.Interface), "add interface "+n.Interface)
	case linkLocal(n.Addr) && n.UpdateSource == "":
		p.fail(n.line, "", fmt.Sprintf("neighbor %v is link-local, and its interface is not known", n.Addr),
			"add update-source INTERFACE under it, or write neighbor INTERFACE in place of the address")
	case linkLocal(n.Addr) && !has:
		p.fail(n.sourceLine, text, fmt.Sprintf("interface %s is not configured", n.UpdateSource), "add interface "+n.UpdateSource)
	case linkLocal(n.Addr), n.UpdateSource == "":
	default:
		if _, ok := p.config.primary(n.UpdateSource, n.is4()); !ok {
			p.fail(n.sourceLine, text, fmt.Sprintf("%s has no address of neighbor %s's family", n.UpdateSource, n.Peer()), "configure the interface and its address")
		}
	}
}
