package netns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// NS is a handle on one network namespace. Its methods may be called from any
// goroutine, until Close.
type NS struct {
	name string
	link *netlink.Handle

	mu     sync.RWMutex // of handle: Close changes it
	handle vnetns.NsHandle
}

// New makes a namespace, with loopback up. The name is for messages alone and
// need not be unique.
func New(name string) (*NS, error) {
	var ns *NS
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		var err error
		ns, err = current(name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make namespace %s: %w", name, err)
	}
	if err := ns.Up("lo"); err != nil {
		ns.Close()
		return nil, err
	}
	return ns, nil
}

// Current returns a handle on the namespace the program itself runs in.
func Current(name string) (*NS, error) {
	var ns *NS
	err := onThread(func() error {
		var err error
		ns, err = current(name)
		return err
	})
	return ns, err
}

// OfThread returns a handle on the namespace of the calling thread, such as that of a
// function that Do runs.
func OfThread(name string) (*NS, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return current(name)
}

func current(name string) (*NS, error) {
	handle, err := vnetns.Get()
	if err != nil {
		return nil, fmt.Errorf("open namespace: %w", err)
	}
	link, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		handle.Close()
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	return &NS{name: name, handle: handle, link: link}, nil
}

// Name returns the name given to New.
func (n *NS) Name() string { return n.name }

// Link returns an rtnetlink handle that works inside the namespace. It is
// shared: callers don't close it.
func (n *NS) Link() *netlink.Handle { return n.link }

// Fd returns the namespace's file descriptor, valid until Close.
func (n *NS) Fd() int { return int(n.handle) }

// Path returns a path by which other programs of the same user may open the
// namespace, such as ip(8)'s or nsenter(1)'s --net.
func (n *NS) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(n.handle)) }

// Close gives the handle up. The namespace itself ends with its last process
// and handle.
func (n *NS) Close() error {
	n.link.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.handle.Close()
}

// Do runs f on a thread inside the namespace. Sockets that f opens stay in the
// namespace; goroutines that f starts do not run in it. The program's own namespace
// takes no privilege to enter.
func (n *NS) Do(f func() error) error {
	return onThread(func() error {
		if _, err := n.enter(); err != nil {
			return err
		}
		return f()
	})
}

// enter moves the calling thread into the namespace, unless it is there already, and
// tells which. An HTTP client that dials of its own accord may still come here while the
// handle is closed.
func (n *NS) enter() (moved bool, err error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if here, err := vnetns.Get(); err == nil {
		defer here.Close()
		if here.Equal(n.handle) {
			return false, nil
		}
	}
	if err := vnetns.Set(n.handle); err != nil {
		return false, fmt.Errorf("enter namespace %s: %w", n.name, err)
	}
	return true, nil
}

// Enter moves the calling thread into the namespace until back is called; the goroutine
// has to be locked to the thread. If back fails the thread is not what it was, and must
// end with its goroutine.
func (n *NS) Enter() (back func() error, err error) {
	before, err := vnetns.Get()
	if err != nil {
		return nil, fmt.Errorf("open namespace: %w", err)
	}
	moved, err := n.enter()
	if err != nil {
		before.Close()
		return nil, err
	}
	if !moved {
		return before.Close, nil
	}
	return func() error {
		defer before.Close()
		return vnetns.Set(before)
	}, nil
}

// Start starts cmd inside the namespace.
func (n *NS) Start(cmd *exec.Cmd) error { return n.Do(cmd.Start) }

