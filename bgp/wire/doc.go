// Package wire is the BGP-4 codec: it turns octets into messages and messages into octets.
//
// It does not dial, keep sessions, run timers, hold routes or choose paths; it has no goroutines, no clock and
// no logger. Everything it reads is taken to be hostile: memory is bounded by the size of one message, nothing
// panics, and each malformation has one typed answer.
//
//	octets ──Reader.Next──▶ Message{Type, Body}      marker, length and type are checked before the body is read
//	                            │
//	        ┌─────────┬─────────┼──────────────┬────────────────────┐
//	    DecodeOpen  Session.DecodeUpdate  DecodeNotification  DecodeRouteRefresh
//	        │         │
//	       Open     Update + Report ─▶ accept │ attribute-discard │ treat-as-withdraw │ session-reset (RFC 7606)
//
//	values ──AppendOpen, AppendKeepalive, AppendNotification, AppendRouteRefresh, AppendEndOfRIB─▶ octets
//	Attrs + many prefixes ──Encoder.AppendReach, Encoder.AppendWithdraw─▶ as few UPDATEs as they fit in
//
// A [Session] is what the two OPENs agreed on ([Negotiate]); decoding and encoding of an UPDATE depend on it.
//
// Pages: RFC 4271 §4 and §6 (formats, errors), RFC 7606 (errors in UPDATE), RFC 4760 (multiprotocol), RFC 6793
// (four-octet AS), RFC 5492 and RFC 9072 (capabilities, long OPENs), RFC 2918 and RFC 7313 (route refresh),
// RFC 4724, 8538 and 9494 (graceful restart, End-of-RIB), RFC 7911 (several paths to one prefix), RFC 1997, 4360
// and 8092 (communities), RFC 4456 (reflection), RFC 9234 (roles), RFC 8950 (IPv4 over an IPv6 next hop), RFC 8654
// (long messages), RFC 4486, 6608, 9003 and 9384 (NOTIFICATION), RFC 6286 (identifier), RFC 7607 (AS 0).
//
// Invariants:
//   - Nothing decoded aliases the input; the caller may reuse its buffer at once. Message.Body alone lives only
//     until the next Reader.Next.
//   - An Update is safe to apply whatever its Report says: prefixes to be treated as withdrawn have been moved to
//     Withdrawn, discarded attributes are absent, and after a session reset it is empty.
//   - Path identifiers stay beside their prefixes: whatever moves or drops a prefix does the same to its identifier.
//   - Errors that must be told to the peer are *Notification values, ready to be sent.
//   - In steady state neither decoding into a reused Update nor encoding into a reused buffer allocates.
//
// Start reading at [Session.DecodeUpdate] and [Encoder.AppendReach].
package wire
