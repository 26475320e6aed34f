package demo

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pharoslb/pharos/internal/linux/netns"
)

const (
	probeEvery   = 20 * time.Millisecond
	probeTimeout = time.Second
)

// probe is a client that goes on asking, each time over a new connection.
type probe struct {
	ns  *netns.NS
	url string

	mu       sync.Mutex
	requests []request
}

// request is one that has ended.
type request struct {
	begin time.Time
	err   error
}

// run asks until ctx ends, and returns when the last request has ended.
func (p *probe) run(ctx context.Context) {
	client := &http.Client{Timeout: probeTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return p.ns.DialContext(ctx, network, address)
		},
	}}
	var asking sync.WaitGroup
	defer asking.Wait()
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		asking.Go(func() {
			begin := time.Now()
			err := ask(client, p.url)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.requests = append(p.requests, request{begin, err})
		})
	}
}

func ask(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}

// count says how many requests begun since then were answered, how many were
// not, and when the last of the latter began; zero if none.
func (p *probe) count(since time.Time) (answered, failed int, last time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.requests {
		switch {
		case r.begin.Before(since):
		case r.err == nil:
			answered++
		default:
			failed++
			if r.begin.After(last) {
				last = r.begin
			}
		}
	}
	return answered, failed, last
}
