package bgp

import "time"

// BFD is how the path to a peer is watched (RFC 5880, 5881, 5883). Zero values leave
// it to the Detector.
type BFD struct {
	// ReceiveInterval and TransmitInterval are the shortest pauses between packets
	// that we take and want to send; 10 ms to 60 s.
	ReceiveInterval, TransmitInterval time.Duration
	// Multiplier is after how many lost packets the path counts as dead; 2 to 255.
	Multiplier uint8
	// Echo asks for the echo function at EchoInterval, on single-hop sessions.
	Echo         bool
	EchoInterval time.Duration
	// Passive waits for the peer's first packet.
	Passive bool
	// MinTTL is the lowest time to live taken from a peer more than one hop away.
	MinTTL uint8
}

func (b *BFD) validate(bad func(format string, args ...any)) {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"receive", b.ReceiveInterval}, {"transmit", b.TransmitInterval}, {"echo", b.EchoInterval}} {
		if d.value != 0 && (d.value < 10*time.Millisecond || d.value > time.Minute) {
			bad("bfd %s interval %v is outside 10ms to 1m", d.name, d.value)
		}
	}
	if b.Multiplier == 1 {
		bad("bfd multiplier 1 is below 2: one lost packet would end the session")
	}
}

// Detector watches the paths to peers, and tells of a dead one by Server.PathDown.
type Detector interface {
	// Watch replaces the set of peers to be watched: those with BFD that are not shut
	// down, dynamic neighbors included. It returns at once and is never called twice
	// at the same time.
	Watch(peers []Config)
}
