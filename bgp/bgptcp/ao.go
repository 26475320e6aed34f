package bgptcp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/bgp"
)

// ErrNoAO says that the kernel has no TCP-AO: it is older than Linux 6.7 or was
// built without.
var ErrNoAO = errors.New("the kernel has no TCP-AO (Linux 6.7 with CONFIG_TCP_AO)")

// aoMACLen is the length of the codes of all of bgp's algorithms.
const aoMACLen = 96 / 8

// kernelAlgorithm is what the kernel's crypto layer calls an algorithm. aes128
// makes it derive the key as RFC 5926 §3.1.1.2 says if the secret is not 16 octets
// long.
var kernelAlgorithm = map[bgp.AOAlgorithm]string{
	"":             "hmac(sha1)",
	bgp.HMACSHA1:   "hmac(sha1)",
	bgp.AES128CMAC: "cmac(aes128)",
	bgp.HMACSHA256: "hmac(sha256)",
}

// aoID tells the keys for one peer apart (RFC 5925 §3.1).
type aoID struct{ send, recv uint8 }

func idOf(k bgp.AOKey) aoID { return aoID{k.SendID, k.RecvID} }

// addAO gives the socket a key for a prefix's hosts. first makes it, on a socket
// that is not connected yet, the one to sign with and to ask for.
func addAO(fd int, peers netip.Prefix, k bgp.AOKey, first bool) error {
	add := aoAdd{
		Addr: storage(peers.Addr()), Prefix: uint8(peers.Bits()),
		SendID: k.SendID, RecvID: k.RecvID, MACLen: aoMACLen, KeyLen: uint8(len(k.Secret)),
	}
	name, ok := kernelAlgorithm[k.Algorithm]
	if !ok || len(k.Secret) > len(add.Key) {
		return fmt.Errorf("TCP-AO key %d/%d is not valid", k.SendID, k.RecvID)
	}
	copy(add.Algorithm[:], name)
	copy(add.Key[:], k.Secret)
	defer clear(add.Key[:])
	if first {
		add.Flags = aoSetCurrent | aoSetRNext
	}
	if k.ExcludeOptions {
		add.KeyFlags |= unix.TCP_AO_KEYF_EXCLUDE_OPT
	}
	err := setStruct(fd, tcpAOAddKey, &add)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOPROTOOPT):
		return ErrNoAO
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("add TCP-AO key %d/%d: the kernel has no %s", k.SendID, k.RecvID, name)
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("add TCP-AO key %d/%d: a key for overlapping addresses has one of its IDs (RFC 5925 §3.1): %w", k.SendID, k.RecvID, err)
	case errors.Is(err, unix.EKEYREJECTED):
		return fmt.Errorf("add TCP-AO key %d/%d: a password (TCP MD5) covers the address, too: %w", k.SendID, k.RecvID, err)
	}
	return fmt.Errorf("add TCP-AO key %d/%d: %w", k.SendID, k.RecvID, err)
}

// delAO takes a key from the socket; one that is not there is fine. A connection
// that signs with it, or asks for it, is told to use next instead.
func delAO(fd int, peers netip.Prefix, id aoID, next *aoID) error {
	del := aoDel{Addr: storage(peers.Addr()), Prefix: uint8(peers.Bits()), SendID: id.send, RecvID: id.recv}
	err := setStruct(fd, tcpAODelKey, &del)
	if errors.Is(err, unix.EBUSY) && next != nil {
		del.Flags, del.Current, del.RNext = aoSetCurrent|aoSetRNext, next.send, next.recv
		err = setStruct(fd, tcpAODelKey, &del)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove TCP-AO key %d/%d: %w", id.send, id.recv, err)
	}
	return nil
}

// preferAO makes a connection ask the peer for a key (RNextKeyID, RFC 5925 §6.1),
// and drop what is not signed.
func preferAO(fd int, id aoID) error {
	info := aoInfo{Flags: aoSetRNext | aoRequired, RNext: id.recv}
	if err := setStruct(fd, tcpAOInfo, &info); err != nil {
		return fmt.Errorf("ask for TCP-AO key %d/%d: %w", id.send, id.recv, err)
	}
	return nil
}

// maxKeys bounds what a socket is asked for: the IDs are octets, and none may be
// there twice.
const maxKeys = 256

// syncAO makes the keys of a connection to remote be those wanted, the first being
// the one to ask for. A connection that is not signed with any is an error.
func syncAO(fd int, remote netip.Addr, want []bgp.AOKey) error {
	have, _, err := getKeys(fd, maxKeys)
	switch {
	case errors.Is(err, unix.ENOENT):
		return errors.New("the connection is not signed with TCP-AO")
	case errors.Is(err, unix.ENOPROTOOPT):
		return ErrNoAO
	case err != nil:
		return fmt.Errorf("list TCP-AO keys: %w", err)
	}
	defer clear(have)
	ids := make([]aoID, len(have))
	for i, k := range have {
		ids[i] = aoID{k.SendID, k.RecvID}
	}
	add, del, err := planAO(ids, want)
	if err != nil {
		return err
	}
	for _, k := range add {
		if err := addAO(fd, host(remote), k, false); err != nil {
			return err
		}
	}
	next := idOf(want[0])
	if err := preferAO(fd, next); err != nil {
		return err
	}
	for _, i := range del {
		peers := netip.PrefixFrom(fromStorage(&have[i].Addr), int(have[i].Prefix))
		if err := delAO(fd, peers, ids[i], &next); err != nil {
			return err
		}
	}
	return nil
}

// planAO says which keys a connection lacks, and which of those it has (by index)
// it shall not have. Keys that share one ID but not the other cannot be there at
// once.
func planAO(have []aoID, want []bgp.AOKey) (add []bgp.AOKey, del []int, err error) {
	if len(want) == 0 {
		return nil, nil, errors.New("no TCP-AO key is left")
	}
	for _, k := range want {
		if slices.Contains(have, idOf(k)) {
			continue
		}
		if slices.ContainsFunc(have, func(h aoID) bool { return h.send == k.SendID || h.recv == k.RecvID }) {
			return nil, nil, fmt.Errorf("TCP-AO key %d/%d has one of the IDs of a key in use", k.SendID, k.RecvID)
		}
		add = append(add, k)
	}
	for i, h := range have {
		if !slices.ContainsFunc(want, func(k bgp.AOKey) bool { return idOf(k) == h }) {
			del = append(del, i)
		}
	}
	return add, del, nil
}

// changedUnderID finds a key that is another in two sets, under the same IDs.
func changedUnderID(old, new []bgp.AOKey) (aoID, bool) {
	for _, k := range new {
		if slices.ContainsFunc(old, func(o bgp.AOKey) bool { return idOf(o) == idOf(k) && o != k }) {
			return idOf(k), true
		}
	}
	return aoID{}, false
}
