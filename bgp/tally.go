package bgp

import (
	"sync/atomic"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// tally counts a neighbor's messages; it is written by readers and writers and
// read by Status.
type tally struct {
	received, sent direction
	outQueue       atomic.Int64 // octets that the socket has yet to take
}

type direction struct {
	types [wire.TypeRouteRefresh + 1]atomic.Uint64
	bytes atomic.Uint64
	last  atomic.Int64 // unix nanoseconds; 0: never
}

func (d *direction) count(t wire.MessageType) { d.add(t, 1) }

func (d *direction) add(t wire.MessageType, n uint64) { d.types[t].Add(n) }

func (d *direction) touch() { d.last.Store(time.Now().UnixNano()) }

func (d *direction) messages() Messages {
	return Messages{
		Opens:          d.types[wire.TypeOpen].Load(),
		Updates:        d.types[wire.TypeUpdate].Load(),
		Notifications:  d.types[wire.TypeNotification].Load(),
		Keepalives:     d.types[wire.TypeKeepalive].Load(),
		RouteRefreshes: d.types[wire.TypeRouteRefresh].Load(),
		Bytes:          d.bytes.Load(),
	}
}

func (d *direction) lastTime() time.Time {
	n := d.last.Load()
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}
