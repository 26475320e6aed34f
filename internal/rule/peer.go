package rule

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pharoslb/pharos"
)

// longest is what RFC 4271 §4.2 has room for, and any part of a second more.
const longest = 65536 * time.Second

// Seconds reads a time of 0 s to 65535 s.
func Seconds(text string) (time.Duration, *Fault) {
	d, err := time.ParseDuration(text)
	if err != nil {
		hint := "such as 90s or 1m30s"
		if _, err := strconv.Atoi(text); err == nil {
			hint = fmt.Sprintf("a unit is needed: %ss", text)
		} else if strings.TrimSpace(text) != text {
			hint = noBlanks
		}
		return 0, faultf(hint, "%s is not a duration", Quote(text))
	}
	return d, InSeconds(d)
}

// InSeconds refuses a time that is not within 0 s and 65535 s.
func InSeconds(d time.Duration) *Fault {
	if d < 0 || d >= longest {
		return faultf("", "%s is not within 0 s and 65535 s", d)
	}
	return nil
}

// Timers checks a peer's hold and keepalive time, nil where not given, against
// RFC 4271 and each other, and sets in the peer what they amount to. RFC 4271
// §4.2 counts seconds, so that parts of one are cut off. A keepalive time of
// nothing is none: a third of the hold time, or where it is alone no hold time
// either. The faults are of the hold time and of the keepalive time.
func Timers(peer *pharos.Peer, hold, keepalive *time.Duration) (ofHold, ofKeepalive *Fault) {
	h, k := seconds(hold), seconds(keepalive)
	switch {
	case h == nil && k != nil:
		threefold := 3 * *k // RFC 4271 §10: keepalive is a third of hold
		if threefold >= longest {
			return nil, faultf("give the hold time too", "a hold time three times as long does not fit")
		}
		h = &threefold
	case h != nil && *h != 0 && *h < 3*time.Second: // RFC 4271 §4.2: zero, or at least three seconds
		ofHold = faultf("", "%s is neither 0s nor 3s or more", *h)
	}
	if hold != nil && keepalive != nil && *keepalive > *hold {
		ofKeepalive = faultf("a third of it is usual", "%s is more than the hold time %s", *keepalive, *hold)
	}
	if k != nil && *k == 0 {
		k = nil
	}
	peer.HoldTime, peer.KeepaliveTime = h, k
	return ofHold, ofKeepalive
}

func seconds(d *time.Duration) *time.Duration {
	if d == nil {
		return nil
	}
	s := d.Truncate(time.Second)
	return &s
}

// SourceFamily refuses a source address of another family than the peer's; the
// zero Addr is one not given.
func SourceFamily(source, peer netip.Addr) *Fault {
	if source.IsValid() && peer.IsValid() && source.Is4() != peer.Is4() {
		return faultf("", "%s and the peer's address %s are of different families", source, peer)
	}
	return nil
}

// MultiHop refuses eBGP multihop for a peer that is not of eBGP. The hint names
// the fields that say so.
func MultiHop(peer *pharos.Peer, hint string) *Fault {
	if peer.EBGPMultiHop && (peer.DynamicAS == pharos.Internal || peer.LocalAS == peer.RemoteAS && peer.LocalAS != 0) {
		return faultf(hint, "makes no sense for an iBGP peer")
	}
	return nil
}

// asTrans stands for a number of more than 16 bits where there is no room for it
// (RFC 6793 §4.2.3).
const asTrans = 23456

// AS refuses the number of an autonomous system that nobody can be.
func AS(n uint32) *Fault {
	if n == asTrans {
		return faultf("", "%d is reserved (RFC 6793)", n)
	}
	return nil
}

// RouterID refuses a BGP identifier of zero (RFC 6286 §2.1).
func RouterID(a netip.Addr) *Fault {
	if a.IsValid() && a.IsUnspecified() {
		return faultf("leave it out", "%s identifies nobody", a)
	}
	return nil
}

// Password refuses one that is too long to sign with (TCP_MD5SIG_MAXKEYLEN).
func Password(text string) *Fault {
	if len(text) > 80 {
		return faultf("", "is longer than 80 bytes, more than TCP MD5 signatures take")
	}
	return nil
}
