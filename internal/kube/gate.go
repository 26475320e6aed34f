package kube

import (
	"context"
	"sync"
	"time"
)

// gate lets work of low priority wait until none of high priority is under
// way. The zero gate is open.
type gate struct {
	mu   sync.Mutex
	n    int
	open chan struct{} // closed when n returns to zero; nil while n is zero
}

func (g *gate) enter() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n == 0 {
		g.open = make(chan struct{})
	}
	g.n++
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n--; g.n == 0 {
		close(g.open)
		g.open = nil
	}
}

// wait returns when nothing is under way, but no later than after patience, or
// when ctx ends.
func (g *gate) wait(ctx context.Context, patience time.Duration) {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	if open == nil {
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-open:
	case <-timer.C:
	case <-ctx.Done():
	}
}
