package cli

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bgp"
)

// noDialer fails the test that makes it dial.
type noDialer struct{ dialed bool }

var errDialed = errors.New("dialed")

func (d *noDialer) Dial(context.Context, bgp.Config) (net.Conn, error) {
	d.dialed = true
	return nil, errDialed
}

func TestPeersInVRFsAreDialedThereAlone(t *testing.T) {
	for device, want := range map[string]string{
		"":             errDialed.Error(),
		"lo":           `"lo" is no VRF of this node`,
		"nosuchvrf-99": `this node has no VRF "nosuchvrf-99"`,
	} {
		inner := &noDialer{}
		_, err := vrfDialer{inner}.Dial(t.Context(), bgp.Config{Device: device})
		if err == nil || !strings.Contains(err.Error(), want) || inner.dialed != (device == "") {
			t.Errorf("%q: %v, dialed %v", device, err, inner.dialed)
		}
	}
}

func TestUptime(t *testing.T) {
	if d, err := uptime(uptimeFile); err != nil || d <= 0 {
		t.Errorf("%v, %v", d, err)
	}
	file := filepath.Join(t.TempDir(), "uptime")
	for text, want := range map[string]time.Duration{"12.50 99.1\n": 12500 * time.Millisecond, "": -1, "-1 2": -1, "soon": -1} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if d, err := uptime(file); (err != nil) != (want < 0) || err == nil && d != want {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
	if _, err := uptime(file + "x"); err == nil {
		t.Error("no file, no error")
	}
}
