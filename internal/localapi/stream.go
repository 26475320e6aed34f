package localapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

const (
	// sluggish is how long a client may take to read what is written to it at once.
	sluggish = 10 * time.Second

	// maxLine bounds one value of a stream, in bytes: that of the largest Service that an
	// API server keeps, of some 60,000 ports at two addresses, has two thirds of it.
	maxLine = 16 << 20
)

// ErrNotServed says that the process behind a socket does not serve an endpoint, as
// another version of it may not.
var ErrNotServed = errors.New("the process does not serve it")

// Stream answers GET requests with values as long as tell emits them, each as a
// line of JSON. Up to most clients are served at a time. One that does not read is
// let go.
func Stream[T any](most int, tell func(ctx context.Context, emit func(...T) error) error) http.Handler {
	room := make(chan struct{}, most)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			http.Error(w, "only GET is served here", http.StatusMethodNotAllowed)
			return
		}
		select {
		case room <- struct{}{}:
			defer func() { <-room }()
		default:
			http.Error(w, fmt.Sprintf("%d clients follow already", most), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		control, encoder := http.NewResponseController(w), json.NewEncoder(w)
		tell(r.Context(), func(values ...T) error {
			for i := range values {
				if i%64 == 0 {
					if err := control.SetWriteDeadline(time.Now().Add(sluggish)); err != nil {
						return err
					}
				}
				if err := encoder.Encode(&values[i]); err != nil {
					return err
				}
			}
			return control.Flush()
		})
	})
}

// Follow asks the process behind the socket for a stream at endpoint and hands
// each value to each, until ctx ends, each fails, or the stream does, which an error
// tells too: so does a server that says nothing for the time of silence. Of one that
// does not have the endpoint it is ErrNotServed.
func Follow[T any](ctx context.Context, socket, endpoint string, silence time.Duration, each func(T) error) error {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
			if err != nil {
				return nil, err
			}
			return impatient{conn, silence}, nil
		},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://local"+endpoint, nil)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("follow %s: %w", socket, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return fmt.Errorf("follow %s at %s: %w", endpoint, socket, ErrNotServed)
	default:
		return fmt.Errorf("follow %s: the answer is %s", socket, resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var value T
		if err := json.Unmarshal(lines.Bytes(), &value); err != nil {
			return fmt.Errorf("follow %s: %w", socket, err)
		}
		if err := each(value); err != nil {
			return err
		}
	}
	err = lines.Err()
	if err == nil {
		err = errors.New("the stream ended")
	}
	return fmt.Errorf("follow %s: %w", socket, err)
}

// impatient is a connection on which nothing may be heard for so long at most.
type impatient struct {
	net.Conn
	silence time.Duration
}

// Read is of net.Conn.
func (c impatient) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.silence)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}
