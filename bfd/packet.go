package bfd

import (
	"encoding/binary"
	"fmt"
	"time"
)

// State is a session's state (RFC 5880 §4.1, §6.2). The values are the wire's.
type State uint8

// States.
const (
	AdminDown State = iota // held down by an operator
	Down
	Init // the peer was heard; whether it hears us is not known
	Up
)

var stateNames = [...]string{"AdminDown", "Down", "Init", "Up"}

// String returns the RFC's name.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Diag is the reason a system gives for the last change of its state (RFC 5880
// §4.1, diagnostic). The values are the wire's, 0..31.
type Diag uint8

// Diagnostics.
const (
	DiagNone Diag = iota
	DiagDetectionExpired
	DiagEchoFailed
	DiagNeighborDown
	DiagForwardingReset
	DiagPathDown
	DiagConcatenatedPathDown
	DiagAdminDown
	DiagReverseConcatenatedPathDown
)

var diagNames = [...]string{
	"no diagnostic", "control detection time expired", "echo function failed", "neighbor signaled session down",
	"forwarding plane reset", "path down", "concatenated path down", "administratively down",
	"reverse concatenated path down",
}

// String returns the RFC's words.
func (d Diag) String() string {
	if int(d) < len(diagNames) {
		return diagNames[d]
	}
	return fmt.Sprintf("diagnostic %d", uint8(d))
}

const (
	version = 1
	// headerLen is the mandatory section (RFC 5880 §4.1).
	headerLen = 24
	// MaxPacketLen is the longest control packet: its length is one octet.
	MaxPacketLen = 255
)

// Bits of the second octet, below the state.
const (
	bitPoll uint8 = 1 << (5 - iota)
	bitFinal
	bitControlPlane
	bitAuth
	bitDemand
	bitMultipoint
)

// Packet is a BFD control packet (RFC 5880 §4.1).
type Packet struct {
	Diag  Diag
	State State
	// Poll asks the receiver to answer at once with Final set.
	Poll, Final bool
	// ControlPlaneIndependent says that the sender's BFD does not share the fate of
	// its control plane.
	ControlPlaneIndependent bool
	// Demand says that the sender does not want periodic packets while both ends
	// are Up.
	Demand     bool
	DetectMult uint8 // 1..255
	// MyDiscriminator is the sender's name for the session, never 0;
	// YourDiscriminator is what the sender heard from the receiver, 0 if nothing.
	MyDiscriminator, YourDiscriminator uint32
	// DesiredMinTx is the least interval at which the sender would send,
	// RequiredMinRx the least at which it can receive (0: it wants no periodic
	// packets), RequiredMinEchoRx the least between echo packets that it can loop
	// back (0: none). The wire has whole microseconds, up to some 71 minutes.
	DesiredMinTx, RequiredMinRx, RequiredMinEchoRx time.Duration
	// Auth is the authentication section; its type is AuthNone if there is none.
	Auth AuthSection
}

// Decode reads a control packet and makes the checks of RFC 5880 §6.8.6 that need
// no session. Octets beyond the packet's own length are ignored. The error is a
// Discard. Nothing of the result aliases b.
func Decode(b []byte) (Packet, error) {
	if len(b) < headerLen {
		return Packet{}, DiscardShort
	}
	flags, length := b[1], int(b[3])
	least := headerLen
	if flags&bitAuth != 0 {
		least += 2
	}
	p := Packet{
		Diag:                    Diag(b[0] & 0x1f),
		State:                   State(flags >> 6),
		Poll:                    flags&bitPoll != 0,
		Final:                   flags&bitFinal != 0,
		ControlPlaneIndependent: flags&bitControlPlane != 0,
		Demand:                  flags&bitDemand != 0,
		DetectMult:              b[2],
		MyDiscriminator:         binary.BigEndian.Uint32(b[4:]),
		YourDiscriminator:       binary.BigEndian.Uint32(b[8:]),
		DesiredMinTx:            micros(b[12:]),
		RequiredMinRx:           micros(b[16:]),
		RequiredMinEchoRx:       micros(b[20:]),
	}
	switch { // in the order of §6.8.6
	case b[0]>>5 != version:
		return Packet{}, DiscardVersion
	case length < least, length > len(b):
		return Packet{}, DiscardLength
	case p.DetectMult == 0:
		return Packet{}, DiscardDetectMult
	case flags&bitMultipoint != 0:
		return Packet{}, DiscardMultipoint
	case p.MyDiscriminator == 0:
		return Packet{}, DiscardMyDiscriminator
	case p.YourDiscriminator == 0 && p.State != Down && p.State != AdminDown:
		return Packet{}, DiscardYourDiscriminator
	}
	if flags&bitAuth != 0 {
		if err := p.Auth.decode(b[headerLen:length]); err != nil {
			return Packet{}, err
		}
	}
	return p, nil
}

// Append writes the packet behind dst, signed with key if the packet has an
// authentication section of SHA-1. It allocates only where dst is too small.
func (p *Packet) Append(dst []byte, key []byte) []byte {
	start := len(dst)
	flags := uint8(p.State) << 6
	for _, f := range [...]struct {
		set bool
		bit uint8
	}{
		{p.Poll, bitPoll}, {p.Final, bitFinal}, {p.ControlPlaneIndependent, bitControlPlane},
		{p.Auth.Type != AuthNone, bitAuth}, {p.Demand, bitDemand},
	} {
		if f.set {
			flags |= f.bit
		}
	}
	dst = append(dst, version<<5|uint8(p.Diag)&0x1f, flags, p.DetectMult, headerLen)
	dst = binary.BigEndian.AppendUint32(dst, p.MyDiscriminator)
	dst = binary.BigEndian.AppendUint32(dst, p.YourDiscriminator)
	dst = appendMicros(dst, p.DesiredMinTx)
	dst = appendMicros(dst, p.RequiredMinRx)
	dst = appendMicros(dst, p.RequiredMinEchoRx)
	if p.Auth.Type != AuthNone {
		dst = p.Auth.append(dst)
		dst[start+3] = uint8(len(dst) - start)
		sign(dst[start:], key)
	}
	return dst
}

func micros(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Microsecond
}

func appendMicros(dst []byte, d time.Duration) []byte {
	us := min(max(d/time.Microsecond, 0), 1<<32-1)
	return binary.BigEndian.AppendUint32(dst, uint32(us))
}
