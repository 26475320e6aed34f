package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pharoslb/pharos/internal/linux/container"
	"github.com/pharoslb/pharos/internal/linux/netns"
)

// program is what runs as a container.
type program interface {
	PID() int              // 0: no process of its own
	Done() <-chan struct{} // closed when it has ended
	Exit() container.Exit  // valid after Done
	Terminate()            // asks it to end (SIGTERM)
	Kill()                 // ends it
}

// process is a host program.
type process struct{ *container.Process }

func (p process) Terminate() { p.Signal(syscall.SIGTERM) }

// greeter stands in for an image without a command: on every declared port it
// answers with the pod's host name and a newline, to HTTP whatever the path, to
// UDP whatever the datagram.
type greeter struct {
	greeting []byte
	servers  []*http.Server
	packets  []net.PacketConn
	serving  sync.WaitGroup
	once     sync.Once
	done     chan struct{}
	exit     container.Exit
}

// greet starts a greeter in a namespace; out gets one line per port.
func greet(ctx context.Context, ns *netns.NS, hostname string, ports []corev1.ContainerPort, out io.Writer) (*greeter, error) {
	g := &greeter{greeting: []byte(hostname + "\n"), done: make(chan struct{})}
	for _, port := range ports {
		if err := g.listen(ctx, ns, port); err != nil {
			g.end(container.Exit{Code: 1}, func(s *http.Server) { s.Close() })
			return nil, err
		}
		fmt.Fprintf(out, "serving %q on port %d/%s\n", hostname, port.ContainerPort, port.Protocol)
	}
	return g, nil
}

func (g *greeter) listen(ctx context.Context, ns *netns.NS, port corev1.ContainerPort) error {
	address := ":" + strconv.Itoa(int(port.ContainerPort))
	switch port.Protocol {
	case corev1.ProtocolUDP:
		var conn net.PacketConn
		err := ns.Do(func() error {
			var err error
			conn, err = new(net.ListenConfig).ListenPacket(ctx, "udp", address)
			return err
		})
		if err != nil {
			return err
		}
		g.packets = append(g.packets, conn)
		g.serving.Go(func() { g.answerPackets(conn) })
	case corev1.ProtocolTCP, "":
		l, err := ns.Listen(ctx, "tcp", address)
		if err != nil {
			return err
		}
		server := &http.Server{Handler: g, ReadHeaderTimeout: time.Minute}
		g.servers = append(g.servers, server)
		g.serving.Go(func() { server.Serve(l) })
	default:
		return fmt.Errorf("port %d: the built-in server does not speak %s", port.ContainerPort, port.Protocol)
	}
	return nil
}

func (g *greeter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write(g.greeting)
}

func (g *greeter) answerPackets(conn net.PacketConn) {
	buf := make([]byte, 64<<10)
	for {
		_, from, err := conn.ReadFrom(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err == nil:
			// A lost answer is the network's; the client asks again.
			conn.WriteTo(g.greeting, from)
		}
	}
}

func (g *greeter) PID() int              { return 0 }
func (g *greeter) Done() <-chan struct{} { return g.done }
func (g *greeter) Exit() container.Exit  { return g.exit }

// Terminate lets requests that have begun end, as nginx does on SIGQUIT, the
// stop signal of its image.
func (g *greeter) Terminate() {
	go g.end(container.Exit{}, func(s *http.Server) { s.Shutdown(context.Background()) })
}

func (g *greeter) Kill() {
	for _, s := range g.servers { // a Shutdown that is under way ends by this
		s.Close()
	}
	g.end(container.Exit{Code: 128 + int(syscall.SIGKILL), Signal: syscall.SIGKILL}, func(s *http.Server) {})
}

func (g *greeter) end(exit container.Exit, stop func(*http.Server)) {
	g.once.Do(func() {
		for _, conn := range g.packets {
			conn.Close()
		}
		for _, s := range g.servers {
			stop(s)
		}
		g.serving.Wait()
		g.exit = exit
		close(g.done)
	})
}

// logFile opens the file of a container's run. Programs write to it directly.
func logFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}
