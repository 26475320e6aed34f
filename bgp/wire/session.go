package wire

import "slices"

// Session is what the reading and writing of UPDATEs depends on: the outcome of the OPEN exchange and the kind of
// peer. The zero value is an external session with two-octet AS numbers and no families.
type Session struct {
	// AS4 says that both sides announced four-octet AS numbers (RFC 6793 §4.1).
	AS4 bool
	// Internal says that the peer is in our own AS. It decides about LOCAL_PREF, ORIGINATOR_ID and CLUSTER_LIST.
	Internal bool
	// Families that both sides announced. Routes of any other are ignored on receipt and refused on sending.
	Families []Family
	// ExtendedNextHop says that IPv4 unicast routes may have an IPv6 next hop (RFC 8950).
	ExtendedNextHop bool
	// AddPathReceive are the families whose routes the peer sends with path identifiers, AddPathSend those whose
	// routes we send with them (RFC 7911 §3); both are among Families.
	AddPathReceive, AddPathSend []Family
	// EnhancedRefresh says that both sides mark where the answer to a route refresh begins and ends (RFC 7313).
	EnhancedRefresh bool
	// MaxLen is the largest UPDATE in octets, header included; 0 means MaxLen (4096).
	MaxLen int
	// FirstAS, when not 0, is the AS number an external peer's AS_PATH has to begin with (RFC 4271 §6.3).
	FirstAS uint32
}

// Has tells if a family was negotiated.
func (s *Session) Has(f Family) bool { return slices.Contains(s.Families, f) }

func (s *Session) maxLen() int {
	if s.MaxLen == 0 {
		return MaxLen
	}
	return s.MaxLen
}

// Negotiate returns what the OPEN we sent and the one we received agree on. Internal follows from the two AS
// numbers. FirstAS is left for the caller to ask for.
func Negotiate(sent, received *Open) Session {
	_, ours := sent.FourOctetAS()
	_, theirs := received.FourOctetAS()
	s := Session{
		AS4:             ours && theirs,
		Internal:        sent.PeerAS() == received.PeerAS(),
		ExtendedNextHop: sent.extendedNextHop() && received.extendedNextHop(),
		EnhancedRefresh: sent.Has(CapEnhancedRouteRefresh) && received.Has(CapEnhancedRouteRefresh),
		MaxLen:          MaxLen,
	}
	if sent.Has(CapExtendedMessage) && received.Has(CapExtendedMessage) {
		s.MaxLen = MaxExtendedLen
	}
	remote := received.Families()
	for _, f := range sent.Families() {
		if slices.Contains(remote, f) {
			s.Families = append(s.Families, f)
		}
	}
	s.AddPathReceive = addPathFamilies(s.Families, received, sent)
	s.AddPathSend = addPathFamilies(s.Families, sent, received)
	return s
}
