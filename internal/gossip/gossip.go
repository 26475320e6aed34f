package gossip

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pharoslb/pharos/why"
)

const (
	// firstPause and longestPause bound how long nodes that are not members
	// are left alone. The pause doubles from one to the other, and starts anew
	// when the set of nodes changes or a member is lost.
	firstPause   = time.Second
	longestPause = 5 * time.Second

	// leaveTime bounds how long saying goodbye may take, and tellTime how long it may
	// be waited until others have been told of new facts.
	leaveTime = 500 * time.Millisecond
	tellTime  = 200 * time.Millisecond

	// streamTime bounds one exchange of state, and probeTime the attempt to
	// connect before it.
	streamTime = 2 * time.Second
	probeTime  = time.Second

	// joining is how many nodes are asked at a time.
	joining = 16

	// reclaimTime is how long the name of a dead node stays with its address.
	reclaimTime = 10 * time.Second
)

// Run takes part until ctx ends, and leaves then. What keeps it from taking
// part is told by Status and retried; Run returns nil.
func (c *Cluster) Run(ctx context.Context) error {
	list := c.opened(ctx)
	if list == nil {
		return nil
	}
	defer func() {
		c.mu.Lock()
		c.stale = c.stale || !c.facts.Leaving
		c.facts.Leaving = true
		c.mu.Unlock()
		c.publish(list)
		if err := list.Leave(leaveTime); err != nil {
			c.log.Warn("leave the membership", "err", err)
		}
		if err := list.Shutdown(); err != nil {
			c.log.Warn("close the membership", "err", err)
		}
	}()
	var joiner sync.WaitGroup
	joiner.Go(func() { c.keepJoining(ctx, list) })
	defer joiner.Wait()
	for {
		c.watch()
		c.publish(list)
		timer := time.NewTimer(c.recheck())
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-c.wake:
			timer.Stop()
		case <-timer.C:
			c.signal() // a path that was dead for long is the membership's again
		}
	}
}

// opened waits until this node is a member: the only one, to begin with. It returns nil
// when ctx ends before.
func (c *Cluster) opened(ctx context.Context) *memberlist.Memberlist {
	pause := firstPause
	for {
		list, err := c.open()
		c.explain(err)
		if err == nil {
			return list
		}
		timer := time.NewTimer(pause)
		pause = min(2*pause, longestPause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-c.wake:
			timer.Stop()
			pause = firstPause
		case <-timer.C:
		}
	}
}

// keepJoining asks the nodes that are not members to take us in, now and then.
func (c *Cluster) keepJoining(ctx context.Context, list *memberlist.Memberlist) {
	pause := firstPause
	for {
		c.join(ctx, list)
		c.settle()
		timer := time.NewTimer(pause)
		pause = min(2*pause, longestPause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-c.rejoin:
			timer.Stop()
			pause = firstPause
		case <-timer.C:
		}
	}
}

// settle says that who there is has been found.
func (c *Cluster) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.settled {
		c.settled = true
		c.signal()
	}
}

// publish tells the others new facts.
func (c *Cluster) publish(list *memberlist.Memberlist) {
	c.mu.Lock()
	stale := c.stale
	c.stale = false
	c.mu.Unlock()
	if !stale {
		return
	}
	if err := list.UpdateNode(tellTime); err != nil {
		c.log.Debug("the others are told later", "err", err)
	}
}

// reasonError is an error that is a reason.
type reasonError struct{ why.Reason }

func (e reasonError) Error() string { return e.String() }

// explain keeps why there is no membership.
func (c *Cluster) explain(err error) {
	var r why.Reason
	if err != nil {
		r = why.New(why.PortUnavailable, "membership: %v", err)
		if known := (reasonError{}); errors.As(err, &known) {
			r = known.Reason
		}
	}
	c.mu.Lock()
	was := c.reason
	c.reason = r
	c.mu.Unlock()
	if r != was {
		c.signal()
	}
	if r == was || r.Code == why.NotSynced {
		return
	}
	c.opt.Report(r)
	if r.Code != why.OK {
		c.log.Warn("no membership", "reason", r.Code, "detail", r.String())
	}
}

// key derives the key of AES-256 from the Secret's text.
func (c *Cluster) key() ([]byte, error) {
	text, err := c.opt.Secret()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, reasonError{why.New(why.SecretMissing, "the membership's secret can't be read: %v", err)}
	}
	if strings.TrimSpace(text) == "" {
		return nil, reasonError{why.New(why.SecretMissing,
			"there is no secret for the membership; the one that the controller makes is seen within two minutes; without, make it with: kubectl create secret generic -n metallb-system memberlist --from-literal=secretkey=\"$(openssl rand -base64 128)\"")}
	}
	sum := sha256.Sum256([]byte(text))
	return sum[:], nil
}

// open listens, and is a member then: the only one, to begin with.
func (c *Cluster) open() (*memberlist.Memberlist, error) {
	addr := c.opt.BindAddr
	if !addr.IsValid() {
		c.mu.Lock()
		addr = c.self
		c.mu.Unlock()
	}
	if !addr.IsValid() {
		return nil, reasonError{why.New(why.NotSynced, "the own node's address is not yet known")}
	}
	key, err := c.key()
	if err != nil {
		return nil, err
	}
	cfg := memberlist.DefaultLANConfig()
	cfg.Name = c.opt.Name
	cfg.BindAddr, cfg.BindPort = addr.String(), int(c.opt.BindPort)
	cfg.AdvertiseAddr, cfg.AdvertisePort = addr.String(), int(c.opt.BindPort)
	if addr.IsUnspecified() {
		cfg.AdvertiseAddr = ""
	}
	cfg.SecretKey = key
	cfg.DeadNodeReclaimTime = reclaimTime
	c.opt.Tuning.apply(cfg)
	cfg.Delegate = (*delegate)(c)
	cfg.Events = (*events)(c)
	cfg.Logger = newLogger(c.log)
	list, err := memberlist.Create(cfg)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", netip.AddrPortFrom(addr, c.opt.BindPort), err)
	}
	return list, nil
}

// join asks the nodes that are not members to take us in. Those that nobody
// listens on are found out about first, as that can be given up when ctx ends.
func (c *Cluster) join(ctx context.Context, list *memberlist.Memberlist) {
	missing := make(chan netip.Addr)
	var workers sync.WaitGroup
	for range joining {
		workers.Go(func() {
			for addr := range missing {
				at := netip.AddrPortFrom(addr, c.opt.BindPort).String()
				dialer := net.Dialer{Timeout: probeTime}
				conn, err := dialer.DialContext(ctx, "tcp", at)
				if err == nil {
					conn.Close()
					_, err = list.Join([]string{at})
				}
				if err != nil {
					c.log.Debug("node does not take part in the membership", "address", at, "err", err)
				}
			}
		})
	}
	for _, addr := range c.missing() {
		select {
		case missing <- addr:
		case <-ctx.Done():
		}
	}
	close(missing)
	workers.Wait()
}

// missing returns the addresses of nodes that are not members.
func (c *Cluster) missing() []netip.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	present := map[netip.Addr]bool{}
	for _, m := range c.members {
		present[m.addr] = true
	}
	return slices.DeleteFunc(slices.Clone(c.others), func(a netip.Addr) bool { return present[a] })
}
