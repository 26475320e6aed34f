package gossip

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pharoslb/pharos/speaker"
	"github.com/pharoslb/pharos/why"
)

const (
	// firstPause and longestPause bound how long nodes that are not members
	// are left alone. The pause doubles from one to the other, and starts anew
	// when the set of nodes changes.
	firstPause   = time.Second
	longestPause = 15 * time.Second

	// leaveTime bounds how long saying goodbye may take.
	leaveTime = time.Second

	// streamTime bounds one exchange of state, and probeTime the attempt to
	// connect before it.
	streamTime = 2 * time.Second
	probeTime  = time.Second

	// joining is how many nodes are asked at a time.
	joining = 8

	// reclaimTime is how long the name of a dead node stays with its address.
	reclaimTime = 10 * time.Second
)

// Options are a Cluster's.
type Options struct {
	// Name is the own node's. Required.
	Name string

	// BindAddr is the address to listen on and to be found at; the zero value
	// means the own address given to Set.
	BindAddr netip.Addr

	// BindPort is the port of TCP and UDP, the same on every node.
	BindPort uint16

	// Secret returns the text that all speakers share. An error that is
	// fs.ErrNotExist, or an empty text, means that there is none yet; it is
	// asked for again until there is.
	Secret func() (string, error)

	// Report is told why there is no membership, each reason once, and with OK
	// when there is again. It may be nil.
	Report func(why.Reason)

	// Log may be nil: nothing is logged.
	Log *slog.Logger
}

// Cluster is the membership as one node sees it. Its methods may be called from
// any goroutine.
type Cluster struct {
	opt  Options
	log  *slog.Logger
	wake chan struct{} // capacity 1: nodes changed

	mu      sync.Mutex
	self    netip.Addr
	others  []netip.Addr
	reason  why.Reason
	members map[string]netip.Addr
}

// New starts nothing.
func New(opt Options) *Cluster {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Report == nil {
		opt.Report = func(why.Reason) {}
	}
	return &Cluster{
		opt: opt, log: opt.Log,
		wake:    make(chan struct{}, 1),
		reason:  why.Reason{Code: why.NotSynced},
		members: map[string]netip.Addr{},
	}
}

// Set replaces the addresses at which the own node and all others are. It
// returns at once.
func (c *Cluster) Set(self netip.Addr, others []netip.Addr) {
	c.mu.Lock()
	c.self, c.others = self, slices.Clone(others)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Status returns who is alive.
func (c *Cluster) Status() speaker.MembershipStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := speaker.MembershipStatus{Reason: c.reason}
	for name, addr := range c.members {
		st.Members = append(st.Members, speaker.Member{Name: name, Addr: addr})
	}
	slices.SortFunc(st.Members, func(a, b speaker.Member) int { return strings.Compare(a.Name, b.Name) })
	return st
}

// Run takes part until ctx ends, and leaves then. What keeps it from taking
// part is told by Status and retried; Run returns nil.
func (c *Cluster) Run(ctx context.Context) error {
	var list *memberlist.Memberlist
	defer func() {
		if list == nil {
			return
		}
		if err := list.Leave(leaveTime); err != nil {
			c.log.Warn("leave the membership", "err", err)
		}
		if err := list.Shutdown(); err != nil {
			c.log.Warn("close the membership", "err", err)
		}
	}()
	pause := firstPause
	for {
		if list == nil {
			var err error
			list, err = c.open()
			c.explain(err)
		}
		if list != nil {
			c.join(ctx, list)
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
			"there is no secret for the membership; make it with: kubectl create secret generic -n metallb-system memberlist --from-literal=secretkey=\"$(openssl rand -base64 128)\"")}
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
	cfg.TCPTimeout = streamTime
	cfg.DeadNodeReclaimTime = reclaimTime
	cfg.EnableCompression = false // messages are small, its buffers are not
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
	for _, addr := range c.members {
		present[addr] = true
	}
	return slices.DeleteFunc(slices.Clone(c.others), func(a netip.Addr) bool { return present[a] })
}

// events hears from memberlist of members that come and go.
type events Cluster

// NotifyJoin implements memberlist.EventDelegate.
func (e *events) NotifyJoin(n *memberlist.Node) { e.set(n) }

// NotifyUpdate implements memberlist.EventDelegate.
func (e *events) NotifyUpdate(n *memberlist.Node) { e.set(n) }

func (e *events) set(n *memberlist.Node) {
	addr, _ := netip.AddrFromSlice(n.Addr)
	e.mu.Lock()
	e.members[n.Name] = addr.Unmap()
	e.mu.Unlock()
	e.log.Info("speaker is alive", "node", n.Name, "address", addr.Unmap())
}

// NotifyLeave implements memberlist.EventDelegate.
func (e *events) NotifyLeave(n *memberlist.Node) {
	e.mu.Lock()
	delete(e.members, n.Name)
	e.mu.Unlock()
	e.log.Info("speaker left or died", "node", n.Name)
}
