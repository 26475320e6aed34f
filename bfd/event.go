package bfd

import "time"

// Event is something that happened to a session.
type Event interface{ event() }

type (
	// Tick says that Deadline has come. Heard is up to when every packet that was
	// received has been handed to the machine; detection is judged by it, so that
	// packets that wait in a socket are not taken for silence.
	Tick struct{ Heard time.Time }
	// Received is a control packet for this session: discriminator or addresses and
	// the time to live have been looked at. Raw is what it was decoded from; At is
	// when the kernel received it.
	Received struct {
		Packet *Packet
		Raw    []byte
		At     time.Time
	}
	// EchoReceived is an echo packet of ours that came back.
	EchoReceived struct {
		Echo Echo
		At   time.Time
	}
	// EchoRefused says that echo packets cannot be sent (ErrNoEcho): control packets
	// have to detect, until another configuration comes.
	EchoRefused struct{}
	// Configure brings another configuration into force; name and addresses are the
	// same. The session stays Up, unless it is disabled.
	Configure struct{ Config Config }
	// Stop takes the session to AdminDown for good.
	Stop struct{ Reason Reason }
)

func (Tick) event()         {}
func (Received) event()     {}
func (EchoReceived) event() {}
func (EchoRefused) event()  {}
func (Configure) event()    {}
func (Stop) event()         {}

// Effect is something that a machine wants done.
type Effect interface{ effect() }

type (
	// Send sends a control packet. It is valid until the next Step.
	Send struct{ Packet *Packet }
	// SendEcho sends an echo packet. It is valid until the next Step.
	SendEcho struct{ Echo *Echo }
	// Changed tells of a change of state. Name is empty.
	Changed struct{ Change }
	// Discarded tells that the packet of the event was not taken, and why.
	Discarded struct{ Discard Discard }
)

func (Send) effect()      {}
func (SendEcho) effect()  {}
func (Changed) effect()   {}
func (Discarded) effect() {}
