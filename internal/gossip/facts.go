package gossip

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/speaker"
)

// What a speaker tells of its node travels with its membership, in few octets:
//
//	version 1, flags, bound of the spread in hundredths (2 octets),
//	and for each link: its MAC (6), families (1), length of its name (1), its name
const (
	factsVersion = 1

	flagLeaving = 1 << 0
	flagSticky  = 1 << 1
	flagPartial = 1 << 2
	flagReady   = 1 << 3
	flagActing  = 1 << 4

	linkIPv4 = 1 << 0
	linkIPv6 = 1 << 1

	maxLinkName = 15 // IFNAMSIZ less its end
)

// encodeFacts leaves links out that do not fit limit octets.
func encodeFacts(f *speaker.Facts, limit int) []byte {
	out := []byte{factsVersion, 0, 0, 0}
	bound := math.Round(f.Policy.Spread * 100)
	binary.BigEndian.PutUint16(out[2:], uint16(max(0, min(bound, math.MaxUint16))))
	partial := f.Partial
	for _, l := range f.Links {
		if len(l.Name) > maxLinkName || len(out)+8+len(l.Name) > limit {
			partial = true
			continue
		}
		var families byte
		if l.IPv4 {
			families |= linkIPv4
		}
		if l.IPv6 {
			families |= linkIPv6
		}
		out = append(append(out, l.MAC[:]...), families, byte(len(l.Name)))
		out = append(out, l.Name...)
	}
	for _, flag := range []struct {
		is  bool
		bit byte
	}{{f.Leaving, flagLeaving}, {f.Policy.Sticky, flagSticky}, {partial, flagPartial}, {f.Ready, flagReady}, {f.Acting, flagActing}} {
		if flag.is {
			out[1] |= flag.bit
		}
	}
	return out
}

// decodeFacts returns nil for what another version may have written.
func decodeFacts(b []byte) *speaker.Facts {
	if len(b) < 4 || b[0] != factsVersion {
		return nil
	}
	f := &speaker.Facts{Leaving: b[1]&flagLeaving != 0, Partial: b[1]&flagPartial != 0}
	f.Ready, f.Acting = b[1]&flagReady != 0, b[1]&flagActing != 0
	f.Policy.Sticky = b[1]&flagSticky != 0
	f.Policy.Spread = float64(binary.BigEndian.Uint16(b[2:])) / 100
	for b = b[4:]; len(b) > 0; {
		if len(b) < 8 || len(b) < 8+int(b[7]) || b[7] > maxLinkName {
			return nil
		}
		name := b[8 : 8+b[7]]
		f.Links = append(f.Links, speaker.Link{
			MAC: layer2.MAC(b[:6]), IPv4: b[6]&linkIPv4 != 0, IPv6: b[6]&linkIPv6 != 0, Name: string(name),
		})
		b = b[8+len(name):]
	}
	return f
}

func sameFacts(a, b *speaker.Facts) bool {
	return a.Leaving == b.Leaving && a.Ready == b.Ready && a.Acting == b.Acting && a.Policy == b.Policy && a.Partial == b.Partial && slices.Equal(a.Links, b.Links)
}
