package container_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pharoslb/pharos/internal/linux/container"
	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

func TestMain(m *testing.M) {
	container.Init()
	os.Exit(sandbox.Main(m.Run))
}

const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// running is a container with its output.
type running struct {
	*container.Process
	t   *testing.T
	out *os.File
}

func start(t *testing.T, spec container.Spec) (*running, error) {
	t.Helper()
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	ns, err := netns.New("container")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	spec.Root = t.TempDir()
	if spec.Env == nil {
		spec.Env = []string{searchPath}
	}
	p, err := container.Start(ns, spec, out)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { p.Kill(); <-p.Done() })
	return &running{p, t, out}, nil
}

// output waits for the end and returns what was printed.
func (r *running) output() string {
	r.t.Helper()
	select {
	case <-r.Done():
	case <-time.After(time.Minute):
		r.t.Fatal("the container does not end")
	}
	r.out.Seek(0, io.SeekStart)
	data, err := io.ReadAll(r.out)
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

func sh(t *testing.T, spec container.Spec, script string) string {
	t.Helper()
	spec.Args = []string{"sh", "-c", script}
	r, err := start(t, spec)
	if err != nil {
		t.Fatal(err)
	}
	return r.output()
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestItHasNamespacesOfItsOwn(t *testing.T) {
	got := sh(t, container.Spec{Hostname: "pod-1", Env: []string{searchPath, "COLOUR=blue"}},
		`echo $$; hostname; echo $COLOUR; ls /sys/class/net; ls /proc | grep -c '^[0-9]'; ls -A /tmp /run; ls -d /.machine 2>&1 | grep -c 'No such'`)
	// Two processes: the shell's pipeline adds ls, grep and a subshell at most.
	lines := strings.Split(got, "\n")
	if len(lines) < 5 || lines[0] != "1" || lines[1] != "pod-1" || lines[2] != "blue" || lines[3] != "lo" {
		t.Fatalf("printed %q, want pid 1, pod-1, blue, lo", lines)
	}
	if len(lines[4]) != 1 {
		t.Errorf("%s processes in /proc, want a handful", lines[4])
	}
	if want := "/run:\n\n/tmp:"; !strings.Contains(got, want) {
		t.Errorf("printed %q, want /run and /tmp empty", got)
	}
	if !strings.HasSuffix(got, "\n1") {
		t.Errorf("printed %q: the machine's root is still reachable", got)
	}
}

// Mount points appear inside, wherever they are, and never on the machine.
func TestMountsDoNotTouchTheMachine(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/secret/key", "s3cr3t")
	write(t, dir+"/hosts", "mine")
	targets := []string{"/run/secrets/kubernetes.io/serviceaccount", "/etc/pharos-test/deep", "/pharos-test", "/usr/share/pharos-test"}
	spec := container.Spec{Mounts: []container.Mount{{Source: dir + "/hosts", Target: "/etc/hosts"}}}
	script := "cat /etc/hosts; echo; wc -l < /etc/passwd; "
	for _, target := range targets {
		spec.Mounts = append(spec.Mounts, container.Mount{Source: dir + "/secret", Target: target, ReadOnly: true})
		script += "cat " + target + "/key; echo; "
	}
	spec.Mounts = append(spec.Mounts, container.Mount{Source: dir + "/secret/key", Target: "/opt/pharos-test-file"})
	got := sh(t, spec, script+"cat /opt/pharos-test-file; echo; echo x 2>&1 > /pharos-test/key || echo refused; cat /var/run/secrets/kubernetes.io/serviceaccount/key")
	lines := strings.Split(got, "\n")
	want := []string{"mine", "", "s3cr3t", "s3cr3t", "s3cr3t", "s3cr3t", "s3cr3t"}
	for i, w := range want {
		if i >= len(lines) || w != "" && lines[i] != w {
			t.Fatalf("printed %q, want %q", lines, want)
		}
	}
	if lines[1] == "0" || lines[1] == "" {
		t.Errorf("/etc/passwd is empty: the other files of /etc are gone")
	}
	if !strings.Contains(got, "refused") || !strings.HasSuffix(got, "s3cr3t") {
		t.Errorf("printed %q: a read-only mount was written", got)
	}
	for _, target := range append(targets, "/opt/pharos-test-file") {
		if _, err := os.Lstat(target); err == nil {
			t.Errorf("%s exists on the machine", target)
		}
	}
}

// A file under /tmp, where the container has its own, can be mounted in place.
func TestFileUnderTmpIsMounted(t *testing.T) {
	path := write(t, t.TempDir()+"/data", "here")
	if got := sh(t, container.Spec{Mounts: []container.Mount{{Source: path, Target: path}}}, "cat "+path); got != "here" {
		t.Errorf("printed %q, want the file's content", got)
	}
}

func TestPrivilegesAreLimited(t *testing.T) {
	const script = "id -u; id -g; grep -E 'CapEff|NoNewPrivs' /proc/self/status | tr -d '\\t'"
	for name, test := range map[string]struct {
		privileges container.Privileges
		rootless   bool // an ordinary user may do it
		want       string
	}{
		"root with two":  {container.Privileges{Capabilities: []string{"NET_ADMIN", "CHOWN"}}, true, "0\n0\nCapEff:0000000000001001\nNoNewPrivs:0"},
		"root with none": {container.Privileges{NoNewPrivileges: true}, true, "0\n0\nCapEff:0000000000000000\nNoNewPrivs:1"},
		"somebody":       {container.Privileges{UID: 65534, GID: 65533, Capabilities: container.AllCapabilities()}, false, "65534\n65533\nCapEff:0000000000000000\nNoNewPrivs:0"},
	} {
		if sandbox.Rootless() && !test.rootless {
			continue // no other user exists in the user namespace
		}
		spec := container.Spec{Privileges: test.privileges}
		if got := sh(t, spec, script); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		spec.Args = []string{"sleep", "1000"}
		r, err := start(t, spec)
		if err != nil {
			t.Fatal(err)
		}
		_, out, err := r.Run(t.Context(), container.Spec{Args: []string{"sh", "-c", script}, Env: []string{searchPath}})
		if err != nil || strings.TrimSpace(out) != test.want {
			t.Errorf("%s, by Run: %q (%v), want %q", name, out, err, test.want)
		}
	}
	if _, err := start(t, container.Spec{Args: []string{"true"}, Privileges: container.Privileges{Capabilities: []string{"FLY"}}}); !errors.Is(err, container.ErrSetup) {
		t.Errorf("an unknown capability: %v, want ErrSetup", err)
	}
}

func TestReadOnlyRootLeavesMountsWritable(t *testing.T) {
	dir := t.TempDir()
	spec := container.Spec{ReadOnlyRoot: true, Privileges: container.Privileges{Capabilities: container.AllCapabilities()},
		Mounts: []container.Mount{{Source: dir, Target: "/etc/pharos-test"}, {Source: dir, Target: "/var/tmp"}}}
	got := sh(t, spec, "for d in / /tmp /run /etc /etc/pharos-test /var/tmp /var /usr/bin /dev/shm; do (echo x > $d/pharos-test-file) 2>/dev/null && echo $d; done; rm -f /dev/shm/pharos-test-file")
	if want := "/etc/pharos-test\n/var/tmp\n/dev/shm"; got != want {
		t.Errorf("writable are %q, want %q", got, want)
	}
}

func TestExitIsTold(t *testing.T) {
	r, err := start(t, container.Spec{Args: []string{"sh", "-c", "exit 7"}})
	if err != nil {
		t.Fatal(err)
	}
	r.output()
	if got := r.Exit(); got.Code != 7 || got.Signal != 0 {
		t.Errorf("exit is %v, want status 7", got)
	}
	r, err = start(t, container.Spec{Args: []string{"sleep", "1000"}})
	if err != nil {
		t.Fatal(err)
	}
	r.Kill()
	r.output()
	if got := r.Exit(); got.Code != 137 || got.Signal != syscall.SIGKILL {
		t.Errorf("exit is %v, want 137 by SIGKILL", got)
	}
}

// Killing the container leaves nobody behind, not even who left the session.
func TestKillReachesEveryProcess(t *testing.T) {
	dir := t.TempDir()
	r, err := start(t, container.Spec{
		Args:   []string{"sh", "-c", "setsid sh -c 'exec 9>/shared/lock; flock -n 9 && touch /shared/ready && sleep 1000' & wait"},
		Mounts: []container.Mount{{Source: dir, Target: "/shared"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { _, err := os.Stat(dir + "/ready"); return err == nil })
	lock, err := os.Open(dir + "/lock")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Fatalf("lock: %v, want it held by the grandchild", err)
	}
	r.Kill()
	<-r.Done()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Errorf("lock: %v: the grandchild lives on", err)
	}
}

func TestWhatCannotRunSaysWhy(t *testing.T) {
	for name, test := range map[string]struct {
		spec container.Spec
		want string
	}{
		"program":   {container.Spec{Args: []string{"pharos-no-such-program"}}, "pharos-no-such-program"},
		"directory": {container.Spec{Args: []string{"true"}, Dir: "/nonexistent"}, "/nonexistent"},
		"mount":     {container.Spec{Args: []string{"true"}, Mounts: []container.Mount{{Source: "/nonexistent", Target: "/x"}}}, "mount /x"},
		"nothing":   {container.Spec{}, "no program"},
	} {
		_, err := start(t, test.spec)
		if !errors.Is(err, container.ErrSetup) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want ErrSetup that tells of %q", name, err, test.want)
		}
	}
}

func TestRunJoinsTheContainer(t *testing.T) {
	r, err := start(t, container.Spec{Args: []string{"sleep", "1000"}, Hostname: "pod-2"})
	if err != nil {
		t.Fatal(err)
	}
	exit, out, err := r.Run(t.Context(), container.Spec{
		Args: []string{"sh", "-c", "hostname; cat /proc/1/comm; readlink /proc/self >/dev/null && echo seen; exit 3"}, Env: []string{searchPath}})
	if err != nil || exit.Code != 3 || out != "pod-2\nsleep\nseen\n" {
		t.Errorf("Run: %v, %q, %v; want status 3, the container's host name, and its processes", exit, out, err)
	}
	if _, _, err := r.Run(t.Context(), container.Spec{Args: []string{"pharos-no-such-program"}}); !errors.Is(err, container.ErrSetup) {
		t.Errorf("Run of nothing: %v, want ErrSetup", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, _, err := r.Run(ctx, container.Spec{Args: []string{"sleep", "1000"}, Env: []string{searchPath}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run beyond its time: %v, want a deadline's error", err)
	}
}

func until(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("condition not met in a minute")
		}
	}
}
