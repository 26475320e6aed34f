package bfd

import (
	"encoding/binary"
	"time"
)

// echoLen is the length of our echo packets. Their content is the sender's own
// affair (RFC 5881 §4: "the payload of a BFD Echo packet is a local matter").
const echoLen = 24

// echoMagic tells our echoes from those of others, which come back over the same
// port.
const echoMagic = 0x50480001

// Echo is the content of an echo packet.
type Echo struct {
	// Discriminator is that of the session that sent it.
	Discriminator uint32
	// Sequence grows with each; one that came back counts once.
	Sequence uint32
	// Cookie is known to nobody who does not see the echoes.
	Cookie uint64
}

// Append writes an echo packet behind dst.
func (e *Echo) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, echoMagic)
	dst = binary.BigEndian.AppendUint32(dst, e.Discriminator)
	dst = binary.BigEndian.AppendUint32(dst, e.Sequence)
	dst = binary.BigEndian.AppendUint64(dst, e.Cookie)
	return binary.BigEndian.AppendUint32(dst, 0)
}

// DecodeEcho reads an echo packet; ok is false if it is none of ours.
func DecodeEcho(b []byte) (e Echo, ok bool) {
	if len(b) < echoLen || binary.BigEndian.Uint32(b) != echoMagic {
		return Echo{}, false
	}
	return Echo{
		Discriminator: binary.BigEndian.Uint32(b[4:]),
		Sequence:      binary.BigEndian.Uint32(b[8:]),
		Cookie:        binary.BigEndian.Uint64(b[12:]),
	}, true
}

// echoes is the machine's half of the echo function (RFC 5880 §6.4, §6.8.9).
type echoes struct {
	active   bool
	refused  bool // this system cannot send them
	interval time.Duration
	sendAt   time.Time
	detectAt time.Time
	late     bool // detection was put off once since the last echo came back
	heard    time.Time
	next     Echo   // to be sent; Sequence is that of the last one sent
	back     uint32 // sequence of the last one that came back
}

// echo starts, stops and paces the echo function.
func (m *Machine) echo(now time.Time) {
	e := &m.echoes
	// §6.8.9: only while Up, and only if the peer loops back.
	active := m.cfg.echoes() && !e.refused && m.state == Up && m.remoteEchoRx > 0
	interval := max(m.cfg.EchoInterval, m.remoteEchoRx)
	switch {
	case !active:
		e.active, e.sendAt, e.detectAt = false, time.Time{}, time.Time{}
	case !e.active:
		e.active, e.interval, e.late = true, interval, false
		e.sendAt, e.detectAt = now, now.Add(m.echoDetection(interval))
	case interval != e.interval:
		e.interval = interval
		e.detectAt = later(e.detectAt, now.Add(m.echoDetection(interval)))
	}
}

// echoDetection is how long our echoes may stay away. The multiplier is ours: the
// peer knows nothing of our echoes.
func (m *Machine) echoDetection(interval time.Duration) time.Duration {
	return time.Duration(m.cfg.DetectMultiplier) * interval
}

func (m *Machine) echoTick(now, heard time.Time) {
	e := &m.echoes
	if e.active && due(e.detectAt, heard) {
		if m.forgive(now, &e.detectAt, &e.late, e.interval) {
			return
		}
		m.become(now, Down, DiagEchoFailed, ReasonEchoFailed) // §6.8.5
		m.adapt(now)
		return
	}
	if e.active && due(e.sendAt, now) {
		e.next.Sequence++
		e.sendAt = m.pace(now, e.interval)
		m.emit(SendEcho{&e.next})
	}
}

func (m *Machine) echoReceived(now time.Time, in EchoReceived) {
	e := &m.echoes
	if !e.active || in.Echo.Discriminator != e.next.Discriminator || in.Echo.Cookie != e.next.Cookie ||
		int32(in.Echo.Sequence-e.back) <= 0 || int32(e.next.Sequence-in.Echo.Sequence) < 0 {
		m.emit(Discarded{DiscardEcho})
		return
	}
	e.back, e.late = in.Echo.Sequence, false
	e.heard = later(e.heard, in.At)
	e.detectAt = later(e.detectAt, in.At.Add(m.echoDetection(e.interval)))
}
