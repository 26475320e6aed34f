package rib

import "github.com/pharoslb/pharos/bgp/wire"

// leaks says that a route with such an ONLY_TO_CUSTOMER has no business coming from
// the source: it passed a provider or peer before, and whoever hears of it since may
// tell but his customers (RFC 9234 §5, on receipt 1 and 2).
func (s *Source) leaks(onlyToCustomer uint32) bool {
	if s.Role == nil || s.Internal || onlyToCustomer == 0 {
		return false
	}
	switch *s.Role {
	case wire.RoleProvider, wire.RoleRouteServer:
		return true
	case wire.RolePeer:
		return onlyToCustomer != s.AS
	}
	return false
}

// marks returns the ONLY_TO_CUSTOMER of a route from the source: that it came with,
// or what a route from a provider, peer or route server gets (RFC 9234 §5, on
// receipt 3).
func (s *Source) marks(onlyToCustomer uint32) uint32 {
	if s.Role == nil || s.Internal || onlyToCustomer != 0 {
		return onlyToCustomer
	}
	switch *s.Role {
	case wire.RoleCustomer, wire.RolePeer, wire.RoleRouteServerClient:
		return s.AS
	}
	return 0
}
