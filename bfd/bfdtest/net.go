package bfdtest

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/pharoslb/pharos/bfd"
)

// Device is the only network device that a Host has; Index is its number.
const (
	Device = "eth0"
	Index  = 2
)

// socketRoom is how many datagrams wait at a host at most; later ones are lost.
const socketRoom = 256

// Net is an in-memory network on which every host reaches every other at once. Its
// methods may be called from any goroutine.
type Net struct {
	mu    sync.Mutex
	hosts map[netip.Addr]*Host
	hops  uint8
	port  uint16
}

// NewNet makes a network without hosts.
func NewNet() *Net { return &Net{hosts: make(map[netip.Addr]*Host), port: bfd.FirstSourcePort} }

// Hops puts routers between all hosts, each of which takes one from the time to live.
func (n *Net) Hops(routers int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hops = uint8(routers)
}

// Host adds a host with these addresses, up and forwarding.
func (n *Net) Host(addrs ...netip.Addr) *Host {
	h := &Host{net: n, addrs: addrs, forwards: true, wake: make(chan struct{}, 1), arrived: make(chan struct{}, 1)}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range addrs {
		n.hosts[a] = h
	}
	return h
}

// Host is a host's bfd.Transport.
type Host struct {
	net   *Net
	addrs []netip.Addr

	// What follows is under the network's lock.
	cut      bool
	forwards bool
	mute     bool          // cannot send echoes
	frozen   chan struct{} // closed by Thaw; nil: not frozen
	inbox    []bfd.Datagram

	wake, arrived chan struct{}
}

// Cut takes the host's link down: nothing leaves or arrives, nobody is told. Mend
// heals it.
func (h *Host) Cut() { h.set(func() { h.cut = true }) }

// Mend heals the link.
func (h *Host) Mend() { h.set(func() { h.cut = false }) }

// Forward says if the host's kernel forwards, and so loops echoes back. It does
// until told otherwise.
func (h *Host) Forward(on bool) { h.set(func() { h.forwards = on }) }

// Mute says if the host's system can send no echoes (bfd.ErrNoEcho).
func (h *Host) Mute(on bool) { h.set(func() { h.mute = on }) }

// Freeze stops the host's process: Wait does not return until Thaw.
func (h *Host) Freeze() { h.set(func() { h.frozen = make(chan struct{}) }) }

// Thaw lets the process go on.
func (h *Host) Thaw() {
	h.set(func() {
		close(h.frozen)
		h.frozen = nil
	})
}

func (h *Host) set(f func()) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	f()
}

// Inject delivers a datagram as if it came over the network. Its time is now.
func (h *Host) Inject(d bfd.Datagram) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.deliver(d)
}

func (h *Host) deliver(d bfd.Datagram) {
	if h.cut || len(h.inbox) >= socketRoom {
		return
	}
	d.At, d.Data = time.Now(), bytes.Clone(d.Data)
	h.inbox = append(h.inbox, d)
	signal(h.arrived)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Open is bfd.Transport's.
func (h *Host) Open(p bfd.Path) (bfd.Endpoint, error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	switch {
	case p.Interface != "" && p.Interface != Device:
		return nil, fmt.Errorf("interface %s: %w", p.Interface, syscall.ENODEV)
	case p.Local.IsValid() && !slices.Contains(h.addrs, p.Local):
		return nil, fmt.Errorf("bind to %v: %w", p.Local, syscall.EADDRNOTAVAIL)
	}
	e := &endpoint{host: h, path: p, source: p.Local, port: h.net.port}
	h.net.port++
	for _, a := range h.addrs {
		if !e.source.IsValid() && a.Is4() == p.Remote.Is4() {
			e.source = a
		}
	}
	if !e.source.IsValid() {
		return nil, syscall.ENETUNREACH
	}
	return e, nil
}

// Begin is bfd.Transport's. A fake has no kernel to ask.
func (h *Host) Begin() (end func()) { return func() {} }

// Wait is bfd.Transport's.
func (h *Host) Wait(until time.Time, packets bool) error {
	var late <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		late = t.C
	}
	for {
		h.net.mu.Lock()
		ready := packets && len(h.inbox) > 0
		h.net.mu.Unlock()
		if !ready {
			select {
			case <-late:
				ready = true
			case <-h.wake:
				ready = true
			case <-h.arrived:
			}
		}
		h.net.mu.Lock()
		frozen := h.frozen
		h.net.mu.Unlock()
		if frozen != nil {
			<-frozen
		}
		if ready {
			return nil
		}
	}
}

// Receive is bfd.Transport's.
func (h *Host) Receive(dst []bfd.Datagram) (n int, heard time.Time, err error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	n = copy(dst, h.inbox)
	h.inbox = slices.Delete(h.inbox, 0, n)
	if len(h.inbox) > 0 {
		return n, dst[n-1].At, nil
	}
	return n, time.Now(), nil
}

// Wake is bfd.Transport's.
func (h *Host) Wake() { signal(h.wake) }

type endpoint struct {
	host   *Host
	path   bfd.Path
	source netip.Addr
	port   uint16
}

func (e *endpoint) Send(b []byte) error {
	kind := bfd.SingleHop
	if e.path.Multihop {
		kind = bfd.Multihop
	}
	n := e.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if to := n.hosts[e.path.Remote]; to != nil && !e.host.cut {
		to.deliver(bfd.Datagram{
			Kind: kind, Source: e.source, Destination: e.path.Remote, Interface: Index, TTL: 255 - n.hops, Data: b,
		})
	}
	return nil
}

func (e *endpoint) SendEcho(b []byte) error {
	n := e.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if e.host.mute {
		return bfd.ErrNoEcho
	}
	if by := n.hosts[e.path.Remote]; by != nil && by.forwards && !by.cut && !e.host.cut {
		e.host.deliver(bfd.Datagram{
			Kind: bfd.EchoPacket, Source: e.source, Destination: e.source, Interface: Index, TTL: 254 - n.hops, Data: b,
		})
	}
	return nil
}

func (e *endpoint) Interface() int {
	if e.path.Interface == "" {
		return 0
	}
	return Index
}

func (e *endpoint) Close() error { return nil }
