package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const marker = "ffffffff ffffffff ffffffff ffffffff "

func TestKeepaliveBytes(t *testing.T) {
	want := octets(t, marker+"0013 04")
	if got := AppendKeepalive([]byte{1})[1:]; !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// TestHeaderErrors goes through RFC 4271 §6.1.
func TestHeaderErrors(t *testing.T) {
	tests := []struct {
		name, header string
		max          int
		subcode      uint8
		data         string
	}{
		{"marker begins with a zero", "00ffffff ffffffff ffffffff ffffffff 0013 04", 0, 1, ""},
		{"marker ends with a zero", "ffffffff ffffffff ffffffff ffffff00 0013 04", 0, 1, ""},
		{"length 0", marker + "0000 04", 0, 2, "0000"},
		{"length 18", marker + "0012 04", 0, 2, "0012"},
		{"length 4097", marker + "1001 02", 0, 2, "1001"},
		{"length 65535", marker + "ffff 02", 0, 2, "ffff"},
		{"KEEPALIVE of 20", marker + "0014 04", 0, 2, "0014"},
		{"OPEN of 28", marker + "001c 01", 0, 2, "001c"},
		{"UPDATE of 22", marker + "0016 02", 0, 2, "0016"},
		{"NOTIFICATION of 20", marker + "0014 03", 0, 2, "0014"},
		{"ROUTE-REFRESH of 22", marker + "0016 05", 0, 2, "0016"},
		{"type 0", marker + "0013 00", 0, 3, "00"},
		{"type 6", marker + "0013 06", 0, 3, "06"},
		{"type 255", marker + "0013 ff", 0, 3, "ff"},
		{"length 18 and an unknown type", marker + "0012 09", 0, 2, "0012"},
		{"KEEPALIVE of 20 in a session of long messages", marker + "0014 04", MaxExtendedLen, 2, "0014"},
		{"KEEPALIVE of 65535", marker + "ffff 04", MaxExtendedLen, 2, "ffff"},
		{"NOTIFICATION of 4097", marker + "1001 03", 0, 2, "1001"},
		{"ROUTE-REFRESH of 4097", marker + "1001 05", 0, 2, "1001"},
		{"UPDATE of 22 in a session of long messages", marker + "0016 02", MaxExtendedLen, 2, "0016"},
		{"unknown type in a session of long messages", marker + "ffff 07", MaxExtendedLen, 3, "07"},
		{"OPEN of 4097 in a session of long messages", marker + "1001 01", MaxExtendedLen, 2, "1001"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// A body is there to be read, and must not be.
			in := bytes.NewReader(append(octets(t, tt.header), make([]byte, 100)...))
			r := NewReader(in)
			r.SetMaxLen(tt.max)
			_, err := r.Next()
			var n *Notification
			if !errors.As(err, &n) {
				t.Fatalf("error %v", err)
			}
			if n.Code != CodeHeader || n.Subcode != tt.subcode || !bytes.Equal(n.Data, octets(t, tt.data)) {
				t.Errorf("got %v data %x", n, n.Data)
			}
			if in.Len() != 100 {
				t.Errorf("%d octets of the body were read", 100-in.Len())
			}
		})
	}
}

// TestHeaderMarker: each octet of the marker counts.
func TestHeaderMarker(t *testing.T) {
	for i := range markerLen {
		h := [HeaderLen]byte(AppendKeepalive(nil))
		h[i] = 0xfe
		_, _, err := DecodeHeader(&h, 0)
		var n *Notification
		if !errors.As(err, &n) || n.Code != CodeHeader || n.Subcode != SubHeaderNotSynchronized || n.Data != nil {
			t.Errorf("octet %d: %v", i, err)
		}
	}
}

func TestHeaderLengthsAccepted(t *testing.T) {
	for _, tt := range []struct {
		header string
		max    int
		typ    MessageType
		length int
	}{
		{"001d 01", 0, TypeOpen, 29},
		{"1000 01", 0, TypeOpen, 4096},
		{"0017 02", 0, TypeUpdate, 23},
		{"1000 02", 0, TypeUpdate, 4096},
		{"ffff 02", MaxExtendedLen, TypeUpdate, 65535},
		{"0015 03", 0, TypeNotification, 21},
		{"0013 04", 0, TypeKeepalive, 19},
		{"0017 05", 0, TypeRouteRefresh, 23},
		{"ffff 03", MaxExtendedLen, TypeNotification, 65535},
		{"ffff 05", MaxExtendedLen, TypeRouteRefresh, 65535},
		{"1000 01", MaxExtendedLen, TypeOpen, 4096},
	} {
		h := [HeaderLen]byte(octets(t, marker+tt.header))
		typ, length, err := DecodeHeader(&h, tt.max)
		if typ != tt.typ || length != tt.length || err != nil {
			t.Errorf("%s: %v %d %v", tt.header, typ, length, err)
		}
	}
}

func TestReaderStream(t *testing.T) {
	stream := AppendKeepalive(nil)
	stream = AppendEndOfRIB(stream, IPv6Unicast)
	stream = AppendNotification(stream, Shutdown(SubCeaseShutdown, "bye"))
	want := []MessageType{TypeKeepalive, TypeUpdate, TypeNotification}

	r := NewReader(iotest.OneByteReader(bytes.NewReader(stream)))
	for i, typ := range want {
		m, err := r.Next()
		if err != nil || m.Type != typ {
			t.Fatalf("message %d: %v %v", i, m.Type, err)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("after the last message: %v, want EOF", err)
	}

	// Exactly one message is read.
	in := bytes.NewReader(stream)
	if m, err := NewReader(in).Next(); err != nil || in.Len() != len(stream)-m.Len() {
		t.Errorf("%v, %d octets left", err, in.Len())
	}

	// A stream that ends within a message, at each place.
	for cut := 1; cut < len(stream); cut++ {
		r := NewReader(bytes.NewReader(stream[:cut]))
		var err error
		for err == nil {
			_, err = r.Next()
		}
		between := cut == 19 || cut == 19+29
		if between && err != io.EOF || !between && err != io.ErrUnexpectedEOF {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
	broken := errors.New("broken")
	if _, err := NewReader(iotest.ErrReader(broken)).Next(); err != broken {
		t.Errorf("error of the stream: %v", err)
	}
}

func TestReaderMemory(t *testing.T) {
	r := NewReader(strings.NewReader(""))
	_, _ = r.Next()
	if r.buf != nil {
		t.Error("memory for a body without a header")
	}
	update := AppendEndOfRIB(nil, IPv4Unicast)
	in := bytes.NewReader(nil)
	r = NewReader(in)
	allocs := testing.AllocsPerRun(100, func() {
		in.Reset(update)
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations per message", allocs)
	}
	if cap(r.buf) != MaxLen-HeaderLen {
		t.Errorf("buffer of %d", cap(r.buf))
	}
}
