package bfd

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"log/slog"
)

// AuthType is a kind of authentication (RFC 5880 §4.1). The values are the wire's.
type AuthType uint8

// Kinds of authentication. Only the two with SHA-1 can be configured: a simple
// password is readable by whoever it should keep out, and MD5 is weaker at the
// same cost.
const (
	AuthNone AuthType = iota
	AuthSimplePassword
	AuthKeyedMD5
	AuthMeticulousMD5
	AuthKeyedSHA1
	AuthMeticulousSHA1
)

var authNames = [...]string{"none", "simple password", "keyed MD5", "meticulous keyed MD5", "keyed SHA-1", "meticulous keyed SHA-1"}

// String returns the RFC's words.
func (t AuthType) String() string {
	if int(t) < len(authNames) {
		return authNames[t]
	}
	return fmt.Sprintf("authentication type %d", uint8(t))
}

// Auth is how a session's packets are signed. Both ends need the same.
type Auth struct {
	// Type is AuthKeyedSHA1 or AuthMeticulousSHA1. The latter numbers every packet
	// anew, so that none can be replayed, and costs the same; some peers have only
	// the former.
	Type  AuthType
	KeyID uint8
	// Key is 1 to 20 octets long (RFC 5880 §4.4). It is never printed or logged.
	Key string
}

// String tells kind and number, never the key.
func (a *Auth) String() string {
	if a == nil {
		return AuthNone.String()
	}
	return fmt.Sprintf("%s, key %d", a.Type, a.KeyID)
}

// GoString is String, so that %#v hides the key as well.
func (a *Auth) GoString() string { return a.String() }

// LogValue hides the key from log/slog.
func (a *Auth) LogValue() slog.Value { return slog.StringValue(a.String()) }

// MarshalText hides the key from encoders.
func (a *Auth) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

const (
	digestLen   = sha1.Size
	sha1AuthLen = 8 + digestLen // §4.4
	md5AuthLen  = 8 + 16        // §4.3
	digestAt    = headerLen + 8 // in a packet with SHA-1
)

// AuthSection is a packet's authentication section (RFC 5880 §4.2 to §4.4).
type AuthSection struct {
	Type  AuthType
	KeyID uint8
	// Sequence is the packet's number; 0 with a simple password.
	Sequence uint32
}

// decode reads a section; b ends where the packet does. The digest is left to
// verify.
func (a *AuthSection) decode(b []byte) error {
	length := int(b[1])
	if length < 2 || length > len(b) {
		return DiscardAuthSection
	}
	a.Type = AuthType(b[0])
	switch a.Type {
	case AuthKeyedSHA1, AuthMeticulousSHA1:
		if length != sha1AuthLen || len(b) != sha1AuthLen { // §6.7.4
			return DiscardAuthSection
		}
	case AuthKeyedMD5, AuthMeticulousMD5:
		if length != md5AuthLen {
			return DiscardAuthSection
		}
	case AuthSimplePassword:
		if length < 4 || length > 19 { // §4.2: 1 to 16 octets of password
			return DiscardAuthSection
		}
		a.KeyID = b[2]
		return nil
	default:
		return DiscardAuthType
	}
	a.KeyID, a.Sequence = b[2], binary.BigEndian.Uint32(b[4:])
	return nil
}

// append writes a section of SHA-1 with room for the digest.
func (a *AuthSection) append(dst []byte) []byte {
	dst = append(dst, uint8(a.Type), sha1AuthLen, a.KeyID, 0)
	dst = binary.BigEndian.AppendUint32(dst, a.Sequence)
	return append(dst, make([]byte, digestLen)...)
}

// sign fills in the digest of a whole packet (RFC 5880 §6.7.4).
func sign(packet []byte, key []byte) {
	sum := digest(packet, key)
	copy(packet[digestAt:], sum[:])
}

// digest is SHA-1 over the packet with the key, padded with zeros, where the
// digest goes.
func digest(packet []byte, key []byte) [digestLen]byte {
	var b [headerLen + sha1AuthLen]byte
	copy(b[:digestAt], packet)
	copy(b[digestAt:], key)
	return sha1.Sum(b[:])
}

// verify checks type, key and digest of a packet as received; raw is what p was
// decoded from. A nil Auth expects none. Sequence numbers are the machine's.
func (a *Auth) verify(p *Packet, raw []byte) Discard {
	switch t := p.Auth.Type; {
	case a == nil && t == AuthNone:
		return DiscardNone
	case a == nil:
		return DiscardAuthUnexpected // §6.8.6: A bit without bfd.AuthType
	case t == AuthNone:
		return DiscardAuthMissing
	case t != a.Type:
		return DiscardAuthType
	case p.Auth.KeyID != a.KeyID:
		return DiscardAuthKey
	}
	if len(raw) < digestAt+digestLen {
		return DiscardAuthSection
	}
	var key [digestLen]byte
	want := digest(raw, key[:copy(key[:], a.Key)])
	if subtle.ConstantTimeCompare(want[:], raw[digestAt:digestAt+digestLen]) != 1 {
		return DiscardAuthDigest
	}
	return DiscardNone
}
