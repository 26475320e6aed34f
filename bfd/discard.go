package bfd

import "fmt"

// Discard is why a packet was not looked at any further. It is an error.
type Discard uint8

// Reasons, in the order in which they are looked for (RFC 5880 §6.8.6, RFC 5881 §5).
const (
	DiscardNone              Discard = iota
	DiscardTTL                       // time to live or hop limit below what the session allows
	DiscardShort                     // fewer octets than a control packet has
	DiscardVersion                   // not version 1
	DiscardLength                    // length below the least, or beyond the datagram
	DiscardDetectMult                // detect multiplier 0
	DiscardMultipoint                // multipoint bit set
	DiscardMyDiscriminator           // my discriminator 0
	DiscardYourDiscriminator         // your discriminator 0 in a state that has heard us
	DiscardAuthSection               // authentication section malformed
	DiscardNoSession                 // no session has the discriminator or the addresses
	DiscardAddress                   // the session of the discriminator is with somebody else
	DiscardAuthUnexpected            // signed, but the session has no authentication
	DiscardAuthMissing               // not signed, but the session has authentication
	DiscardAuthType                  // signed in another way, or one that is refused
	DiscardAuthKey                   // another key's number
	DiscardAuthDigest                // the digest is wrong: another key, or forged
	DiscardAuthSequence              // replayed, or the peer's numbers jumped
	DiscardEcho                      // echo packet that is not one of ours
	discards
)

var discardTexts = [discards]string{
	"none", "time to live too small", "too short", "version is not 1", "length does not fit", "detect multiplier is 0",
	"multipoint bit set", "my discriminator is 0", "your discriminator is 0 though the state is not Down",
	"authentication section malformed", "no such session", "the session is with another address",
	"authenticated, but the session has no authentication", "not authenticated, but the session has authentication",
	"authentication type is not the session's", "authentication key is not the session's",
	"authentication digest is wrong", "authentication sequence number out of range", "not an echo of ours",
}

// Error is a short constant phrase, fit for logs and metrics.
func (d Discard) Error() string {
	if int(d) < len(discardTexts) {
		return discardTexts[d]
	}
	return fmt.Sprintf("discard %d", uint8(d))
}

// String is Error.
func (d Discard) String() string { return d.Error() }

// Discards counts packets by why they were discarded.
type Discards [discards]uint64

// Total is the number of packets discarded.
func (d *Discards) Total() (n uint64) {
	for _, c := range d {
		n += c
	}
	return n
}
