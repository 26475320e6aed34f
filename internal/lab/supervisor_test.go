package lab

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

// act runs this test binary in another role.
func act(role string, s State, env ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), append(env, actVar+"="+role, dirVar+"="+s.Dir)...)
	return cmd
}

// up starts a supervisor and returns its last notice and its process.
func up(t *testing.T, s State) (Notice, *exec.Cmd) {
	t.Helper()
	return started(t, act("supervise", s))
}

func started(t *testing.T, cmd *exec.Cmd) (Notice, *exec.Cmd) {
	t.Helper()
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var n Notice
		must(t, json.Unmarshal(lines.Bytes(), &n))
		if n.Ready || n.Error != "" {
			return n, cmd
		}
	}
	t.Fatalf("the supervisor ended without a last notice (%v)", lines.Err())
	return Notice{}, nil
}

func caller(t *testing.T, s State, r Request) *exec.Cmd {
	t.Helper()
	r.Dir, r.Env = "/", os.Environ()
	data, err := json.Marshal(r)
	must(t, err)
	return act("call", s, callVar+"="+string(data))
}

func newState(t *testing.T) State {
	t.Helper()
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	return State{filepath.Join(t.TempDir(), "state")}
}

func TestUpDown(t *testing.T) {
	s := newState(t)
	if err := s.Down(t.Context(), time.Minute); !errors.Is(err, ErrNotRunning) {
		t.Errorf("down before up: %v", err)
	}
	for range 2 {
		if n, _ := up(t, s); !n.Ready {
			t.Fatalf("up: %+v", n)
		}
		if n, _ := up(t, s); !n.Running {
			t.Errorf("up twice: %+v, want that it runs already", n)
		}
		must(t, s.Down(t.Context(), time.Minute))
		if _, err := os.Stat(s.Dir); err == nil {
			t.Error("down left the state directory")
		}
	}
}

// A supervisor that is killed takes everything along; the next up, or down,
// clears what it left on disk.
func TestCrash(t *testing.T) {
	s := newState(t)
	_, cmd := up(t, s)
	job := caller(t, s, Request{Verb: VerbExec, Place: Client, Args: []string{"sleep", "600"}})
	var stderr buffer
	job.Stderr = &stderr
	must(t, job.Start(), cmd.Process.Kill())
	job.Wait()
	if !strings.Contains(stderr.String(), "the lab ended") && !strings.Contains(stderr.String(), "no lab runs") && !strings.Contains(stderr.String(), "ask the lab") {
		t.Errorf("the caller of a lab that crashed read %q", stderr.String())
	}
	var n Notice
	until(t, "the crashed lab's lock is free", func() bool { n, _ = up(t, s); return !n.Running })
	if !n.Ready {
		t.Fatalf("up after a crash: %+v", n)
	}
	must(t, s.kill())
	until(t, "the killed lab is gone", func() bool {
		running, err := s.Running()
		return err == nil && !running
	})
	if err := s.Down(t.Context(), time.Minute); !errors.Is(err, ErrNotRunning) {
		t.Errorf("down after a crash: %v", err)
	}
	if _, err := os.Stat(s.Dir); err == nil {
		t.Error("down left the state directory of a crashed lab")
	}
}

// A supervisor that does not answer is killed, and nobody else.
func TestDownOfAHungLab(t *testing.T) {
	s := newState(t)
	_, cmd := up(t, s)
	// The supervisor is the child of the process that started it.
	children, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/task/" + strconv.Itoa(cmd.Process.Pid) + "/children")
	must(t, err)
	for _, child := range strings.Fields(string(children)) {
		pid, err := strconv.Atoi(child)
		must(t, err, syscall.Kill(pid, syscall.SIGSTOP))
	}
	must(t, s.Down(t.Context(), 2*time.Second)) // and as long to die
	if _, err := os.Stat(s.Dir); err == nil {
		t.Error("down left the state directory")
	}

	// A process that has the dead supervisor's number is let be.
	lock, err := s.claim()
	must(t, err)
	defer lock.Close()
	must(t, s.sign())
	o, err := s.owner()
	must(t, err)
	o.Ticks++
	data, err := json.Marshal(o)
	must(t, err)
	must(t, os.WriteFile(s.path("lab.json"), data, 0o600))
	if err := s.kill(); err == nil || !strings.Contains(err.Error(), "not the lab's") {
		t.Errorf("a stranger with the supervisor's number: %v", err) // it would be this test
	}
}

