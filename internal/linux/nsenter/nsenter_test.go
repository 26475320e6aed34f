package nsenter_test

import (
	"bufio"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/nsenter"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m.Run)) }

func run(t *testing.T, v nsenter.View, script string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := v.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out.String())
	}
	return strings.TrimSpace(out.String())
}

func TestMachineView(t *testing.T) {
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	ns, err := netns.New("machine")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := ns.AddBridge("mark0"); err != nil {
		t.Fatal(err)
	}
	if err := ns.AddAddr("mark0", netip.MustParsePrefix("192.0.2.7/24")); err != nil {
		t.Fatal(err)
	}
	dir, seen := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("of the machine"), 0o644); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Hostname()
	v := nsenter.View{Net: ns, Hostname: "machine", Binds: []nsenter.Bind{{dir, seen}}}
	got := run(t, v, "hostname; cat "+seen+"/file; echo; grep -c mark0 /proc/self/net/dev")
	if want := "machine\nof the machine\n1"; got != want {
		t.Errorf("inside: %q, want %q", got, want)
	}
	if after, _ := os.Hostname(); after != before {
		t.Errorf("the caller's host name became %q", after)
	}
	if _, err := os.Stat(filepath.Join(seen, "file")); err == nil {
		t.Error("the bind is seen by the caller")
	}
}

func TestProcessView(t *testing.T) {
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	dir, target := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("of the process"), 0o644); err != nil {
		t.Fatal(err)
	}
	// A container: namespaces of its own, a mount and a host name in them.
	container := exec.Command("sh", "-c",
		"mount --bind "+dir+" "+target+" && mount -t proc proc /proc && hostname pod && echo ready && exec sleep 600")
	container.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Unshareflags: syscall.CLONE_NEWNS,
	}
	stdout, err := container.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := container.Start(); err != nil {
		t.Fatal(err)
	}
	defer container.Wait()
	defer container.Process.Kill()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	got := run(t, nsenter.View{PID: container.Process.Pid}, "hostname; cat "+target+"/file; echo; tr '\\0' ' ' </proc/1/cmdline")
	if want := "pod\nof the process\nsleep 600"; got != want {
		t.Errorf("inside: %q, want %q", got, want)
	}
}
