package kube

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
)

// A session that flaps, and a speaker that starts, change no ServiceBGPStatus; a
// session that stays down does, and a Service that is withdrawn at once.
func TestFlappingSessionRewritesNothing(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	type step struct {
		at    int // seconds
		peers map[string]bool
		a, b  string // peers that have the Services' routes; "-": it is not announced
		want  string
	}
	both, tor1 := map[string]bool{"tor1": true, "tor2": true}, map[string]bool{"tor1": true, "tor2": false}
	none := map[string]bool{"tor1": false, "tor2": false}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"flaps", []step{
			{0, both, "tor1 tor2", "tor1", "a[tor1 tor2] b[tor1]"}, {100, tor1, "tor1", "tor1", ""}, {120, both, "tor1", "tor1", ""}, {125, both, "tor1 tor2", "tor1", ""},
			{140, tor1, "tor1", "tor1", ""}, {169, tor1, "tor1", "tor1", ""}, {171, tor1, "tor1", "tor1", "a[tor1]"}, {200, both, "tor1 tor2", "tor1", "a[tor1 tor2]"},
		}},
		{"all are down", []step{{0, both, "tor1 tor2", "tor2", "a[tor1 tor2] b[tor2]"}, {100, none, "", "", ""}, {131, none, "", "", "-a -b"}}},
		{"withdrawn", []step{{0, both, "tor1 tor2", "tor2", "a[tor1 tor2] b[tor2]"}, {100, none, "", "-", "-b"}, {101, map[string]bool{"tor1": false}, "", "-", "a[tor1]"}}},
		{"another offer", []step{{0, both, "tor1 tor2", "tor2", "a[tor1 tor2] b[tor2]"}, {100, both, "tor1", "tor2", "a[tor1]"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			known, have := sessions{}, map[string]seen{}
			for _, s := range c.steps {
				var r Report
				for name, peers := range map[string]string{"a": s.a, "b": s.b} {
					if peers != "-" {
						r.Services = append(r.Services, ServiceReport{Service: pharos.Name{Namespace: "ns", Name: name}, BGP: strings.Fields(peers), Routed: true})
					}
				}
				r.Services = linger(r.Services, have, known.unsettled(s.peers, start.Add(time.Duration(s.at)*time.Second)))
				var got []string
				list := slices.Collect(maps.Values(have))
				for _, ch := range plan(serviceBGPStatuses, states{node: "n1"}.services(serviceBGPStatuses, r), list) {
					if ch.verb == remove {
						got = append(got, "-"+strings.TrimPrefix(have[ch.name].id, "ns/"))
						delete(have, ch.name)
						continue
					}
					got = append(got, fmt.Sprint(strings.TrimPrefix(ch.record.id, "ns/"), ch.record.status["peers"]))
					have[ch.name] = seen{ch.record.id, ch.name, ch.record.labels, nil, ch.record.status}
				}
				slices.Sort(got)
				if text := strings.Join(got, " "); text != s.want {
					t.Errorf("after %d s: %q, want %q", s.at, text, s.want)
				}
			}
		})
	}
}
