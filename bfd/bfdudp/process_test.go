package bfdudp_test

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bfd/bfdudp"
)

// roleEnv makes the test binary a BFD speaker: "ADDRESS,MULTIPLIER", until its standard
// input ends. It prints a line for each change, and one for each line it reads.
const roleEnv = "BFDUDP_TEST_ROLE"

func play(role string) int {
	if role == benchRole {
		if err := playSessions(); err != nil {
			panic(err)
		}
		return 0
	}
	var addr string
	var mult uint8
	if _, err := fmt.Sscanf(strings.ReplaceAll(role, ",", " "), "%s %d", &addr, &mult); err != nil {
		panic(err)
	}
	t, err := bfdudp.Open()
	if err != nil {
		panic(err)
	}
	s, err := bfd.NewServer(bfd.Options{Transport: t, Handler: bfd.HandlerFunc(func(c bfd.Change) {
		fmt.Println("change", c.From, c.To, strings.ReplaceAll(c.Reason.String(), " ", "-"))
	})})
	if err != nil {
		panic(err)
	}
	err = s.Set([]bfd.Config{config(netip.MustParseAddr(addr), func(c *bfd.Config) { c.DetectMultiplier = mult })})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			st := s.Status()[0]
			fmt.Println("status", st.State, st.Downs, st.Received)
		}
		cancel()
	}()
	if err := s.Run(ctx); err != nil {
		panic(err)
	}
	return 0
}

// process is a speaker of its own.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    *os.File
	lines chan string
}

func spawn(t *testing.T, h host, role string) *process {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	p := &process{t: t, cmd: exec.Command(self), lines: make(chan string, 1000)}
	p.cmd.Env = append(os.Environ(), roleEnv+"="+role)
	p.cmd.Stderr = os.Stderr
	var theirs *os.File
	theirs, p.in, err = os.Pipe()
	must(t, err)
	p.cmd.Stdin = theirs
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	must(t, h.Start(p.cmd))
	theirs.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		p.in.Close()
		p.cmd.Process.Kill()
		<-done
		p.cmd.Wait()
	})
	return p
}

// expect waits for a line that begins so.
func (p *process) expect(prefix string) string {
	p.t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case l := <-p.lines:
			if strings.HasPrefix(l, prefix) {
				return l
			}
		case <-late:
			p.t.Fatalf("no line %q", prefix)
		}
	}
}

func (p *process) signal(s os.Signal) { must(p.t, p.cmd.Process.Signal(s)) }

// The peer's process is stopped: its kernel goes on, and only BFD can tell.
func TestStoppedPeerIsDetected(t *testing.T) {
	a, b := hosts(t, false)
	x := start(t, a, config(b.v4))
	p := spawn(t, b, a.v4.String()+",30")
	x.WaitState(t, "x", bfd.Up)
	p.signal(unix.SIGSTOP)
	if c := x.WaitState(t, "x", bfd.Down); c.Reason != bfd.ReasonDetectionExpired || !c.Failed() {
		t.Errorf("%+v", c)
	}
	p.signal(unix.SIGCONT)
	x.WaitState(t, "x", bfd.Up)
	p.signal(unix.SIGKILL)
	if c := x.WaitState(t, "x", bfd.Down); c.Reason != bfd.ReasonDetectionExpired {
		t.Errorf("%+v", c)
	}
}

// Our own process is stopped, for much longer than it waits for the peer and less than
// the peer waits for it: when it goes on, it knows that the peer was there all along.
func TestStoppedProcessTakesNobodyForDead(t *testing.T) {
	a, b := hosts(t, false)
	x := start(t, a, config(b.v4))
	p := spawn(t, b, a.v4.String()+",200") // we wait for 10 s, it for 1.5 s
	x.WaitState(t, "x", bfd.Up)
	p.expect("change")
	eventually(t, func() error {
		if st := x.status("x"); st.DetectionTime != 10*time.Second || st.Polling {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	for range 2 {
		p.signal(unix.SIGSTOP)
		sent := x.status("x").Sent
		eventually(t, func() error {
			if n := x.status("x").Sent - sent; n < 60 {
				return fmt.Errorf("%d packets while it stood", n)
			}
			return nil
		})
		p.signal(unix.SIGCONT)
		heard := x.status("x").Received
		eventually(t, func() error {
			if n := x.status("x").Received - heard; n < 10 {
				return fmt.Errorf("%d packets since it went on", n)
			}
			return nil
		})
	}
	fmt.Fprintln(p.in)
	if l := p.expect("status"); !strings.HasPrefix(l, "status Up 0 ") {
		t.Error(l)
	}
	if x.Ups("x") != 1 {
		t.Errorf("%+v", x.Changes("x"))
	}
}
