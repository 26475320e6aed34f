package cli

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A switch that is started beside another must leave what the other one has in the
// kernel: it ends before it opens the kernel's tables at all.
func TestSecondSwitchTouchesNothing(t *testing.T) {
	first, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	_, port, _ := net.SplitHostPort(first.Addr().String())
	path := filepath.Join(t.TempDir(), "switch.conf")
	// The interface does not exist: what is configured comes after the port.
	if err := os.WriteFile(path, []byte("interface Ethernet9/9\n  no switchport\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := New()
	cmd.SetArgs([]string{"switch", "run", "--config", path, "--listen-port", port, "--socket", filepath.Join(t.TempDir(), "s")})
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "another switch or BGP daemon runs") {
		t.Errorf("beside another: %v", err)
	}
}
