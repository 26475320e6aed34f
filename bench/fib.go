package main

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/internal/linux/netns"
)

// fib mirrors the switch's kernel routes: how many next hops each host route
// of the bench's pool has, as the kernel tells it.
type fib struct {
	within netip.Prefix

	mu      sync.Mutex
	hops    map[netip.Addr]int
	full    int           // routes with as many next hops as there are nodes
	nodes   int           // how many there are
	changed chan struct{} // closed and replaced at each change
}

func watchFIB(ctx context.Context, ns *netns.NS, within netip.Prefix, nodes int) (*fib, error) {
	f := &fib{within: within, hops: map[netip.Addr]int{}, nodes: nodes, changed: make(chan struct{})}
	updates := make(chan netlink.RouteUpdate, 1024)
	handle := vnetns.NsHandle(ns.Fd())
	err := netlink.RouteSubscribeWithOptions(updates, ctx.Done(), netlink.RouteSubscribeOptions{
		Namespace: &handle, ReceiveBufferSize: 64 << 20, ReceiveBufferForceSize: true,
		ErrorCallback: func(err error) {
			if ctx.Err() == nil {
				progress("the kernel's route messages were lost: %v", err)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("listen to the switch's routes: %w", err)
	}
	go func() {
		for u := range updates {
			f.apply(u)
		}
	}()
	return f, nil
}

func (f *fib) apply(u netlink.RouteUpdate) {
	if u.Dst == nil {
		return
	}
	addr, ok := netip.AddrFromSlice(u.Dst.IP)
	if !ok || !f.within.Contains(addr.Unmap()) {
		return
	}
	addr = addr.Unmap()
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.hops[addr]
	is := 0
	if u.Type == unix.RTM_NEWROUTE {
		is = max(1, len(u.MultiPath))
		f.hops[addr] = is
	} else {
		delete(f.hops, addr)
	}
	if was == f.nodes {
		f.full--
	}
	if is == f.nodes {
		f.full++
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// wait returns when enough says so of the mirror, with the time of the change
// that made it so.
func (f *fib) wait(ctx context.Context, what string, enough func() bool) (time.Time, error) {
	for {
		f.mu.Lock()
		ok, changed, full, all := enough(), f.changed, f.full, len(f.hops)
		f.mu.Unlock()
		if ok {
			return time.Now(), nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%s: %w with %d routes in the switch's kernel, %d of them over %d next hops", what, ctx.Err(), all, full, f.nodes)
		}
	}
}

// count returns how many routes there are.
func (f *fib) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.hops)
}

// waitFull returns when one address is routed over every node.
func (f *fib) waitFull(ctx context.Context, addr netip.Addr) (time.Time, error) {
	return f.wait(ctx, "route "+addr.String(), func() bool { return f.hops[addr] == f.nodes })
}

// waitCount returns when n routes are there, all of them over every node.
func (f *fib) waitCount(ctx context.Context, n int) (time.Time, error) {
	return f.wait(ctx, fmt.Sprintf("%d routes", n), func() bool { return f.full == n && len(f.hops) == n })
}

// waitLess returns when a route has lost a next hop.
func (f *fib) waitLess(ctx context.Context, n int) (time.Time, error) {
	return f.wait(ctx, "a lost next hop", func() bool { return f.full < n })
}
