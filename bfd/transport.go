package bfd

import (
	"errors"
	"net/netip"
	"time"
)

// UDP ports (RFC 5881 §4, RFC 5883 §5).
const (
	PortSingleHop = 3784
	PortEcho      = 3785
	PortMultihop  = 4784
	// FirstSourcePort is the least source port of control packets; each session has
	// one of its own.
	FirstSourcePort = 49152
)

// Kind tells datagrams apart by the port they came to.
type Kind uint8

// Kinds.
const (
	SingleHop Kind = iota
	Multihop
	EchoPacket
)

// Datagram is a datagram that was received.
type Datagram struct {
	Kind Kind
	// Source and Destination have no zone.
	Source, Destination netip.Addr
	// Interface is the index of the network device it came in by.
	Interface int
	// TTL is the time to live or hop limit it arrived with.
	TTL uint8
	// At is when the kernel received it.
	At time.Time
	// Data is valid until the next Receive.
	Data []byte
}

// Path is where a session's packets go.
type Path struct {
	Remote, Local netip.Addr // Local may be zero; neither has a zone
	Interface     string     // may be empty
	Bound         bool       // receive by sockets of Interface's own (Config.Bound)
	Multihop      bool
}

// Transport sends and receives the datagrams of all sessions. But for Wake, one
// goroutine at a time uses it. bfdtest.Net and bfd/bfdudp are transports,
// and one suite, bfdtest.TestTransport, runs on both.
type Transport interface {
	// Begin is called by the goroutine that is going to Wait and Receive until it
	// calls end. The transport may have the kernel prefer it to others.
	Begin() (end func())
	// Open prepares to send on a path, from a source port that no other Endpoint
	// has (RFC 5881 §4). An error is of the path: it may be right later.
	Open(Path) (Endpoint, error)
	// Wait blocks until a time (zero: for ever) or Wake, and if packets is set no
	// longer than until there is something to receive.
	Wait(until time.Time, packets bool) error
	// Receive takes what has arrived, without blocking, and as much as dst holds.
	// Everything that had arrived before heard has then been returned by this or an
	// earlier call.
	Receive(dst []Datagram) (n int, heard time.Time, err error)
	// Wake ends the present or else the next Wait. Any goroutine may call it.
	Wake()
}

// ErrNoEcho says that this system can send no echo packets: its kernel lacks what that
// takes, or the process may not.
var ErrNoEcho = errors.New("echo packets cannot be sent")

// Endpoint sends the packets of one session: with time to live 255 and, where the
// kernel has it, as network control traffic (RFC 5881 §5; DSCP CS6). Neither method
// keeps b or blocks.
type Endpoint interface {
	// Send sends a control packet. ECONNREFUSED says that the peer's host refused an
	// earlier one, as nobody listens; this one was sent.
	Send(b []byte) error
	// SendEcho sends an echo packet, such that the peer's forwarding sends it back
	// (RFC 5881 §4). With ErrNoEcho the echo function is given up.
	SendEcho(b []byte) error
	// Interface is the index of Path.Interface, 0 if there is none.
	Interface() int
	Close() error
}
