package bgptest

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// Hex reads octets written in hexadecimal, with blanks and line breaks wherever
// they help, and comments from # to the line's end.
func Hex(t testing.TB, text string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatalf("octets: %v", err)
	}
	return b
}

// Marker is the first field of every message, in hexadecimal.
const Marker = "ffffffffffffffffffffffffffffffff"

// Golden compares octets with how they should be, written as for Hex.
func Golden(t testing.TB, got []byte, want string) {
	t.Helper()
	if w := Hex(t, want); !bytes.Equal(got, w) {
		t.Errorf("got\n%swant\n%s", hex.Dump(got), hex.Dump(w))
	}
}
