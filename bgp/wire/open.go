package wire

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
)

// Version is the one BGP version spoken.
const Version = 4

// ASTrans stands in two-octet fields for an AS number that needs four (RFC 6793 §9).
const ASTrans = 23456

// Optional parameter types of an OPEN (RFC 5492 §4, RFC 9072 §2).
const (
	paramCapabilities = 2
	paramExtended     = 255
)

// Open is an OPEN message (RFC 4271 §4.2).
type Open struct {
	Version  uint8
	AS       uint16     // two-octet field; ASTrans where the number needs four
	HoldTime uint16     // seconds: 0 or at least 3
	ID       netip.Addr // BGP identifier, written as an IPv4 address, not 0.0.0.0 (RFC 6286)
	// Capabilities in wire order, repetitions and unknown ones included.
	Capabilities []Capability
}

// NewOpen returns an OPEN that offers four-octet AS numbers, route refresh and the families.
func NewOpen(as uint32, holdTime uint16, id netip.Addr, families ...Family) *Open {
	o := &Open{Version: Version, AS: as2(as), HoldTime: holdTime, ID: id}
	for _, f := range families {
		o.Capabilities = append(o.Capabilities, MultiProtocol(f))
	}
	o.Capabilities = append(o.Capabilities, RouteRefreshCapability(), FourOctetAS(as))
	return o
}

// as2 is an AS number as a two-octet field shows it.
func as2(as uint32) uint16 {
	if as > 0xffff {
		return ASTrans
	}
	return uint16(as)
}

// Has tells if a capability of the code is among them.
func (o *Open) Has(code uint8) bool {
	return slices.ContainsFunc(o.Capabilities, func(c Capability) bool { return c.Code == code })
}

// FourOctetAS returns the AS number of the four-octet AS capability, if there is one.
func (o *Open) FourOctetAS() (as uint32, ok bool) {
	for _, c := range o.Capabilities {
		if as, ok = c.FourOctetAS(); ok {
			return as, true
		}
	}
	return 0, false
}

// PeerAS returns the sender's AS number: that of the capability, else the two-octet field (RFC 6793 §4.1).
func (o *Open) PeerAS() uint32 {
	if as, ok := o.FourOctetAS(); ok {
		return as
	}
	return uint32(o.AS)
}

// Families returns the families offered, each once; IPv4 unicast when no multiprotocol capability was sent.
func (o *Open) Families() []Family {
	var fs []Family
	for _, c := range o.Capabilities {
		if f, ok := c.MultiProtocol(); ok && !slices.Contains(fs, f) {
			fs = append(fs, f)
		}
	}
	if fs == nil {
		return []Family{IPv4Unicast}
	}
	return fs
}

func (o *Open) extendedNextHop() bool {
	return slices.ContainsFunc(o.Capabilities, Capability.extendedNextHop)
}

// Check compares a received OPEN with what is configured: our AS number and identifier, and the AS number expected
// of the peer. The error is a *Notification: bad peer AS, or an identifier that is ours in our own AS
// (RFC 4271 §6.2, RFC 6286 §2.2).
func (o *Open) Check(localAS uint32, localID netip.Addr, peerAS uint32) error {
	if o.PeerAS() != peerAS {
		return &Notification{Code: CodeOpen, Subcode: SubOpenBadPeerAS}
	}
	if localAS == peerAS && o.ID == localID {
		return &Notification{Code: CodeOpen, Subcode: SubOpenBadID}
	}
	return nil
}

// UnsupportedCapability returns the NOTIFICATION for a peer that does not offer capabilities we insist on; they are
// its data (RFC 5492 §3).
func UnsupportedCapability(required ...Capability) *Notification {
	n := &Notification{Code: CodeOpen, Subcode: SubOpenCapability}
	for _, c := range required {
		n.Data = appendCapability(n.Data, c)
	}
	return n
}

