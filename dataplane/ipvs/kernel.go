package ipvs

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"time"

	mobyipvs "github.com/moby/ipvs"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// kernel is the rim: it does steps in one network namespace, one after the other.
type kernel struct {
	netns  int
	sets   ipsets
	ipvs   *mobyipvs.Handle // nil: to be opened
	links  *netlink.Handle  // nil: to be opened
	device netlink.Link     // nil: to be looked up
	rules  [2]iptables      // by family
}

func newKernel(ns int) *kernel {
	k := &kernel{netns: ns, sets: ipsets{netns: ns}}
	for i := range k.rules {
		k.rules[i] = iptables{ipv6: i == 1, netns: ns, inside: k.inside}
	}
	return k
}

// inside runs f on a thread in the namespace.
func (k *kernel) inside(f func() error) error {
	if k.netns == 0 {
		return f()
	}
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := netns.Set(netns.NsHandle(k.netns)); err != nil {
			result <- fmt.Errorf("enter the network namespace: %w", err)
			return
		}
		result <- f()
	}()
	return <-result
}

// open opens what is not open yet.
func (k *kernel) open() error {
	if k.links == nil {
		at := netns.None()
		if k.netns != 0 {
			at = netns.NsHandle(k.netns)
		}
		links, err := netlink.NewHandleAt(at, unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("open rtnetlink: %w", err)
		}
		k.links = links
	}
	if k.ipvs == nil {
		path := ""
		if k.netns != 0 {
			path = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), k.netns)
		}
		if err := probeIPVS(); err != nil {
			return err
		}
		handle, err := mobyipvs.New(path)
		if err != nil {
			return fmt.Errorf("open IPVS: %w", err)
		}
		k.ipvs = handle
	}
	return nil
}

// findDevice looks the interface up; found says whether there is one.
func (k *kernel) findDevice() (found bool, err error) {
	link, err := k.links.LinkByName(device)
	var none netlink.LinkNotFoundError
	switch {
	case errors.As(err, &none):
		k.device = nil
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for %s: %w", device, err)
	}
	k.device = link
	return true, nil
}

// makeDevice makes the interface: a dummy that answers no ARP and stays down. Its
// addresses are local all the same.
func (k *kernel) makeDevice() error {
	link := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: device}}
	if err := k.links.LinkAdd(link); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("make %s: %w", device, err)
	}
	if found, err := k.findDevice(); err != nil || !found {
		return errors.Join(err, fmt.Errorf("%s is gone as soon as it is made", device))
	}
	if err := k.links.LinkSetARPOff(k.device); err != nil {
		return fmt.Errorf("switch ARP off on %s: %w", device, err)
	}
	return nil
}

// do does the steps. On an error it takes back those that were done.
func (k *kernel) do(steps []step) (err error) {
	done := 0
	for done < len(steps) {
		n := run(steps[done:])
		if err = k.one(steps[done : done+n]); err != nil {
			break
		}
		done += n
	}
	if err == nil {
		err = k.settle(steps)
	}
	if err == nil {
		return nil
	}
	if done < len(steps) && steps[done].what == theElement {
		done += run(steps[done:]) // of which some may have been done
	}
	for _, s := range slices.Backward(steps[:done]) {
		if failed := k.one([]step{s.undo()}); failed != nil {
			err = errors.Join(err, fmt.Errorf("take back: %w", failed))
		}
	}
	return err
}

// run returns how many of the steps go in one message: elements of one set and
// family that are all added or all removed.
func run(steps []step) int {
	first := steps[0]
	n := 1
	for first.what == theElement && n < len(steps) && steps[n].what == theElement && (steps[n].verb == remove) == (first.verb == remove) &&
		steps[n].element.set == first.element.set && steps[n].element.addr.Is6() == first.element.addr.Is6() {
		n++
	}
	return n
}

// one does one step, or a run of elements.
func (k *kernel) one(steps []step) error {
	s := &steps[0]
	switch s.what {
	case theElement:
		elements := make([]element, len(steps))
		for i := range steps {
			elements[i] = steps[i].element
		}
		command := cmdAdd
		if s.verb == remove {
			command = cmdDel
		}
		return k.sets.change(command, elements)
	case theAddr:
		return k.address(s)
	case theVirtual:
		return k.virtual(s)
	}
	return k.destination(s)
}

func (k *kernel) address(s *step) error {
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: s.addr.AsSlice(), Mask: net.CIDRMask(s.addr.BitLen(), s.addr.BitLen())}}
	if s.addr.Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	change, what := k.links.AddrAdd, "add"
	if s.verb == remove {
		change, what = k.links.AddrDel, "remove"
	}
	if err := change(k.device, addr); err != nil {
		return fmt.Errorf("%s address %s of %s: %w", what, s.addr, device, err)
	}
	return nil
}

// settleTime bounds how long a new address is waited for. The kernel needs microseconds
// unless it is busy.
const settleTime = 2 * time.Second

// settle waits until the kernel takes packets to new IPv6 addresses in: it adds their routes
// some time after it has said that they are there (net/ipv6/addrconf.c). A connection
// that began before would be forwarded, and remembered so, as long as its client asks.
func (k *kernel) settle(steps []step) error {
	deadline := time.Now().Add(settleTime)
	for _, s := range steps {
		if s.what != theAddr || s.verb == remove || !s.addr.Is6() {
			continue
		}
		for {
			routes, err := k.links.RouteGet(s.addr.AsSlice())
			if err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL {
				break
			}
			if time.Now().After(deadline) {
				return errors.Join(fmt.Errorf("address %s of %s does not come into force: its route is %v", s.addr, device, routes), err)
			}
			time.Sleep(settleTime / 2000)
		}
	}
	return nil
}

func service(key virtualKey, s setting) *mobyipvs.Service {
	result := &mobyipvs.Service{
		AddressFamily: uint16(familyOf(key.addr.Is6())), FWMark: key.mark, SchedName: s.scheduler,
		Flags: s.flags, Timeout: s.timeout, Netmask: 0xffffffff,
	}
	if key.addr.Is6() {
		result.Netmask = 128
	}
	if key.mark == 0 {
		result.Address, result.Protocol, result.Port = key.addr.AsSlice(), key.protocol, key.port
	}
	return result
}

func (k *kernel) virtual(s *step) error {
	var err error
	switch s.verb {
	case add:
		err = k.ipvs.NewService(service(s.key, s.now))
	case set:
		err = k.ipvs.UpdateService(service(s.key, s.now))
	case remove:
		err = k.ipvs.DelService(service(s.key, s.was))
	}
	if errors.Is(err, unix.ENOENT) && s.verb != remove {
		err = fmt.Errorf("the kernel has no scheduler %s (module ip_vs_%[1]s): %w", s.now.scheduler, err)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", s.verb, s.key, err)
	}
	return nil
}

func (k *kernel) destination(s *step) error {
	d := s.to
	if s.verb == remove {
		d = s.from
	}
	at := service(s.key, setting{})
	real := &mobyipvs.Destination{Address: d.addr.Addr().AsSlice(), Port: d.addr.Port(), Weight: d.weight, ConnectionFlags: d.method, AddressFamily: at.AddressFamily}
	var err error
	switch s.verb {
	case add:
		err = k.ipvs.NewDestination(at, real)
	case set:
		err = k.ipvs.UpdateDestination(at, real)
	case remove:
		err = k.ipvs.DelDestination(at, real)
	}
	if err != nil {
		return fmt.Errorf("%s destination %s of %s: %w", s.verb, d.addr, s.key, err)
	}
	return nil
}

func (v verb) String() string { return [...]string{"add", "change", "remove"}[v] }

func addrOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}
