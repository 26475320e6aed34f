package speaker

import (
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bgp/wire"
)

// A route says what MetalLB's nodes say of it; one of both times, what is
// preferred.
func TestOrigin(t *testing.T) {
	resource := &Offer{Advertisement: &pharos.Advertisement{IGP: true}}
	legacy := &Offer{Advertisement: &pharos.Advertisement{}}
	for _, c := range []struct {
		offers []*Offer
		want   wire.Origin
	}{
		{[]*Offer{resource}, wire.OriginIGP},
		{[]*Offer{legacy}, wire.OriginIncomplete},
		{[]*Offer{legacy, resource}, wire.OriginIGP},
		{[]*Offer{resource, legacy}, wire.OriginIGP},
	} {
		attrs := attrTable{}.next()
		if got := attrs.of(c.offers, false).Origin; got != c.want {
			t.Errorf("%d offers: %v, want %v", len(c.offers), got, c.want)
		}
	}
}
