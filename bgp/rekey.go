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

// rekey changes the keys of all connections from those of the configuration in force
// to those of c. It returns false if one of them cannot: then the session has to
// begin anew.
func (p *peer) rekey(c *Config) bool {
	if slices.Equal(p.cfg.AO, c.AO) {
		return true
	}
	// A connection that began without TCP-AO cannot begin to use it, nor the other
	// way round (RFC 5925 §1).
	if len(p.cfg.AO) == 0 || len(c.AO) == 0 || p.dialing != nil {
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
