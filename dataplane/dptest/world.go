package dptest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

// World is the topology of the package's picture in namespaces, with a server
// on every pod and on the node under test. It ends with its test.
type World struct {
	NS     [places]*netns.NS // Client and Client2 are one
	driver dataplane.Driver

	// port is the source port used last. Each is used once: the kernel would
	// take a later connection from the same port for the same one.
	port atomic.Uint32
}

// NewWorld makes a World around the driver that make returns for the network
// namespace of the node under test, given as a file descriptor. Without
// namespaces it skips the test.
func NewWorld(t testing.TB, make func(netns int) dataplane.Driver) *World {
	t.Helper()
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	w := &World{}
	w.port.Store(20000)
	b := &worldBuilder{t: t}
	client, other := b.ns("client"), b.ns("n2")
	w.NS = [places]*netns.NS{client, client, b.ns("n1"), b.ns("pod1"), b.ns("pod2"), b.ns("pod3")}
	segment := b.ns("segment")
	b.do(segment.AddBridge("br0"))
	b.plug(segment, client, 0, Families[0].Addrs[Client], Families[0].Addrs[Client2], Families[1].Addrs[Client], Families[1].Addrs[Client2])
	b.plug(segment, w.NS[Node1], 1, Families[0].Addrs[Node1], Families[1].Addrs[Node1])
	b.plug(segment, other, 2, Families[0].Other, Families[1].Other)
	for _, f := range Families {
		for _, node := range []*netns.NS{w.NS[Node1], other} {
			if f.any.Is4() {
				b.do(node.Sysctl("net.ipv4.ip_forward", "1"))
			} else {
				b.do(node.Sysctl("net.ipv6.conf.all.forwarding", "1"))
			}
		}
	}
	// Every refusal is to be heard, not one a second.
	b.do(w.NS[Node1].Sysctl("net.ipv4.icmp_ratelimit", "0"), w.NS[Node1].Sysctl("net.ipv6.icmp.ratelimit", "0"))
	b.pod(w.NS[Node1], w.NS[Pod1], "pod1", 0, Pod1)
	b.pod(w.NS[Node1], w.NS[Pod2], "pod2", 0, Pod2)
	b.pod(other, w.NS[Pod3], "pod3", 1, Pod3)
	for _, f := range Families {
		everything := netip.PrefixFrom(f.any, 0)
		b.do(
			client.AddRoute(f.PodNets[0], f.Addrs[Node1]), client.AddRoute(f.PodNets[1], f.Other), client.AddRoute(f.Services, f.Addrs[Node1]),
			w.NS[Node1].AddRoute(f.PodNets[1], f.Other), w.NS[Node1].AddRoute(everything, f.Addrs[Client]),
			other.AddRoute(f.PodNets[0], f.Addrs[Node1]), other.AddRoute(f.Services, f.Addrs[Node1]),
		)
		for _, p := range []Place{Node1, Pod1, Pod2, Pod3} {
			serve(t, w.NS[p], netip.AddrPortFrom(f.Addrs[p], targetPort))
		}
	}
	w.driver = make(w.NS[Node1].Fd())
	return w
}

type worldBuilder struct{ t testing.TB }

