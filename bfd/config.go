package bfd

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Profile is how fast and how a session detects. The zero value is the default.
type Profile struct {
	// ReceiveInterval is the least interval between control packets that we take,
	// bfd.RequiredMinRxInterval: 10 ms to 60 s, default 300 ms. The peer sends no
	// faster than this and than its own transmit interval.
	ReceiveInterval time.Duration
	// TransmitInterval is the interval at which we would send,
	// bfd.DesiredMinTxInterval while Up: 10 ms to 60 s, default 300 ms. In other
	// states it is at least 1 s (RFC 5880 §6.8.3).
	TransmitInterval time.Duration
	// DetectMultiplier is how many of our packets the peer may miss: 1 to 255,
	// default 3.
	DetectMultiplier uint8
	// EchoMode sends echo packets where the peer loops them back, and offers to
	// loop the peer's; the kernel has to forward for that. Ignored over several hops
	// (RFC 5883 §3), with IPv6 link-local addresses, which nobody forwards, and in VRFs.
	EchoMode bool
	// EchoInterval is the interval of echo packets, both sent and looped back: 10 ms
	// to 60 s, default 50 ms. A peer that asks for less gets less.
	EchoInterval time.Duration
	// Passive waits for the peer's first packet (RFC 5880 §6.1).
	Passive bool
	// MinimumTTL is the least time to live of a packet that came over several hops:
	// 1 to 255, default 254. Peers that do not send with 255 (BIRD sends with 64) need
	// less. A single hop always demands 255 (RFC 5881 §5).
	MinimumTTL uint8
}

// Config is one session.
type Config struct {
	// Name is the caller's for the session; not empty, unique.
	Name string
	// Remote is the peer's address. An IPv6 link-local one needs a zone or Interface.
	Remote netip.Addr
	// Local is the source address; zero: the kernel chooses. Packets to another
	// address are then not this session's.
	Local netip.Addr
	// Interface binds a session to a network device, in either direction. Empty: any.
	Interface string
	// Bound says that Interface is a VRF's, or a device in one: packets are received
	// on sockets of its own, as others do not hear of them.
	Bound bool
	// Multihop says that there may be routers between (RFC 5883).
	Multihop bool
	Profile
	// Disabled holds the session in AdminDown. The peer is told, and takes it for no
	// failure (RFC 5882 §3.2).
	Disabled bool
	// Auth signs packets and demands signed ones; nil: none.
	Auth *Auth
}

const (
	leastInterval = 10 * time.Millisecond
	mostInterval  = time.Minute
	// slowTx is the least bfd.DesiredMinTxInterval in every state but Up (RFC 5880
	// §6.8.3), and the least RequiredMinRxInterval while echoes do the detecting.
	slowTx = time.Second
)

// withDefaults replaces zero by what it stands for.
func (p Profile) withDefaults() Profile {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&p.ReceiveInterval, 300*time.Millisecond)
	set(&p.TransmitInterval, 300*time.Millisecond)
	set(&p.EchoInterval, 50*time.Millisecond)
	if p.DetectMultiplier == 0 {
		p.DetectMultiplier = 3
	}
	if p.MinimumTTL == 0 {
		p.MinimumTTL = 254
	}
	return p
}

// Validate says what makes the configuration unusable.
func (c Config) Validate() error {
	_, err := c.normal()
	return err
}

// normal returns the configuration with defaults filled in, or why it is wrong.
func (c Config) normal() (Config, error) {
	c.Profile = c.Profile.withDefaults()
	c.Remote, c.Local = c.Remote.Unmap(), c.Local.Unmap()
	if zone := c.Remote.Zone(); zone != "" {
		if c.Interface != "" && c.Interface != zone {
			return c, fmt.Errorf("remote address has zone %q, interface is %q", zone, c.Interface)
		}
		c.Interface = zone
		c.Remote = c.Remote.WithZone("")
	}
	c.Local = c.Local.WithZone("")
	switch {
	case c.Name == "":
		return c, errors.New("session has no name")
	case !c.Remote.IsValid() || c.Remote.IsUnspecified() || c.Remote.IsMulticast():
		return c, fmt.Errorf("remote address %v is not a host's", c.Remote)
	case c.Local.IsValid() && (c.Local.Is4() != c.Remote.Is4() || c.Local.IsUnspecified() || c.Local.IsMulticast()):
		return c, fmt.Errorf("local address %v does not go with remote address %v", c.Local, c.Remote)
	case c.Bound && c.Interface == "":
		return c, errors.New("there is no interface to be bound to")
	case c.Remote.Is6() && c.Remote.IsLinkLocalUnicast() && c.Interface == "":
		return c, fmt.Errorf("remote address %v needs an interface", c.Remote)
	case c.Remote.IsLinkLocalUnicast() && c.Multihop:
		return c, fmt.Errorf("remote address %v is never several hops away", c.Remote)
	}
	for _, i := range []struct {
		name string
		d    time.Duration
	}{{"receive", c.ReceiveInterval}, {"transmit", c.TransmitInterval}, {"echo", c.EchoInterval}} {
		if i.d < leastInterval || i.d > mostInterval {
			return c, fmt.Errorf("%s interval %v is not from %v to %v", i.name, i.d, leastInterval, mostInterval)
		}
	}
	if c.Auth != nil {
		if err := c.Auth.check(); err != nil {
			return c, err
		}
		own := *c.Auth
		c.Auth = &own
	}
	return c, nil
}

func (a *Auth) check() error {
	switch a.Type {
	case AuthKeyedSHA1, AuthMeticulousSHA1:
	case AuthSimplePassword:
		return errors.New("authentication by simple password is refused: whoever sees a packet knows it; use SHA-1")
	case AuthKeyedMD5, AuthMeticulousMD5:
		return errors.New("authentication by MD5 is refused: use SHA-1")
	default:
		return fmt.Errorf("authentication type %d is unknown", uint8(a.Type))
	}
	if len(a.Key) < 1 || len(a.Key) > digestLen {
		return fmt.Errorf("authentication key has %d octets, not 1 to %d", len(a.Key), digestLen)
	}
	return nil
}

// echoes tells if the session may have the echo function.
func (c *Config) echoes() bool {
	return c.EchoMode && !c.Multihop && !c.Bound && !(c.Remote.Is6() && c.Remote.IsLinkLocalUnicast())
}

// same tells if two configurations differ in nothing.
func (c Config) same(o Config) bool {
	a, b := c.Auth, o.Auth
	c.Auth, o.Auth = nil, nil
	return c == o && (a == b || a != nil && b != nil && *a == *b)
}

// path is what sockets and demultiplexing are about; a session lives as long as it stays
// the same.
type path struct {
	peerKey
	local  netip.Addr
	device string
	bound  bool
}

func (c *Config) path() path {
	return path{peerKey{c.Remote, c.Multihop}, c.Local, c.Interface, c.Bound}
}
