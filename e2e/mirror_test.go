package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pharoslb/pharos/internal/lab"
	"github.com/pharoslb/pharos/internal/linux/netns"
)

// The ports of a mirror.
const (
	mirrorTCP = "8080"
	mirrorUDP = "8081"
)

// exchange bounds one exchange with a mirror.
const exchange = 3 * time.Second

// mirrors stands a server in each of the walk-through's pods that tells its
// pod's name and the address that it was called from: to a datagram, and over a
// connection, which from then on sends back what it hears. They end with the
// test.
func (w world) mirrors() {
	w.t.Helper()
	var open []io.Closer
	var serving sync.WaitGroup
	w.t.Cleanup(func() {
		for _, c := range open {
			c.Close()
		}
		serving.Wait()
	})
	for _, pod := range w.pods() {
		ns, err := w.NS("pod/" + pod)
		if err != nil {
			w.t.Fatal(err)
		}
		l, err := ns.Listen(w.t.Context(), "tcp", ":"+mirrorTCP)
		if err != nil {
			w.t.Fatal(err)
		}
		var packets net.PacketConn
		err = ns.Do(func() (err error) {
			packets, err = new(net.ListenConfig).ListenPacket(w.t.Context(), "udp", ":"+mirrorUDP)
			return err
		})
		if err != nil {
			l.Close()
			w.t.Fatal(err)
		}
		open = append(open, l, packets)
		serving.Go(func() { reflectConns(l, pod) })
		serving.Go(func() { reflectPackets(packets, pod) })
	}
}

func greeting(pod string, caller net.Addr) string {
	host, _, _ := net.SplitHostPort(caller.String())
	return pod + " " + host + "\n"
}

func reflectConns(l net.Listener, pod string) {
	var mu sync.Mutex
	open := map[net.Conn]struct{}{}
	var serving sync.WaitGroup
	for {
		conn, err := l.Accept()
		if err != nil {
			break
		}
		mu.Lock()
		open[conn] = struct{}{}
		mu.Unlock()
		serving.Go(func() {
			io.WriteString(conn, greeting(pod, conn.RemoteAddr()))
			io.Copy(conn, conn)
			mu.Lock()
			delete(open, conn)
			mu.Unlock()
			conn.Close()
		})
	}
	mu.Lock()
	for conn := range open {
		conn.Close()
	}
	mu.Unlock()
	serving.Wait()
}

func reflectPackets(packets net.PacketConn, pod string) {
	buf := make([]byte, 1500)
	for {
		_, from, err := packets.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			packets.WriteTo([]byte(greeting(pod, from)), from)
		}
	}
}

// call is a conversation with a mirror.
type call struct {
	net.Conn
	lines *bufio.Reader
	pod   string     // that answers
	seen  netip.Addr // the caller's address, as the pod sees it
}

// dial calls a mirror from a namespace, over TCP or UDP.
func dial(ctx context.Context, ns *netns.NS, network, addr string) (*call, error) {
	ctx, cancel := context.WithTimeout(ctx, exchange)
	defer cancel()
	conn, err := ns.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &call{Conn: conn, lines: bufio.NewReader(conn)}
	if err := c.introduce(network); err != nil {
		conn.Close()
		return nil, fmt.Errorf("%s %s: %w", network, addr, err)
	}
	return c, nil
}

func (c *call) introduce(network string) error {
	c.SetDeadline(time.Now().Add(exchange))
	if network == "udp" {
		if _, err := io.WriteString(c, "who are you?\n"); err != nil {
			return err
		}
	}
	line, err := c.lines.ReadString('\n')
	if err != nil {
		return err
	}
	pod, seen, _ := strings.Cut(strings.TrimSpace(line), " ")
	c.pod = pod
	c.seen, err = netip.ParseAddr(seen)
	return err
}

// alive sends something and has it come back.
func (c *call) alive() error {
	c.SetDeadline(time.Now().Add(exchange))
	if _, err := io.WriteString(c, "still there?\n"); err != nil {
		return err
	}
	line, err := c.lines.ReadString('\n')
	if err == nil && line != "still there?\n" {
		err = fmt.Errorf("heard %q", line)
	}
	return err
}

// meeting is one short call.
type meeting struct {
	pod  string
	seen netip.Addr
}

// meet calls a mirror from a place and hangs up.
func (w world) meet(place, network, addr string) (meeting, error) {
	ns, err := w.NS(place)
	if err != nil {
		return meeting{}, err
	}
	c, err := dial(w.t.Context(), ns, network, addr)
	if err != nil {
		return meeting{}, err
	}
	defer c.Close()
	return meeting{c.pod, c.seen}, nil
}

// meetings waits until a mirror is met at an address, and then meets one so many
// times: every call has to be answered.
func (w world) meetings(place, network, addr string, calls int) []meeting {
	w.t.Helper()
	w.eventually(place+" is answered by "+addr, func() error {
		_, err := w.meet(place, network, addr)
		return err
	})
	var all []meeting
	for i := range calls {
		m, err := w.meet(place, network, addr)
		if err != nil {
			w.t.Fatalf("call %d of %d from %s: %v", i+1, calls, place, err)
		}
		all = append(all, m)
	}
	return all
}

// silent calls an address so many times at once and fails where a mirror
// answers: not every call takes the same way.
func (w world) silent(place, addr string, calls int) error {
	errs := make([]error, calls)
	var calling sync.WaitGroup
	for i := range errs {
		calling.Go(func() {
			if m, err := w.meet(place, "tcp", addr); err == nil {
				errs[i] = fmt.Errorf("%s answers", m.pod)
			}
		})
	}
	calling.Wait()
	return errors.Join(errs...)
}

// met counts who answered.
func met(all []meeting) map[string]int {
	pods := map[string]int{}
	for _, m := range all {
		pods[m.pod]++
	}
	return pods
}

// requests is a client that goes on asking the walk-through's Service, one
// request after the other, each over a new connection, until it is stopped.
type requests struct {
	stop  context.CancelFunc
	done  chan struct{}
	asked int
	lost  []error
}

// asking starts to ask.
func (w world) asking() *requests {
	ctx, stop := context.WithCancel(w.t.Context())
	r := &requests{stop: stop, done: make(chan struct{})}
	w.t.Cleanup(func() { stop(); <-r.done })
	go func() {
		defer close(r.done)
		for ctx.Err() == nil {
			r.asked++
			if err := w.ask(lab.VIP); err != nil {
				r.lost = append(r.lost, fmt.Errorf("request %d: %w", r.asked, err))
			}
		}
	}()
	return r
}

// answered stops the client, and fails where more requests were lost than the
// times that the switch's next hops changed: one that is under way then may
// find itself on another node, which does not know its connection.
func (r *requests) answered(t *testing.T, changes int) {
	t.Helper()
	r.stop()
	<-r.done
	if len(r.lost) > changes || r.asked == 0 {
		t.Errorf("%d of %d requests are lost, %d may be: %v", len(r.lost), r.asked, changes, errors.Join(r.lost...))
	}
}