// A directory that is not a lab's is not touched.
func TestForeignDirectory(t *testing.T) {
	s := newState(t)
	must(t, os.MkdirAll(s.Dir, 0o755), os.WriteFile(s.path("thesis.tex"), []byte("…"), 0o644))
	if n, _ := up(t, s); n.Error == "" || n.Running {
		t.Errorf("up in somebody's directory: %+v", n)
	}
	if err := s.Down(t.Context(), time.Second); err == nil {
		t.Error("down accepted somebody's directory")
	}
	if _, err := os.Stat(s.path("thesis.tex")); err != nil {
		t.Error(err)
	}
}

func TestTwoLabsSideBySide(t *testing.T) {
	a, b := newState(t), newState(t)
	up(t, a)
	up(t, b)
	must(t, output(t, caller(t, a, Request{Verb: VerbPower, Place: "cy01-net112", Args: []string{"off"}}), nil))
	var status [2]Status
	for i, s := range []State{a, b} {
		must(t, output(t, caller(t, s, Request{Verb: VerbStatus, Args: []string{"json"}}), &status[i]))
	}
	if status[0].Nodes[0].Powered || !status[1].Nodes[0].Powered {
		t.Errorf("off in the first lab: powered %v there, %v in the second", status[0].Nodes[0].Powered, status[1].Nodes[0].Powered)
	}
	must(t, a.Down(t.Context(), time.Minute))
	must(t, output(t, caller(t, b, Request{Verb: VerbExec, Place: "cy01-net112", Args: []string{"true"}}), nil))
}

// output runs a caller to its end and decodes what it printed.
func output(t *testing.T, cmd *exec.Cmd, into any) error {
	t.Helper()
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(out, into)
}

// Exec hands the caller's own files over: pipes end, exit statuses and signals
// arrive, and nothing outlives its caller.
func TestExec(t *testing.T) {
	s := newState(t)
	up(t, s)
	sh := func(script string) *exec.Cmd {
		return caller(t, s, Request{Verb: VerbExec, Place: "cy01-net112", Args: []string{"sh", "-c", script}})
	}

	cmd := sh("hostname; tr a-z A-Z; echo to stderr >&2; exit 7")
	var stdout, stderr buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("piped"), &stdout, &stderr
	err := cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != 7 {
		t.Errorf("exit status %d (%v), want 7", got, err)
	}
	if stdout.String() != "cy01-net112\nPIPED" || stderr.String() != "to stderr\n" {
		t.Errorf("got %q and %q", stdout.String(), stderr.String())
	}

	cmd = sh("trap 'echo caught; exit 5' INT; echo ready; while :; do read -r x || read -r x </dev/null; done")
	in, err := cmd.StdinPipe()
	must(t, err)
	defer in.Close()
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	lines.Scan()
	must(t, cmd.Process.Signal(syscall.SIGINT))
	lines.Scan()
	if got := lines.Text(); got != "caught" {
		t.Errorf("after SIGINT the program said %q", got)
	}
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 5 {
		t.Errorf("exit status %d after SIGINT, want 5", got)
	}

	cmd = sh("echo ready; exec sleep 600")
	out, err = cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	bufio.NewReader(out).ReadString('\n')
	must(t, cmd.Process.Kill())
	cmd.Wait()
	until(t, "the killed caller's program is gone", func() bool {
		return output(t, caller(t, s, Request{Verb: VerbExec, Place: Client, Args: []string{"sh", "-c", "! grep -lz '^sleep$' /proc/[0-9]*/cmdline"}}), nil) == nil
	})

	cmd = caller(t, s, Request{Verb: VerbExec, Place: Client, Args: []string{"no-such-program"}})
	stderr.Reset()
	cmd.Stderr = &stderr
	if cmd.Run(); cmd.ProcessState.ExitCode() != 127 || !strings.Contains(stderr.String(), "no-such-program") {
		t.Errorf("no such program: status %d, %q", cmd.ProcessState.ExitCode(), stderr.String())
	}
}

func TestReboot(t *testing.T) {
	s := newState(t)
	up(t, s)
	job := caller(t, s, Request{Verb: VerbExec, Place: "cy01-net113", Args: []string{"sh", "-c", "echo up; exec sleep 600"}})
	out, err := job.StdoutPipe()
	must(t, err)
	must(t, job.Start())
	bufio.NewReader(out).ReadString('\n')
	var said buffer
	cmd := caller(t, s, Request{Verb: VerbReboot, Place: "cy01-net113", Pause: time.Millisecond})
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, cmd.Run())
	if job.Wait(); job.ProcessState.ExitCode() != 128+int(syscall.SIGKILL) {
		t.Errorf("a program on the node ended with %d, want as killed", job.ProcessState.ExitCode())
	}
	if !strings.Contains(said.String(), "link cut") || !strings.Contains(said.String(), "power on") {
		t.Errorf("reboot said %q", said.String())
	}
	must(t, output(t, caller(t, s, Request{Verb: VerbExec, Place: "cy01-net113", Args: []string{"true"}}), nil))
}
