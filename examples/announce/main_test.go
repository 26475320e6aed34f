package main

import (
	"bufio"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bfd/bfdudp"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptcp"
	"github.com/pharoslb/pharos/bgp/bgptest"
	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
	"github.com/pharoslb/pharos/internal/task"
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

// lab is a neighbor of the test's own, in the namespace that it runs in, and one for
// the program at the other end of a cable.
type lab struct {
	heard   *bgptest.Recorder
	program *netns.NS
	file    string
	up      chan struct{} // closed when BFD is first Up on the neighbor's side
}

func newLab(t *testing.T, watched *bgp.BFD) *lab {
	t.Helper()
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	l := &lab{up: make(chan struct{}), heard: bgptest.NewRecorder(), file: filepath.Join(t.TempDir(), "vips")}
	own, err := netns.Current("own")
	must(t, err)
	t.Cleanup(func() { own.Close() })
	l.program, err = netns.New("program")
	must(t, err)
	t.Cleanup(func() { l.program.Close() })
	must(t, netns.Veth(own, "eth0", l.program, "eth0"))
	t.Cleanup(func() { own.Delete("eth0") })
	must(t, own.AddAddr("eth0", netip.PrefixFrom(far, 24)))
	must(t, l.program.AddAddr("eth0", netip.PrefixFrom(near, 24)))

	options := bgp.Options{Listener: bgptcp.Listen, ListenAddrs: []netip.AddrPort{netip.AddrPortFrom(far, 1790)}, Handler: l.heard}
	var neighbor *bgp.Server
	var parts []task.Part
	if watched != nil {
		transport, err := bfdudp.Open()
		must(t, err)
		t.Cleanup(func() { transport.Close() })
		first := sync.OnceFunc(func() { close(l.up) })
		detector, err := bfd.NewServer(bfd.Options{Transport: transport, Handler: bfd.HandlerFunc(func(c bfd.Change) {
			neighbor.StateChanged(c)
			if c.To == bfd.Up {
				first()
			}
		})})
		must(t, err)
		options.Detector, parts = detector, append(parts, detector.Run)
	}
	neighbor, err = bgp.NewServer(options)
	must(t, err)
	must(t, neighbor.SetPeers([]bgp.Config{{Name: "program", LocalAS: 65000, RemoteAS: 65001, RouterID: far, LocalAddr: far, RemoteAddr: near, BFD: watched}}))
	ended := make(chan error, 1)
	go func() { ended <- task.Run(t.Context(), append(parts, neighbor.Run)...) }()
	t.Cleanup(func() { <-ended })
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start runs the program; said is what it says.
func (l *lab) start(t *testing.T, flags ...string) (cmd *exec.Cmd, said *bufio.Scanner) {
	t.Helper()
	cmd = exec.Command(os.Args[0], append(append([]string{"-local", "65001@10.0.0.1", "-peer", "65000@10.0.0.254:1790"}, flags...), l.file)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	stderr, err := cmd.StderrPipe()
	must(t, err)
	must(t, l.program.Start(cmd))
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, bufio.NewScanner(stderr)
}

func TestFollowsTheFile(t *testing.T) {
	l := newLab(t, nil)
	heard, file := l.heard, l.file
	write(t, file, "192.0.2.1/32", "", " 192.0.2.2/32 ", "198.51.100.0/24", "")
	cmd, said := l.start(t)
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

// A program that is stopped without ending keeps its connection; BFD finds it out.
func TestWatchesThePath(t *testing.T) {
	// Long enough for neither side to take the other for dead when it is only busy.
	l := newLab(t, &bgp.BFD{Profile: bfd.Profile{ReceiveInterval: 100 * time.Millisecond, TransmitInterval: 100 * time.Millisecond, DetectMultiplier: 20}})
	write(t, l.file, "192.0.2.1/32")
	cmd, _ := l.start(t, "-bfd", "100msx20")
	l.heard.WaitRoutes(t, "program", "192.0.2.1/32")
	<-l.up
	cmd.Process.Signal(syscall.SIGSTOP)
	if d := l.heard.WaitDown(t, "program", 1).Downs[0]; d.Cause != bgp.CausePathDown {
		t.Errorf("the session ended with %v", d)
	}
	cmd.Process.Signal(syscall.SIGCONT)
	l.heard.WaitUp(t, "program", 2)
	l.heard.WaitRoutes(t, "program", "192.0.2.1/32")
}

// Every mistake on the command line is named, with what to write.
func TestArguments(t *testing.T) {
	local, peer := []string{"-local", "65001@10.0.0.1"}, []string{"-peer", "65000@10.0.0.254"}
	for _, test := range []struct {
		args []string
		want string
	}{
		{peer, "-local is missing"},
		{local, "-peer is missing"},
		{slices.Concat(local, peer), "FILE is missing"},
		{slices.Concat(local, peer, []string{"vips", "-bfd", "50msx3"}), "flags go before it"},
		{[]string{"-local", "65001"}, "not AS@ADDRESS"},
	} {
		cmd := exec.Command(os.Args[0], test.args...)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		said, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("%q: %v, want exit status 2", test.args, err)
		}
		for _, want := range []string{test.want, "usage: announce "} {
			if !strings.Contains(string(said), want) {
				t.Errorf("%q: no %q in:\n%s", test.args, want, said)
			}
		}
	}
}

func TestReadRefusesAnotherFamily(t *testing.T) {
	file := filepath.Join(t.TempDir(), "vips")
	write(t, file, "192.0.2.1/32", "2001:db8::1/128")
	if _, err := read(file, far); err == nil || !strings.Contains(err.Error(), file+":2: ") {
		t.Errorf("IPv6 to an IPv4 neighbor: %v", err)
	}
	if _, err := read(file, netip.MustParseAddr("fd00::1")); err == nil || !strings.Contains(err.Error(), file+":1: ") {
		t.Errorf("IPv4 to an IPv6 neighbor: %v", err)
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
	for _, bad := range []string{"", "50ms", "x3", "50x3", "50msx", "50msx256", "50msx0"} {
		if b, err := watch(bad); err == nil {
			t.Errorf("%q is taken as %+v", bad, b)
		}
	}
}
