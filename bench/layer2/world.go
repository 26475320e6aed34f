package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/pharoslb/pharos/internal/linux/netns"
)

const echoPort = 7

var vips = netip.MustParsePrefix("192.0.2.128/25")

// world is a segment with nodes and a client on it.
type world struct {
	bridge, client *netns.NS
	nodes          map[string]*machine
}

// machine is one node.
type machine struct {
	*netns.NS
	name string
	addr netip.Addr
	cmd  *exec.Cmd
	log  lockedBuffer
}

func newWorld(n int) (*world, error) {
	w := &world{nodes: map[string]*machine{}}
	var err error
	if w.bridge, err = netns.New("segment"); err != nil {
		return nil, err
	}
	if err := w.bridge.AddBridge("br0"); err != nil {
		return nil, err
	}
	if w.client, err = netns.New("client"); err != nil {
		return nil, err
	}
	if err := w.plug(w.client, "client", netip.MustParsePrefix("192.0.2.100/24")); err != nil {
		return nil, err
	}
	for i := range n {
		m := &machine{name: fmt.Sprint("n", i+1), addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})}
		if m.NS, err = netns.New(m.name); err != nil {
			return nil, err
		}
		if err := w.plug(m.NS, m.name, netip.PrefixFrom(m.addr, 24)); err != nil {
			return nil, err
		}
		// The kernel itself must not answer for the addresses, which are on lo.
		if err := m.Sysctl("net.ipv4.conf.all.arp_ignore", "1"); err != nil {
			return nil, err
		}
		w.nodes[m.name] = m
	}
	return w, nil
}

func (w *world) plug(ns *netns.NS, port string, addr netip.Prefix) error {
	return errors.Join(netns.Veth(ns, "eth0", w.bridge, port), w.bridge.Enslave(port, "br0"), w.bridge.Up(port), ns.Up("eth0"), ns.AddAddr("eth0", addr))
}

func (w *world) close() {
	for _, m := range w.nodes {
		m.kill()
		m.Close()
	}
	w.client.Close()
	w.bridge.Close()
}

// start runs a node on every machine.
func (w *world) start(addrs []netip.Addr, bfd time.Duration) error {
	s := Setup{Nodes: map[string]netip.Addr{}, VIPs: addrs, BFD: bfd}
	for name, m := range w.nodes {
		s.Nodes[name] = m.addr
	}
	for _, name := range slices.Sorted(maps.Keys(w.nodes)) {
		m := w.nodes[name]
		for _, a := range addrs {
			if err := m.AddAddr("lo", netip.PrefixFrom(a, 32)); err != nil {
				return err
			}
		}
		s.Self = name
		text, err := json.Marshal(s)
		if err != nil {
			return err
		}
		m.cmd = exec.Command("/proc/self/exe")
		m.cmd.Env = append(os.Environ(), nodeMark+"="+string(text))
		m.cmd.Stderr = &m.log
		m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := m.Start(m.cmd); err != nil {
			return err
		}
	}
	return nil
}

// kill ends the node, and returns when it has ended. It alone waits for it.
func (m *machine) kill() {
	if m.cmd != nil && m.cmd.Process != nil {
		m.cmd.Process.Kill()
		m.cmd.Wait()
	}
	m.cmd = nil
}

// lockedBuffer is a child's log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// answer is one that the client got.
type answer struct {
	at   time.Time
	node string
}

// probe sends a datagram to an address every 2 ms, until it is closed.
type probe struct {
	conn net.Conn
	stop chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	answers []answer
}

func (w *world) probe(vip netip.Addr) (*probe, error) {
	p := &probe{stop: make(chan struct{})}
	err := w.client.Do(func() (err error) {
		p.conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(vip, echoPort)))
		return err
	})
	if err != nil {
		return nil, err
	}
	p.wg.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-p.stop:
				return
			case <-tick.C:
				p.conn.Write([]byte("?"))
			}
		}
	})
	p.wg.Go(func() {
		buf := make([]byte, 64)
		for {
			n, err := p.conn.Read(buf)
			select {
			case <-p.stop:
				return
			default:
			}
			if err != nil {
				time.Sleep(time.Millisecond)
				continue
			}
			p.mu.Lock()
			p.answers = append(p.answers, answer{time.Now(), string(buf[:n])})
			p.mu.Unlock()
		}
	})
	return p, nil
}

func (p *probe) close() {
	close(p.stop)
	p.conn.Close()
	p.wg.Wait()
}

// until waits for the first answer after a moment that is to be accepted.
func (p *probe) until(after time.Time, patience time.Duration, accept func(node string) bool) (answer, error) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		p.mu.Lock()
		i := slices.IndexFunc(p.answers, func(a answer) bool { return a.at.After(after) && accept(a.node) })
		if i >= 0 {
			a := p.answers[i]
			p.mu.Unlock()
			return a, nil
		}
		p.mu.Unlock()
	}
	return answer{}, errors.New("no answer within the patience")
}

// gap is how long nobody answered before an answer.
func (p *probe) gap(a answer) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.answers, func(b answer) bool { return b == a })
	if i < 1 {
		return 0
	}
	return a.at.Sub(p.answers[i-1].at)
}
