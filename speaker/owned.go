package speaker

import (
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bgp"
)

// owned are the prefixes that a peer may ever be sent, whatever else goes wrong: those
// under which an advertisement to it may announce an address of a pool. The engine
// holds everything else back.
func owned(cfg *pharos.Config, p *pharos.Peer) []netip.Prefix {
	out := []netip.Prefix{} // not nil, which would allow everything
	for i := range cfg.Advertisements {
		a := &cfg.Advertisements[i]
		if a.Mode != pharos.BGP || len(a.Peers) > 0 && !slices.Contains(a.Peers, p.Name) {
			continue
		}
		for j := range cfg.Pools {
			if !a.Covers(cfg.Pools[j].Name) {
				continue
			}
			for _, r := range cfg.Pools[j].Ranges {
				bits := a.AggregationLength
				if r.First.Is6() {
					bits = a.AggregationLengthV6
				}
				out = append(out, r.Widened(bits).Prefixes()...)
			}
		}
	}
	return out
}

// watch is how the path to a peer is watched; nil: it is not.
func watch(cfg *pharos.Config, p *pharos.Peer) *bgp.BFD {
	profile := cfg.BFDProfile(p.BFDProfile)
	if profile == nil {
		return nil
	}
	return &bgp.BFD{
		Profile: bfd.Profile{
			ReceiveInterval: profile.ReceiveInterval, TransmitInterval: profile.TransmitInterval,
			DetectMultiplier: profile.DetectMultiplier,
			EchoMode:         profile.EchoMode, EchoInterval: profile.EchoInterval,
			Passive: profile.PassiveMode, MinimumTTL: profile.MinimumTTL,
		},
		Multihop: p.EBGPMultiHop,
	}
}
