package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Sizes in octets (RFC 4271 §4.1, RFC 8654 §4).
const (
	HeaderLen      = 19
	MaxLen         = 4096
	MaxExtendedLen = 65535
)

const markerLen = 16

// MessageType is the type octet of the message header.
type MessageType uint8

// Message types (RFC 4271 §4.1, RFC 2918 §3).
const (
	TypeOpen         MessageType = 1
	TypeUpdate       MessageType = 2
	TypeNotification MessageType = 3
	TypeKeepalive    MessageType = 4
	TypeRouteRefresh MessageType = 5
)

// String returns the RFC's name of the message type.
func (t MessageType) String() string {
	switch t {
	case TypeOpen:
		return "OPEN"
	case TypeUpdate:
		return "UPDATE"
	case TypeNotification:
		return "NOTIFICATION"
	case TypeKeepalive:
		return "KEEPALIVE"
	case TypeRouteRefresh:
		return "ROUTE-REFRESH"
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// minLen is the smallest message of a type, header included, and whether the type is known (RFC 4271 §6.1).
func (t MessageType) minLen() (int, bool) {
	switch t {
	case TypeOpen:
		return 29, true
	case TypeUpdate:
		return 23, true
	case TypeNotification:
		return 21, true
	case TypeKeepalive:
		return HeaderLen, true
	case TypeRouteRefresh:
		return 23, true
	}
	return 0, false
}

// Message is one message as framed by a Reader. Body excludes the header.
type Message struct {
	Type MessageType
	Body []byte
}

// Len is the length of the whole message in octets, header included.
func (m Message) Len() int { return HeaderLen + len(m.Body) }

// DecodeHeader checks a message header of HeaderLen octets and returns the message's type and its whole length.
// max is the largest length allowed, 0 meaning MaxLen. The error is a *Notification (RFC 4271 §6.1).
func DecodeHeader(h *[HeaderLen]byte, max int) (MessageType, int, error) {
	for _, b := range h[:markerLen] {
		if b != 0xff {
			return 0, 0, &Notification{Code: CodeHeader, Subcode: SubHeaderNotSynchronized}
		}
	}
	if max == 0 {
		max = MaxLen
	}
	length, typ := int(binary.BigEndian.Uint16(h[16:])), MessageType(h[18])
	least, known := typ.minLen()
	switch {
	case length < HeaderLen, length > max,
		known && length < least,
		typ == TypeKeepalive && length != HeaderLen,
		// RFC 8654 §4: an OPEN never exceeds the classic limit.
		typ == TypeOpen && length > MaxLen:
		return 0, 0, &Notification{Code: CodeHeader, Subcode: SubHeaderBadLength, Data: []byte{h[16], h[17]}}
	case !known:
		return 0, 0, &Notification{Code: CodeHeader, Subcode: SubHeaderBadType, Data: []byte{h[18]}}
	}
	return typ, length, nil
}

// Reader frames messages from a byte stream. It reads the header, checks it, and only then reads the body, never
// past the message's end. It is not safe for concurrent use.
type Reader struct {
	r   io.Reader
	max int
	hdr [HeaderLen]byte
	buf []byte
}

// NewReader returns a Reader that accepts messages of up to MaxLen octets.
func NewReader(r io.Reader) *Reader { return &Reader{r: r, max: MaxLen} }

// SetMaxLen changes the largest message accepted, header included; Session.MaxLen is the usual value and 0 means
// MaxLen.
func (r *Reader) SetMaxLen(n int) {
	if n == 0 {
		n = MaxLen
	}
	r.max = n
}

// Next returns the next message. Its body is valid until the following call. The error is io.EOF when the stream
// ends between messages, io.ErrUnexpectedEOF when it ends within one, a *Notification to be sent when the header
// is wrong, or what the underlying reader returned.
func (r *Reader) Next() (Message, error) {
	if _, err := io.ReadFull(r.r, r.hdr[:]); err != nil {
		return Message{}, err
	}
	typ, length, err := DecodeHeader(&r.hdr, r.max)
	if err != nil {
		return Message{}, err
	}
	n := length - HeaderLen
	if cap(r.buf) < n {
		r.buf = make([]byte, max(n, MaxLen-HeaderLen))
	}
	body := r.buf[:n]
	if _, err := io.ReadFull(r.r, body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return Message{}, err
	}
	return Message{Type: typ, Body: body}, nil
}

// appendHeader appends a header whose length field finish fills in.
func appendHeader(dst []byte, t MessageType) []byte {
	return append(dst,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0, HeaderLen, byte(t))
}

// finish writes the length of the message that starts at dst[start] and ends with dst.
func finish(dst []byte, start int) []byte {
	binary.BigEndian.PutUint16(dst[start+markerLen:], uint16(len(dst)-start))
	return dst
}

// AppendKeepalive appends a KEEPALIVE message (RFC 4271 §4.4).
func AppendKeepalive(dst []byte) []byte { return appendHeader(dst, TypeKeepalive) }