// Output runs a program inside the namespace to its end and returns what it
// printed on standard output; an error carries its standard error.
func (n *NS) Output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := n.Start(cmd); err != nil {
		return "", fmt.Errorf("%s: start %s: %w", n.name, name, err)
	}
	if err := cmd.Wait(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %s: %w: %s", n.name, strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// DialContext dials from inside the namespace. The address must be literal: a
// name would be looked up by goroutines outside it.
func (n *NS) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := n.Do(func() error {
		var err error
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen listens inside the namespace, on a literal address.
func (n *NS) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	var l net.Listener
	err := n.Do(func() error {
		var err error
		l, err = new(net.ListenConfig).Listen(ctx, network, address)
		return err
	})
	return l, err
}

// Sysctl sets a kernel parameter of the namespace, named as in sysctl(8), with
// dots or, where a device's name has dots, with slashes.
func (n *NS) Sysctl(key, value string) error {
	if !strings.Contains(key, "/") {
		key = strings.ReplaceAll(key, ".", "/")
	}
	return n.Do(func() error {
		if err := os.WriteFile("/proc/sys/"+key, []byte(value), 0o644); err != nil {
			return fmt.Errorf("%s: set %s=%s: %w", n.name, key, value, err)
		}
		return nil
	})
}

// Up sets a device up.
func (n *NS) Up(device string) error {
	l, err := n.device(device)
	if err != nil {
		return err
	}
	if err := n.link.LinkSetUp(l); err != nil {
		return fmt.Errorf("%s: set %s up: %w", n.name, device, err)
	}
	return nil
}

// Down sets a device down, as a cut cable would for its peer.
func (n *NS) Down(device string) error {
	l, err := n.device(device)
	if err != nil {
		return err
	}
	if err := n.link.LinkSetDown(l); err != nil {
		return fmt.Errorf("%s: set %s down: %w", n.name, device, err)
	}
	return nil
}

// AddAddr gives a device an address with its prefix length. An IPv6 address is
// usable at once: duplicate address detection is left out.
func (n *NS) AddAddr(device string, prefix netip.Prefix) error {
	l, err := n.device(device)
	if err != nil {
		return err
	}
	addr := &netlink.Addr{IPNet: ipNet(prefix)}
	if prefix.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	if err := n.link.AddrAdd(l, addr); err != nil {
		return fmt.Errorf("%s: add %s to %s: %w", n.name, prefix, device, err)
	}
	return nil
}

// AddRoute adds a route to a prefix by way of a gateway.
func (n *NS) AddRoute(prefix netip.Prefix, gateway netip.Addr) error {
	route := &netlink.Route{Dst: ipNet(prefix), Gw: gateway.AsSlice()}
	if err := n.link.RouteAdd(route); err != nil {
		return fmt.Errorf("%s: add route %s via %s: %w", n.name, prefix, gateway, err)
	}
	return nil
}

// AddBridge makes a bridge and sets it up; snooping is off, so that it behaves
// as a plain segment.
func (n *NS) AddBridge(name string) error {
	off := false
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}, MulticastSnooping: &off}
	if err := n.link.LinkAdd(br); err != nil {
		return fmt.Errorf("%s: add bridge %s: %w", n.name, name, err)
	}
	return n.Up(name)
}

// Enslave plugs a device into a bridge of the same namespace.
func (n *NS) Enslave(device, bridge string) error {
	l, err := n.device(device)
	if err != nil {
		return err
	}
	br, err := n.device(bridge)
	if err != nil {
		return err
	}
	if err := n.link.LinkSetMaster(l, br); err != nil {
		return fmt.Errorf("%s: plug %s into %s: %w", n.name, device, bridge, err)
	}
	return nil
}

// Delete removes a device, and with it the other end if it is a veth.
func (n *NS) Delete(device string) error {
	l, err := n.device(device)
	if err != nil {
		return err
	}
	if err := n.link.LinkDel(l); err != nil {
		return fmt.Errorf("%s: delete %s: %w", n.name, device, err)
	}
	return nil
}

// Veth joins two namespaces with a cable, a device in each, both up.
func Veth(a *NS, deviceA string, b *NS, deviceB string) error {
	veth := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: deviceA},
		PeerName:      deviceB,
		PeerNamespace: netlink.NsFd(b.Fd()),
	}
	if err := a.link.LinkAdd(veth); err != nil {
		return fmt.Errorf("join %s %s with %s %s: %w", a.name, deviceA, b.name, deviceB, err)
	}
	if err := a.Up(deviceA); err != nil {
		return err
	}
	return b.Up(deviceB)
}

func (n *NS) device(name string) (netlink.Link, error) {
	l, err := n.link.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("%s: device %s: %w", n.name, name, err)
	}
	return l, nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// onThread runs f on a thread that is put back in its namespace afterwards. If
// that fails the thread stays locked and ends with its goroutine, so that no
// other goroutine is ever scheduled on it.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		origin, err := vnetns.Get()
		if err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("open own namespace: %w", err)
			return
		}
		defer origin.Close()
		err = f()
		if vnetns.Set(origin) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}
