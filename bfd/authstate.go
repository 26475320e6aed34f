package bfd

import "time"

// authState is the sequence numbers of a session (RFC 5880 §6.8.1).
type authState struct {
	sent     uint32 // bfd.XmitAuthSeq
	received uint32 // bfd.RcvAuthSeq
	known    bool   // bfd.AuthSeqKnown
	// forgetAt is when the peer's number is not known any more: after twice the
	// detection time without a packet.
	forgetAt time.Time
}

// check looks at the sequence number of a packet whose digest is right (§6.7.3,
// §6.7.4): not older than the last, newer if meticulous, and not far ahead.
func (s *authState) check(a *Auth, p *Packet, at time.Time) Discard {
	if a == nil {
		return DiscardNone
	}
	if s.known && due(s.forgetAt, at) {
		s.known = false
	}
	if s.known {
		ahead := p.Auth.Sequence - s.received // circular
		if ahead > 3*uint32(p.DetectMult) || ahead == 0 && a.Type == AuthMeticulousSHA1 {
			return DiscardAuthSequence
		}
	}
	s.known, s.received = true, p.Auth.Sequence
	return DiscardNone
}

// differs tells if packets of one are not the other's.
func (a *Auth) differs(b *Auth) bool {
	return (a == nil) != (b == nil) || a != nil && *a != *b
}
