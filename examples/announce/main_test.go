package main

import (
	"bufio"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
	"github.com/pharoslb/pharos/internal/linux/bgptcp"
	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

// asProgram makes the test binary be the program.
const asProgram = "ANNOUNCE_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(sandbox.Main(m.Run))
}

var near, far = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.254")

// write replaces the file as an editor does.
func write(t *testing.T, file string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The program runs as a process, beside a neighbor of the test's own.
func TestFollowsTheFile(t *testing.T) {
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	ns, err := netns.Current("own")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	for _, addr := range []netip.Addr{near, far} {
		if err := ns.AddAddr("lo", netip.PrefixFrom(addr, 32)); err != nil {
			t.Fatal(err)
		}
	}
	heard := bgptest.NewRecorder()
	switched, err := bgp.NewServer(bgp.Options{
		Listener: bgptcp.Listen, ListenAddrs: []netip.AddrPort{netip.AddrPortFrom(far, 1790)}, Handler: heard,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := switched.SetPeers([]bgp.Config{{Name: "program", LocalAS: 65000, RemoteAS: 65001, RouterID: far, LocalAddr: far, RemoteAddr: near}}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- switched.Run(t.Context()) }()
	t.Cleanup(func() { <-ended })

	file := filepath.Join(t.TempDir(), "vips")
	write(t, file, "192.0.2.1/32", "", " 192.0.2.2/32 ", "198.51.100.0/24", "")
	cmd := exec.Command(os.Args[0], "-local", "65001@10.0.0.1", "-peer", "65000@10.0.0.254:1790", file)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	said := bufio.NewScanner(stderr)

	heard.WaitRoutes(t, "program", "192.0.2.1/32", "192.0.2.2/32", "198.51.100.0/24")
	write(t, file, "192.0.2.2/32", "192.0.2.3/32")
	cmd.Process.Signal(syscall.SIGHUP)
	heard.WaitRoutes(t, "program", "192.0.2.2/32", "192.0.2.3/32")
	if h := heard.Heard("program"); h.Ups != 1 {
		t.Errorf("%d sessions, want the one", h.Ups)
	}

	write(t, file, "192.0.2.9/32", "192.0.2/24")
	cmd.Process.Signal(syscall.SIGHUP)
	for !strings.Contains(said.Text(), "refused") {
		if !said.Scan() {
			t.Fatal("the program said nothing of a bad file")
		}
	}
	if !strings.Contains(said.Text(), file+":2: ") {
		t.Errorf("no file and line in: %s", said.Text())
	}
	heard.WaitRoutes(t, "program", "192.0.2.2/32", "192.0.2.3/32")

	cmd.Process.Signal(syscall.SIGTERM)
	if d := heard.WaitDown(t, "program", 1).Downs[0]; d.Cause != bgp.CausePeerNotification {
		t.Errorf("the session ended with %v", d)
	}
	for said.Scan() {
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
}

func TestEndpoint(t *testing.T) {
	for _, test := range []struct {
		text   string
		noPort bool
		as     uint32
		addr   string // empty: refused
		port   uint16
	}{
		{text: "65001@10.0.0.1", as: 65001, addr: "10.0.0.1"},
		{text: "4200000000@10.0.0.1:1790", as: 4200000000, addr: "10.0.0.1", port: 1790},
		{text: "1@2001:db8::1", as: 1, addr: "2001:db8::1"},
		{text: "1@[2001:db8::1]:179", as: 1, addr: "2001:db8::1", port: 179},
		{text: "65001@10.0.0.1:1790", noPort: true},
		{text: "10.0.0.1"},
		{text: "4294967296@10.0.0.1"},
		{text: "65001@"},
		{text: "65001@switch"},
		{text: "65001@10.0.0.1:70000"},
	} {
		var as uint32
		var addr netip.Addr
		var port uint16
		where := &port
		if test.noPort {
			where = nil
		}
		err := endpoint(test.text, &as, &addr, where)
		if test.addr == "" {
			if err == nil {
				t.Errorf("%q is taken as AS %d, address %v, port %d", test.text, as, addr, port)
			}
			continue
		}
		if err != nil || as != test.as || addr != netip.MustParseAddr(test.addr) || port != test.port {
			t.Errorf("%q: AS %d, address %v, port %d, %v", test.text, as, addr, port, err)
		}
	}
}

func TestWatch(t *testing.T) {
	b, err := watch("50msx3")
	if err != nil || b.TransmitInterval != 50*time.Millisecond || b.ReceiveInterval != 50*time.Millisecond || b.DetectMultiplier != 3 {
		t.Errorf("50msx3: %+v, %v", b, err)
	}
	for _, bad := range []string{"", "50ms", "x3", "50x3", "50msx", "50msx256"} {
		if b, err := watch(bad); err == nil {
			t.Errorf("%q is taken as %+v", bad, b)
		}
	}
}
