package bfd

import "time"

// Info is what a Machine knows of itself: a copy.
type Info struct {
	State, RemoteState State
	Since              time.Time // when State was entered
	Diag, RemoteDiag   Diag
	// Reason is why State was entered; ReasonNone if it is the first.
	Reason Reason
	// Discriminator and RemoteDiscriminator are the ends' names for the session; the
	// latter is 0 while the peer is not heard.
	Discriminator, RemoteDiscriminator uint32
	// TransmitInterval is the interval between our periodic packets before jitter, as
	// negotiated; ReceiveInterval that between the peer's; DetectionTime how long the
	// peer may be silent. The last two are 0 while the peer is not heard.
	TransmitInterval, ReceiveInterval, DetectionTime time.Duration
	RemoteDetectMultiplier                           uint8
	// RemoteMinTransmit, RemoteMinReceive and RemoteMinEchoReceive are what the peer
	// said last.
	RemoteMinTransmit, RemoteMinReceive, RemoteMinEchoReceive time.Duration
	// Polling: the peer has not yet acknowledged our last change of timers.
	Polling bool
	// RemoteDemand: the peer wants no periodic packets while both ends are Up.
	RemoteDemand bool
	// EchoInterval is the interval of our echoes, EchoDetectionTime how long they may
	// stay away; 0 while the echo function is not active.
	EchoInterval, EchoDetectionTime time.Duration
	// LastHeard is when the kernel received the peer's last packet; zero: never.
	LastHeard time.Time
	// Ups and Downs count changes to and from Up; LastDown is the last of the latter.
	Ups, Downs uint64
	LastDown   Change
}

// Info tells of the machine's state.
func (m *Machine) Info() Info {
	i := Info{
		State: m.state, RemoteState: m.remoteState, Since: m.since,
		Diag: m.diag, RemoteDiag: m.remoteDiag, Reason: m.lastReason,
		Discriminator: m.local, RemoteDiscriminator: m.remote,
		TransmitInterval:       m.txInterval(),
		RemoteDetectMultiplier: m.remoteMult,
		RemoteMinTransmit:      m.remoteTx, RemoteMinReceive: m.remoteRx, RemoteMinEchoReceive: m.remoteEchoRx,
		Polling: m.polling, RemoteDemand: m.remoteDemand,
		LastHeard: m.heard, Ups: m.ups, Downs: m.downs, LastDown: m.lastDown,
	}
	if m.remote != 0 {
		i.ReceiveInterval, i.DetectionTime = m.peerInterval(), m.detection()
	}
	if m.echoes.active {
		i.EchoInterval, i.EchoDetectionTime = m.echoes.interval, m.echoDetection(m.echoes.interval)
	}
	return i
}

// SessionStatus is a session as it was at one moment: a copy, shared with nobody.
type SessionStatus struct {
	Name   string
	Config Config // as in force, with defaults filled in and without the key
	Info
	// Sent and Received count control packets, EchoesSent and EchoesReceived echo
	// packets; Discarded counts those that were for this session and not taken.
	Sent, Received, EchoesSent, EchoesReceived uint64
	Discarded                                  Discards
	// SendErrors counts packets that the kernel did not take, SendError is what it
	// said of the last one, "" since one was taken.
	SendErrors uint64
	SendError  string
}

// ServerStatus counts what belongs to no session.
type ServerStatus struct {
	// Strangers are packets that no session's discriminator or addresses fit, or
	// that cannot be decoded.
	Strangers Discards
}