func (b *worldBuilder) do(errs ...error) {
	b.t.Helper()
	for _, err := range errs {
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *worldBuilder) ns(name string) *netns.NS {
	b.t.Helper()
	ns, err := netns.New(name)
	b.do(err)
	b.t.Cleanup(func() { ns.Close() })
	return ns
}

// plug plugs a machine into the segment.
func (b *worldBuilder) plug(segment, ns *netns.NS, n int, addrs ...netip.Addr) {
	b.t.Helper()
	port := fmt.Sprintf("port%d", n)
	b.do(netns.Veth(ns, "eth0", segment, port), segment.Enslave(port, "br0"))
	for _, a := range addrs {
		for _, f := range Families {
			if f.Segment.Contains(a) {
				b.do(ns.AddAddr("eth0", netip.PrefixFrom(a, f.Segment.Bits())))
			}
		}
	}
}

// pod gives a node a pod of the World.
func (b *worldBuilder) pod(node, pod *netns.NS, device string, net int, place Place) {
	b.t.Helper()
	b.do(netns.Veth(node, device, pod, "eth0"))
	for _, f := range Families {
		b.podAddr(node, pod, device, f.Addrs[place], f.Gateways[net])
	}
}

// podAddr gives a pod an address, as routing CNIs do: the gateway's address on
// each of the node's ends, and a route for the pod's own.
func (b *worldBuilder) podAddr(node, pod *netns.NS, device string, own, gateway netip.Addr) {
	b.t.Helper()
	full := own.BitLen()
	everything := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if own.Is6() {
		everything = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	b.do(
		node.AddAddr(device, netip.PrefixFrom(gateway, full)), node.AddLinkRoute(netip.PrefixFrom(own, full), device),
		pod.AddAddr("eth0", netip.PrefixFrom(own, full)), pod.AddLinkRoute(netip.PrefixFrom(gateway, full), "eth0"),
		pod.AddRoute(everything, gateway),
	)
}

// doors opens an address of a namespace for TCP and UDP.
func doors(t testing.TB, ns *netns.NS, at netip.AddrPort) (l net.Listener, u net.PacketConn) {
	t.Helper()
	err := ns.Do(func() (err error) {
		if l, err = net.Listen("tcp", at.String()); err != nil {
			return err
		}
		u, err = net.ListenPacket("udp", at.String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return l, u
}

// serve answers on TCP and UDP with a line that tells the own address and the
// client's; TCP then sends back what it gets.
func serve(t testing.TB, ns *netns.NS, at netip.AddrPort) {
	t.Helper()
	l, u := doors(t, ns, at)
	var serving sync.WaitGroup
	t.Cleanup(func() { l.Close(); u.Close(); serving.Wait() })
	greeting := func(from string) string {
		return fmt.Sprintf("%s %s\n", at, netip.MustParseAddrPort(from).Addr().Unmap())
	}
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the client
				defer conn.Close()
				io.WriteString(conn, greeting(conn.RemoteAddr().String()))
				io.Copy(conn, conn)
			}()
		}
	})
	serving.Go(func() {
		buffer := make([]byte, 64)
		for {
			_, from, err := u.ReadFrom(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				u.WriteTo([]byte(greeting(from.String())), from)
			}
		}
	})
}

// Driver returns the driver under test.
func (w *World) Driver() dataplane.Driver { return w.driver }

// Restart replaces the driver by another one, as a new process would.
func (w *World) Restart(d dataplane.Driver) { w.driver = d }

// Dial begins a connection at a place. A UDP connection has sent nothing yet.
func (w *World) Dial(from Place, p dataplane.Packet, patience time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var conn net.Conn
	err := w.NS[from].Do(func() (err error) {
		local := netip.AddrPortFrom(p.Src, uint16(w.port.Add(1)))
		dialer := net.Dialer{LocalAddr: net.Addr(net.TCPAddrFromAddrPort(local))}
		if p.Protocol == pharos.UDP {
			dialer.LocalAddr = net.UDPAddrFromAddrPort(local)
		}
		conn, err = dialer.DialContext(ctx, strings.ToLower(string(p.Protocol)), p.Dst.String())
		return err
	})
	return conn, err
}

// Send connects for real.
func (w *World) Send(t testing.TB, from Place, p dataplane.Packet, patience time.Duration) Observation {
	t.Helper()
	conn, err := w.Dial(from, p, patience)
	if err == nil {
		defer conn.Close()
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetLinger(0) // hundreds of these leave no port waiting
		}
		var o Observation
		if o, err = Greet(conn, p.Protocol, patience); err == nil {
			return o
		}
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return Observation{Action: dataplane.Reject}
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return Observation{Action: dataplane.Drop}
	}
	t.Errorf("%s to %s: %v", from, p.Dst, err)
	return Observation{}
}

// Greet reads a server's greeting, which UDP has to ask for.
func Greet(conn net.Conn, protocol pharos.Protocol, patience time.Duration) (Observation, error) {
	conn.SetDeadline(time.Now().Add(patience))
	defer conn.SetDeadline(time.Time{})
	if protocol == pharos.UDP {
		// On the node itself a packet that is refused or dropped can't be sent at
		// all; what its sender is told besides comes as an answer.
		if _, err := conn.Write([]byte("?")); err != nil && !errors.Is(err, syscall.EPERM) {
			return Observation{}, err
		}
	}
	line, err := bufio.NewReaderSize(conn, 128).ReadString('\n')
	if err != nil {
		return Observation{}, err
	}
	backend, source, _ := strings.Cut(strings.TrimSpace(line), " ")
	o := Observation{Action: dataplane.Accept}
	if o.Backend, err = netip.ParseAddrPort(backend); err != nil {
		return o, err
	}
	o.Source, err = netip.ParseAddr(source)
	return o, err
}
