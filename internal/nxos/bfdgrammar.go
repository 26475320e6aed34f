package nxos

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pharoslb/pharos/bfd"
)

// addBFD adds the lines about BFD of all modes.
func addBFD(g modes) {
	const (
		interval = "interval <milliseconds> min_rx <milliseconds> multiplier <multiplier>"
		key      = "key-id <key-id> key <word>"
		hexKey   = "key-id <key-id> hex-key <word>"
	)
	g[global].add("bfd "+interval, func(p *parser, args []string) error { p.config.BFD = bfdTimers(args); return nil })

	i := g[inInterface]
	i.add("bfd "+interval, func(p *parser, args []string) error { p.iface.BFD = bfdTimers(args); return nil })
	i.add("bfd echo", func(p *parser, _ []string) error { p.iface.Echo = true; return nil })
	i.add("no bfd echo", func(p *parser, _ []string) error { p.iface.Echo = false; return nil })

	n := g[inNeighbor]
	// watch makes an action of one that changes what is said of a neighbor's BFD.
	watch := func(change func(b *NeighborBFD)) action {
		return func(p *parser, _ []string) error {
			if p.neighbor.BFD == nil {
				p.neighbor.BFD = &NeighborBFD{}
			}
			p.neighbor.lines["bfd"] = p.line
			change(p.neighbor.BFD)
			return nil
		}
	}
	n.add("bfd", watch(func(*NeighborBFD) {}))
	n.add("bfd singlehop", watch(func(b *NeighborBFD) { *b = NeighborBFD{} }))
	n.add("bfd multihop", watch(func(b *NeighborBFD) { b.Multihop = true }))
	n.add("bfd multihop "+interval, func(p *parser, args []string) error {
		return watch(func(b *NeighborBFD) { b.Multihop, b.Timers = true, bfdTimers(args) })(p, nil)
	})

	hidden := func(*parser, []string) error {
		return errors.New("the key is hidden and cannot be read\nwrite key TEXT in place of hex-key")
	}
	for _, signed := range []struct {
		word string
		kind bfd.AuthType
	}{{"keyed-sha1", bfd.AuthKeyedSHA1}, {"meticulous-keyed-sha1", bfd.AuthMeticulousSHA1}} {
		i.add("bfd authentication "+signed.word+" "+hexKey, hidden)
		i.add("bfd authentication "+signed.word+" "+key, func(p *parser, args []string) (err error) {
			p.iface.BFDKey, err = bfdKey(signed.kind, args)
			return err
		})
		n.add("bfd multihop authentication "+signed.word+" "+hexKey, hidden)
		n.add("bfd multihop authentication "+signed.word+" "+key, func(p *parser, args []string) error {
			k, err := bfdKey(signed.kind, args)
			if err != nil {
				return err
			}
			return watch(func(b *NeighborBFD) { b.Multihop, b.Key = true, k })(p, nil)
		})
	}
}

func bfdTimers(args []string) *BFDTimers {
	ms := func(s string) time.Duration { return time.Duration(atoi(s)) * time.Millisecond }
	return &BFDTimers{ms(args[0]), ms(args[1]), uint8(atoi(args[2]))}
}

// maxBFDKey is the longest key of keyed SHA-1 (RFC 5880 §4.4).
const maxBFDKey = 20

func bfdKey(kind bfd.AuthType, args []string) (*BFDKey, error) {
	text := strings.Trim(args[1], `"`)
	if text == "" || len(text) > maxBFDKey {
		return nil, fmt.Errorf("a key of BFD has 1 to %d octets", maxBFDKey)
	}
	return &BFDKey{kind, uint8(atoi(args[0])), text}, nil
}

// text is the line that says it, without the key itself.
func (k *BFDKey) text() string {
	word := map[bfd.AuthType]string{bfd.AuthKeyedSHA1: "Keyed-SHA1", bfd.AuthMeticulousSHA1: "Meticulous-Keyed-SHA1"}[k.Type]
	return fmt.Sprintf("authentication %s key-id %d hex-key ********", word, k.ID)
}

func (t *BFDTimers) text() string {
	return fmt.Sprintf("interval %d min_rx %d multiplier %d", t.Transmit/time.Millisecond, t.Receive/time.Millisecond, t.Multiplier)
}
