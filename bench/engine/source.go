package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/pharoslb/pharos/bgp/wire"
)

// pack encodes UPDATEs, as full as they can be, and the End-of-RIB.
func pack(prefixes []netip.Prefix, as uint32, nextHop netip.Addr) ([]byte, error) {
	e := wire.Encoder{Session: wire.Session{AS4: true, Families: []wire.Family{wire.IPv4Unicast}}}
	octets, _, err := e.AppendReach(nil, &wire.Attrs{ASPath: wire.Sequence(as), NextHop: nextHop}, prefixes, nil)
	return wire.AppendEndOfRIB(octets, wire.IPv4Unicast), err
}

// send writes octets as fast as the daemon reads them.
func (s *session) send(ctx context.Context, octets []byte) error {
	defer s.while(ctx)()
	if _, err := s.conn.Write(octets); err != nil {
		return fmt.Errorf("send UPDATEs: %w", errors.Join(context.Cause(ctx), err))
	}
	return nil
}
