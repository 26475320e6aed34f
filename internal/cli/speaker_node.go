package cli

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/internal/linux/port"
)

// vrfDialer dials peers in VRFs of the node only where those are VRFs: a session that is
// bound to an ordinary device would come up, and not be where it is wanted.
type vrfDialer struct{ bgp.Dialer }

// Dial is of bgp.Dialer.
func (d vrfDialer) Dial(ctx context.Context, c bgp.Config) (net.Conn, error) {
	if c.Device != "" {
		if err := port.VRF(c.Device); err != nil {
			return nil, err
		}
	}
	return d.Dialer.Dial(ctx, c)
}

// uptimeFile tells how long the machine has been up (proc_uptime(5)).
const uptimeFile = "/proc/uptime"

// uptime reads how long the machine has been up.
func uptime(path string) (time.Duration, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	seconds, err := strconv.ParseFloat(first, 64)
	if err != nil || seconds < 0 {
		return 0, fmt.Errorf("%s does not begin with seconds", path)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
