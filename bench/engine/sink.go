package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// tally is what a sink has counted.
type tally struct {
	updates   int // with prefixes in them
	announced int
	withdrawn int
	last      time.Time // when the last octet of them was read
}

// count reads until that many prefixes have been announced. It decodes nothing but
// lengths.
func (s *session) count(ctx context.Context, prefixes int) (tally, error) {
	defer s.while(ctx)()
	var t tally
	buf := make([]byte, 1<<20)
	have := 0
	for t.announced < prefixes {
		n, err := s.conn.Read(buf[have:])
		now := time.Now()
		if err != nil {
			return t, fmt.Errorf("%d of %d prefixes came: %w", t.announced, prefixes, errors.Join(context.Cause(ctx), err))
		}
		have += n
		rest := buf[:have]
		for len(rest) >= wire.HeaderLen {
			size := int(binary.BigEndian.Uint16(rest[16:]))
			if size < wire.HeaderLen {
				return t, fmt.Errorf("a message of %d octets", size)
			}
			if len(rest) < size {
				break
			}
			switch wire.MessageType(rest[18]) {
			case wire.TypeUpdate:
				if t.update(rest[wire.HeaderLen:size]) {
					t.last = now
				}
			case wire.TypeNotification:
				return t, errors.New("the daemon closed the session with NOTIFICATION")
			}
			rest = rest[size:]
		}
		have = copy(buf, rest)
	}
	return t, nil
}

// update counts the IPv4 prefixes of an UPDATE.
func (t *tally) update(body []byte) bool {
	withdrawn, rest, ok := field(body)
	if !ok {
		return false
	}
	_, nlri, ok := field(rest)
	if !ok {
		return false
	}
	a, w := prefixes(nlri), prefixes(withdrawn)
	t.announced += a
	t.withdrawn += w
	if a+w == 0 {
		return false // End-of-RIB
	}
	t.updates++
	return true
}

// field cuts off a field that two octets of length go before.
func field(b []byte) (in, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	if len(b) < n {
		return nil, nil, false
	}
	return b[2:n], b[n:], true
}

func prefixes(b []byte) (n int) {
	for len(b) > 0 {
		b = b[min(len(b), 1+(int(b[0])+7)/8):]
		n++
	}
	return n
}
