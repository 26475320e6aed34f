package bgp

import (
	"errors"
	"fmt"
	"slices"
)

// AOAlgorithm is a message authentication code of TCP-AO with the length it is cut
// to, in octets of the name's last number divided by 8 (RFC 5926).
type AOAlgorithm string

// Algorithms. RFC 5926 §3.2 obliges every implementation to know the first two.
const (
	HMACSHA1   AOAlgorithm = "hmac-sha-1-96"
	AES128CMAC AOAlgorithm = "aes-128-cmac-96"
	HMACSHA256 AOAlgorithm = "hmac-sha-256-96"
)

// maxAOSecret is the longest key the kernel takes (TCP_AO_MAXKEYLEN).
const maxAOSecret = 80

// AOKey is a Master Key Tuple of TCP-AO (RFC 5925 §3.1). Printed or marshaled, it
// does not show its Secret.
type AOKey struct {
	// SendID goes into segments that we sign with this key, RecvID is in those
	// that the peer signs with it: the peer has the two the other way round.
	SendID, RecvID uint8
	// Algorithm signs; empty means HMACSHA1.
	Algorithm AOAlgorithm
	// Secret is the master key, 1..80 octets.
	Secret string `json:"-" yaml:"-"`
	// ExcludeOptions leaves TCP options other than TCP-AO out of what is signed,
	// for paths with boxes that change them (RFC 5925 §9.2); both sides must agree.
	ExcludeOptions bool
}

// Format prints the key for every verb, without its secret.
func (k AOKey) Format(w fmt.State, _ rune) {
	fmt.Fprintf(w, "{SendID:%d RecvID:%d Algorithm:%s ExcludeOptions:%t}", k.SendID, k.RecvID, k.algorithm(), k.ExcludeOptions)
}

func (k AOKey) algorithm() AOAlgorithm {
	if k.Algorithm == "" {
		return HMACSHA1
	}
	return k.Algorithm
}

// validateAO says what makes the keys unusable.
func (c *Config) validateAO() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.AO) > 0 && c.Password != "" {
		bad("both a password (TCP MD5) and TCP-AO keys: a connection is signed in one way (RFC 5925 §1)")
	}
	var send, recv [256]bool
	for i, k := range c.AO {
		if send[k.SendID] {
			bad("two TCP-AO keys have SendID %d (RFC 5925 §3.1)", k.SendID)
		}
		if recv[k.RecvID] {
			bad("two TCP-AO keys have RecvID %d (RFC 5925 §3.1)", k.RecvID)
		}
		send[k.SendID], recv[k.RecvID] = true, true
		if a := k.algorithm(); a != HMACSHA1 && a != AES128CMAC && a != HMACSHA256 {
			bad("TCP-AO key %d: algorithm %q is none of %s, %s, %s", i+1, a, HMACSHA1, AES128CMAC, HMACSHA256)
		}
		if n := len(k.Secret); n == 0 || n > maxAOSecret {
			bad("TCP-AO key %d: secret of %d octets is not 1..%d long", i+1, n, maxAOSecret)
		}
	}
	return errors.Join(errs...)
}

// normalAO returns keys that share nothing with the caller, defaults filled in.
func normalAO(keys []AOKey) []AOKey {
	keys = slices.Clone(keys)
	for i := range keys {
		keys[i].Algorithm = keys[i].algorithm()
	}
	return keys
}

// withoutSecrets is what Status may show of the configuration.
func (c Config) withoutSecrets() Config {
	c.Password = ""
	c.AO = slices.Clone(c.AO)
	for i := range c.AO {
		c.AO[i].Secret = ""
	}
	if c.BFD != nil && c.BFD.Auth != nil {
		bfd := *c.BFD
		bfd.Auth = clonePtr(bfd.Auth)
		bfd.Auth.Key = ""
		c.BFD = &bfd
	}
	return c
}
