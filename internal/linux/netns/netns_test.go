package netns_test

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m.Run)) }

func newNS(t *testing.T, name string) *netns.NS {
	t.Helper()
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	ns, err := netns.New(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Two namespaces on one segment reach each other over a bridge in a third.
func TestSegmentCarriesTCP(t *testing.T) {
	a, b, segment := newNS(t, "a"), newNS(t, "b"), newNS(t, "segment")
	must(t, segment.AddBridge("br0"))
	for i, ns := range []*netns.NS{a, b} {
		port := fmt.Sprintf("port%d", i)
		must(t,
			netns.Veth(ns, "eth0", segment, port),
			segment.Enslave(port, "br0"),
			ns.AddAddr("eth0", netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 24)),
		)
	}
	l, err := b.Listen(t.Context(), "tcp", "192.0.2.2:80")
	must(t, err)
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err == nil {
			io.WriteString(conn, "hello from "+conn.RemoteAddr().String())
			conn.Close()
		}
	}()
	conn, err := a.DialContext(t.Context(), "tcp", "192.0.2.2:80")
	must(t, err)
	got, err := io.ReadAll(conn)
	must(t, err)
	if !strings.HasPrefix(string(got), "hello from 192.0.2.1:") {
		t.Errorf("the server saw %q, want the peer 192.0.2.1", got)
	}
}

func TestProgramsAndSysctlsAreInside(t *testing.T) {
	ns := newNS(t, "a")
	must(t, ns.Sysctl("net.ipv4.ip_forward", "1"))
	out, err := ns.Output(context.Background(), "cat", "/proc/sys/net/ipv4/ip_forward")
	must(t, err)
	if strings.TrimSpace(out) != "1" {
		t.Errorf("ip_forward inside is %q, want 1", out)
	}
	outside, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	must(t, err)
	if strings.TrimSpace(string(outside)) != "0" {
		t.Errorf("ip_forward outside is %q, want 0", outside)
	}
}

// Who comes while the handle is closed gets an error, and no other namespace.
func TestDoBesideClose(t *testing.T) {
	ns, err := netns.New("closed")
	if err != nil {
		t.Fatal(err)
	}
	var late sync.WaitGroup
	for range 4 {
		late.Go(func() {
			for ns.Do(func() error { return nil }) == nil {
			}
		})
	}
	if err := ns.Close(); err != nil {
		t.Error(err)
	}
	late.Wait()
}
