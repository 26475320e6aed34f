package kube

import (
	"context"
	"errors"
	"net"
	"time"
)

// A connection to the API server is tried with dialAttempts SYNs of their own,
// one every dialPatience.
const (
	dialPatience = time.Second
	dialAttempts = 5
)

// dial connects to the API server. On a node that has just come up the first SYN
// to a cluster IP may leave before the node's data plane knows the address:
// conntrack then keeps the whole connection untranslated, however often its SYN
// is repeated, so that only a new connection, from another port, gets through.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{
		Timeout: dialPatience,
		// Without these a power-cut API server looks idle for a long time.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	for attempt := 1; ; attempt++ {
		conn, err := dialer.DialContext(ctx, network, address)
		var timeout net.Error
		if err == nil || attempt == dialAttempts || ctx.Err() != nil || !errors.As(err, &timeout) || !timeout.Timeout() {
			return conn, err
		}
	}
}
