package bgptcp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos/bgp"
)

// credential is what segments from an address are signed with: a password, TCP-AO
// keys, or nothing.
type credential struct {
	password string
	ao       []bgp.AOKey
}

func (c credential) none() bool { return c.password == "" && len(c.ao) == 0 }

func (c credential) equal(o credential) bool {
	return c.password == o.password && slices.Equal(c.ao, o.ao)
}

// prefixOf is the set of addresses a peer may come from.
func prefixOf(c *bgp.Config) netip.Prefix {
	if c.RemotePrefix.IsValid() {
		return c.RemotePrefix.Masked()
	}
	if !c.RemoteAddr.IsValid() {
		return netip.Prefix{}
	}
	return host(c.RemoteAddr)
}

// entry is a peer that a listener serves, or, if err is set, one it must not let in.
type entry struct {
	bgp.Config
	prefix netip.Prefix
	err    error
}

// plan sorts a listener's peers by whom a connection belongs to first, and says
// what the kernel shall have for their addresses. Peers whose signatures the kernel
// could not keep apart get an error: they must not come in unsigned.
func plan(peers []bgp.Config, v4 bool) (entries []entry, want map[netip.Prefix]credential) {
	want = make(map[netip.Prefix]credential)
	owner := make(map[netip.Prefix]string)
	for _, c := range peers {
		p := prefixOf(&c)
		if !p.IsValid() || p.Addr().Is4() != v4 || c.Device != "" { // those are only dialed
			continue
		}
		e := entry{Config: c, prefix: p}
		cred := credential{c.Password, c.AO}
		if other, ok := owner[p]; !ok {
			owner[p], want[p] = c.Name, cred
		} else if !want[p].equal(cred) {
			// Zones do not help: the kernel's keys have none.
			e.err = fmt.Errorf("peers %q and %q have one address and different passwords or keys", other, c.Name)
		}
		entries = append(entries, e)
	}
	// The kernel falls back on a shorter prefix's key: nobody in it goes unsigned.
	for i := range entries {
		e := &entries[i]
		if e.err != nil || !want[e.prefix].none() {
			continue
		}
		for p, cred := range want {
			if !cred.none() && p.Bits() < e.prefix.Bits() && p.Contains(e.prefix.Addr()) {
				e.err = fmt.Errorf("peer %q has no password or key, but is in the prefix of peer %q, which has", e.Name, owner[p])
				break
			}
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		switch {
		case a.prefix.Bits() != b.prefix.Bits():
			return b.prefix.Bits() - a.prefix.Bits()
		case a.LocalAddr.IsValid() != b.LocalAddr.IsValid():
			if a.LocalAddr.IsValid() {
				return -1
			}
			return 1
		}
		return 0
	})
	for p, cred := range want {
		if cred.none() {
			delete(want, p)
		}
	}
	return entries, want
}

// from says if a connection between two addresses is the peer's.
func (e *entry) from(local, remote netip.Addr) bool {
	if e.LocalAddr.IsValid() && e.LocalAddr.Unmap().WithZone("") != local.WithZone("") {
		return false
	}
	if e.RemotePrefix.IsValid() {
		return e.prefix.Contains(remote.WithZone(""))
	}
	return e.RemoteAddr.Unmap() == remote
}

// setKeys changes the socket's keys from those it has to those wanted. have is kept
// up to date; the errors are by prefix.
func setKeys(fd int, have, want map[netip.Prefix]credential) map[netip.Prefix]error {
	errs := make(map[netip.Prefix]error)
	for p, old := range have {
		now := want[p]
		if old.password != "" && now.password == "" {
			errs[p] = errors.Join(errs[p], setMD5(fd, p, ""))
		}
		for _, k := range old.ao {
			if !slices.Contains(now.ao, k) {
				errs[p] = errors.Join(errs[p], delAO(fd, p, idOf(k), nil))
			}
		}
		if now.none() {
			delete(have, p)
		}
	}
	for p, now := range want {
		old := have[p]
		var err error
		if now.password != "" && now.password != old.password {
			err = setMD5(fd, p, now.password)
		}
		got := credential{password: now.password}
		for _, k := range now.ao {
			if !slices.Contains(old.ao, k) {
				if e := addAO(fd, p, k, false); e != nil {
					err = errors.Join(err, e)
					continue
				}
			}
			got.ao = append(got.ao, k)
		}
		if err != nil {
			errs[p] = errors.Join(errs[p], err)
			got.password = old.password
		}
		have[p] = got
	}
	for p, err := range errs {
		if err == nil {
			delete(errs, p)
		}
	}
	return errs
}
