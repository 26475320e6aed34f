package bgp

import (
	"slices"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// Which stale routes outlive the peer's return: those of families with the F bit of the
// kind of restart that the family takes part in.
func TestPreserved(t *testing.T) {
	v4, v6 := wire.IPv4Unicast, wire.IPv6Unicast
	gr := func(f ...wire.GracefulFamily) wire.Capability {
		return wire.GracefulRestartCapability(wire.GracefulRestart{Time: time.Minute, Families: f})
	}
	long := func(f wire.Family, forwarding bool) wire.Capability {
		return wire.LongLived(wire.LongLivedFamily{Family: f, Forwarding: forwarding, StaleTime: time.Hour})
	}
	for _, r := range []struct {
		name string
		open []wire.Capability
		want []wire.Family
	}{
		{"nothing said", nil, nil},
		{"one of two", []wire.Capability{gr(wire.GracefulFamily{Family: v4, Forwarding: true}, wire.GracefulFamily{Family: v6})}, []wire.Family{v4}},
		{"long-lived alone", []wire.Capability{gr(), long(v4, true)}, []wire.Family{v4}},
		{"long-lived alone, not kept", []wire.Capability{gr(), long(v4, false)}, nil},
		{"long-lived without graceful restart is void", []wire.Capability{long(v4, true)}, nil},
		{"both, not kept", []wire.Capability{gr(wire.GracefulFamily{Family: v4}), long(v4, true)}, nil},
	} {
		if got := preserved(&wire.Open{Capabilities: r.open}); !slices.Equal(got, r.want) {
			t.Errorf("%s: %v, want %v", r.name, got, r.want)
		}
	}
}
