package lab

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
)

// An end is an end, whether or not the other side had read all that it was sent.
func TestReceiveAfterTheEnd(t *testing.T) {
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket", Name: filepath.Join(t.TempDir(), "s")})
	must(t, err)
	defer l.Close()
	for _, unread := range []bool{false, true} {
		conn, err := net.DialUnix("unixpacket", nil, l.Addr().(*net.UnixAddr))
		must(t, err)
		other, err := l.AcceptUnix()
		must(t, err)
		if unread {
			must(t, send(conn, Request{Verb: VerbExec}))
		}
		must(t, other.Close())
		if _, err := receive(conn, new(reply)); !errors.Is(err, io.EOF) {
			t.Errorf("unread %v: %v, want EOF", unread, err)
		}
		conn.Close()
	}
}