// DecodeOpen reads the body of an OPEN. The error is a *Notification with the code, subcode and data of RFC 4271
// §6.2. What only the configuration can tell is left to Open.Check.
func DecodeOpen(body []byte) (*Open, error) {
	if len(body) < 10 {
		return nil, &Notification{Code: CodeHeader, Subcode: SubHeaderBadLength, Data: lengthField(len(body))}
	}
	o := &Open{
		Version:  body[0],
		AS:       binary.BigEndian.Uint16(body[1:]),
		HoldTime: binary.BigEndian.Uint16(body[3:]),
		ID:       netip.AddrFrom4([4]byte(body[5:9])),
	}
	if o.Version != Version {
		// RFC 4271 §6.2: the data is the largest version we speak, in two octets.
		return nil, &Notification{Code: CodeOpen, Subcode: SubOpenVersion, Data: []byte{0, Version}}
	}
	if err := o.decodeParameters(body[9], body[10:]); err != nil {
		return nil, err
	}
	for _, c := range o.Capabilities {
		if c.malformed() {
			return nil, openMalformed()
		}
	}
	if as, ok := o.FourOctetAS(); o.AS == 0 || ok && as == 0 { // RFC 7607 §2
		return nil, &Notification{Code: CodeOpen, Subcode: SubOpenBadPeerAS}
	}
	if o.HoldTime == 1 || o.HoldTime == 2 {
		return nil, &Notification{Code: CodeOpen, Subcode: SubOpenHoldTime}
	}
	if o.ID.IsUnspecified() { // RFC 6286 §2.2
		return nil, &Notification{Code: CodeOpen, Subcode: SubOpenBadID}
	}
	if o.conflictingRoles() { // RFC 9234 §4.2
		return nil, roleMismatch()
	}
	return o, nil
}

// openMalformed is for a parameter that is recognized but malformed (RFC 4271 §6.2).
func openMalformed() *Notification {
	return &Notification{Code: CodeOpen, Subcode: SubOpenUnspecific}
}

func (o *Open) decodeParameters(length uint8, b []byte) error {
	lengthSize := 1
	switch {
	case length != 0 && len(b) > 0 && b[0] == paramExtended: // RFC 9072 §2: then length is ignored
		if len(b) < 3 || int(binary.BigEndian.Uint16(b[1:])) != len(b)-3 {
			return openMalformed()
		}
		b, lengthSize = b[3:], 2
	case int(length) != len(b):
		return openMalformed()
	}
	for len(b) > 0 {
		if len(b) < 1+lengthSize {
			return openMalformed()
		}
		typ, n := b[0], int(b[1])
		if lengthSize == 2 {
			n = n<<8 | int(b[2])
		}
		b = b[1+lengthSize:]
		if n > len(b) {
			return openMalformed()
		}
		if typ != paramCapabilities {
			return &Notification{Code: CodeOpen, Subcode: SubOpenUnsupportedParameter}
		}
		if err := o.decodeCapabilities(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (o *Open) decodeCapabilities(b []byte) error {
	for len(b) > 0 {
		if len(b) < 2 || int(b[1]) > len(b)-2 {
			return openMalformed()
		}
		n := int(b[1])
		c := Capability{Code: b[0]}
		if n > 0 {
			c.Value = append([]byte(nil), b[2:2+n]...)
		}
		o.Capabilities = append(o.Capabilities, c)
		b = b[2+n:]
	}
	return nil
}

func appendCapability(dst []byte, c Capability) []byte {
	return append(append(dst, c.Code, byte(len(c.Value))), c.Value...)
}

var (
	errOpenID         = errors.New("bgp identifier is not an IPv4 address")
	errOpenCapability = errors.New("capability value exceeds 255 octets")
	errOpenTooLong    = errors.New("capabilities exceed the largest message")
)

// AppendOpen appends an OPEN message, its capabilities in one parameter. RFC 9072's long form is used when they
// need more than 255 octets, and only then. The error says what cannot be encoded; dst is then returned as it was.
func AppendOpen(dst []byte, o *Open) ([]byte, error) {
	if !o.ID.Is4() {
		return dst, errOpenID
	}
	size := 0
	for _, c := range o.Capabilities {
		if len(c.Value) > 255 {
			return dst, errOpenCapability
		}
		size += 2 + len(c.Value)
	}
	const fixed = HeaderLen + 10
	if size+fixed+3+3 > MaxLen {
		return dst, errOpenTooLong
	}
	start, id := len(dst), o.ID.As4()
	dst = appendHeader(dst, TypeOpen)
	dst = append(dst, o.Version, byte(o.AS>>8), byte(o.AS), byte(o.HoldTime>>8), byte(o.HoldTime))
	dst = append(dst, id[:]...)
	switch {
	case size == 0:
		dst = append(dst, 0)
	case size+2 <= 255:
		dst = append(dst, byte(size+2), paramCapabilities, byte(size))
	default:
		total := size + 3
		dst = append(dst, 255, paramExtended, byte(total>>8), byte(total),
			paramCapabilities, byte(size>>8), byte(size))
	}
	for _, c := range o.Capabilities {
		dst = appendCapability(dst, c)
	}
	return finish(dst, start), nil
}
