package kube

import (
	"slices"
	"time"
)

// settleTime is for how long a session must have been up, or down, until a
// ServiceBGPStatus no longer names its peer because it has not the route. A session
// that flaps, and a speaker that starts, would otherwise have as many objects
// deleted and made again as there are Services.
const settleTime = 30 * time.Second

// sessions knows since when peers' sessions are up, or down.
type sessions map[string]session

type session struct {
	up    bool
	since time.Time
}

// unsettled takes in whether each peer's session is Established, and returns those
// whose sessions have been so for less than settleTime.
func (s sessions) unsettled(peers map[string]bool, now time.Time) (list []string) {
	for peer := range s {
		if _, ok := peers[peer]; !ok {
			delete(s, peer)
		}
	}
	for peer, up := range peers {
		was, ok := s[peer]
		if !ok || was.up != up {
			was = session{up, now}
			s[peer] = was
		}
		if now.Sub(was.since) < settleTime {
			list = append(list, peer)
		}
	}
	return list
}

// linger lets Services that are still announced be with the unsettled peers that
// their objects name.
func linger(services []ServiceReport, have map[string]seen, unsettled []string) []ServiceReport {
	if len(unsettled) == 0 {
		return services
	}
	named := make(map[string][]string, len(have))
	for _, o := range have {
		list, _ := o.status["peers"].([]any)
		for _, peer := range list {
			if peer, ok := peer.(string); ok && slices.Contains(unsettled, peer) {
				named[o.id] = append(named[o.id], peer)
			}
		}
	}
	services = slices.Clone(services)
	for i := range services {
		if s := &services[i]; s.Routed {
			s.BGP = union(s.BGP, named[s.Service.String()])
		}
	}
	return services
}

// union returns the elements of two sorted lists, each once.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
