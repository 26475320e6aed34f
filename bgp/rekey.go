package bgp

import (
	"maps"
	"slices"
)

// rekeyer is what a connection may offer to change the TCP-AO keys of c while it
// goes on (RFC 5925 §6.1).
type rekeyer interface {
	SetKeys(c Config) error
}

// onlyKeysDiffer says if a live session can go from one configuration to the other
// by a change of TCP-AO keys. A connection that began without TCP-AO cannot begin
// to use it, nor the other way round (RFC 5925 §1).
func onlyKeysDiffer(from, to *Config) bool {
	if len(from.AO) == 0 || len(to.AO) == 0 {
		return false
	}
	a, b := *from, *to
	a.AO, b.AO = nil, nil
	return a.equal(&b)
}

// rekey changes the keys of all connections to those of c. It returns false if one
// of them cannot: then the session has to begin anew.
func (p *peer) rekey(c *Config) bool {
	if !onlyKeysDiffer(&p.cfg, c) || p.dialing != nil {
		return false
	}
	for _, id := range slices.Sorted(maps.Keys(p.conns)) {
		k, ok := p.conns[id].nc.(rekeyer)
		if !ok {
			return false
		}
		if err := k.SetKeys(*c); err != nil {
			p.log.Warn("bgp session cannot change its TCP-AO keys", "err", err)
			return false
		}
	}
	return true
}
