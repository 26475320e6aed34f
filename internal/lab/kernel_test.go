package lab

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pharoslb/pharos/internal/linux/uml"
)

// Frames come out as they went in, and one that is too long ends the line.
func TestLinkCarriesFrames(t *testing.T) {
	var line bytes.Buffer
	l := newLink(&line, &line)
	want := []frame{{frameBegin, 1, []byte("{}")}, {frameInputEnd, 1, []byte{}}, {frameOutput, 1 << 31, bytes.Repeat([]byte{0xff, 0, '\n'}, 1000)}}
	for _, f := range want {
		must(t, l.send(f))
	}
	for _, f := range want {
		got, err := l.receive()
		must(t, err)
		if got.kind != f.kind || got.call != f.call || !bytes.Equal(got.data, f.data) {
			t.Errorf("got %v, want %v", got, f)
		}
	}
	line.Write([]byte{1, 0, 0, 0, 1, 0xff, 0, 0, 0})
	if _, err := l.receive(); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a frame that is too long: %v", err)
	}
}

// A lab on a kernel of its own does for its callers what any lab does.
func TestKernelOfItsOwn(t *testing.T) {
	if err := uml.Probe(); err != nil {
		t.Skip(err)
	}
	s, program := newState(t), uml.Program(t)
	boot := func() *exec.Cmd {
		t.Helper()
		n, cmd := started(t, act("boot", s, initVar+"="+program))
		if !n.Ready {
			t.Fatalf("up: %+v", n)
		}
		return cmd
	}
	boot()
	if n, _ := up(t, s); !n.Running {
		t.Errorf("up twice: %+v, want that it runs already", n)
	}
	exec := caller(t, s, Request{Verb: VerbExec, Place: Client, Args: []string{"sh", "-c", "uname -r; sha1sum; echo bad >&2; exit 7"}})
	var in, out, complaints buffer
	for i := range 50_000 {
		fmt.Fprintln(&in, i)
	}
	sum := sha1sum(t, in.Bytes())
	exec.Stdin, exec.Stdout, exec.Stderr = &in, &out, &complaints
	err := exec.Run()
	if code := exec.ProcessState.ExitCode(); code != 7 || complaints.String() != "bad\n" {
		t.Errorf("exit status %d (%v), complaints %q", code, err, complaints.String())
	}
	release, got, _ := strings.Cut(out.String(), "\n")
	if got != sum || !strings.HasPrefix(release, "6.") {
		t.Errorf("kernel %s; %q, want %q", release, got, sum)
	}
	// Whoever hangs up ends what runs; whoever signals is heard.
	sleeper := caller(t, s, Request{Verb: VerbExec, Place: Client, Args: []string{"sh", "-c", "trap 'exit 9' INT; echo ready; while :; do sleep 0.1; done"}})
	said, err := sleeper.StdoutPipe()
	must(t, err)
	must(t, sleeper.Start())
	if line, err := bufio.NewReader(said).ReadString('\n'); line != "ready\n" {
		t.Fatalf("it says %q (%v)", line, err)
	}
	sleeper.Process.Signal(syscall.SIGINT)
	sleeper.Wait()
	if code := sleeper.ProcessState.ExitCode(); code != 9 {
		t.Errorf("after a signal the exit status is %d, want 9", code)
	}
	must(t, s.Down(t.Context(), time.Minute))
	if _, err := os.Stat(s.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("down left the state directory: %v", err)
	}
	// With the supervisor ends the kernel.
	cmd := boot()
	cmd.Process.Kill()
	cmd.Wait()
	until(t, "no lab runs", func() bool {
		up, err := s.Running()
		return err == nil && !up
	})
}

func sha1sum(t *testing.T, data []byte) string {
	t.Helper()
	cmd := exec.Command("sha1sum")
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	must(t, err)
	return string(out)
}
