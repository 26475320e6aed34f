package bfdudp_test

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/bfd"
)

// The sessions' thread opens sockets itself, in the transport's namespace, and leaves
// nothing of that behind. It is not the only one that can run.
func TestBegin(t *testing.T) {
	a, b := hosts(t, false)
	x := a.open(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	namespace := func() (st unix.Stat_t) {
		must(t, unix.Stat("/proc/thread-self/ns/net", &st))
		return st
	}
	inside := func() bool { return namespace().Ino == a.inode(t) }
	if inside() {
		t.Fatal("the test runs in the host's namespace")
	}
	before, thread := namespace(), unix.Gettid()
	end := x.Begin()
	if !inside() || runtime.GOMAXPROCS(0) < 2 || unix.Gettid() != thread {
		t.Errorf("inside: %v, GOMAXPROCS %d", inside(), runtime.GOMAXPROCS(0))
	}
	e, err := x.Open(bfd.Path{Remote: b.v4, Interface: "eth0"})
	must(t, err)
	must(t, e.Send([]byte("x")), e.Close())
	end()
	if namespace().Ino != before.Ino {
		t.Error("the thread is not where it was")
	}
	e, err = x.Open(bfd.Path{Remote: b.v6})
	must(t, err)
	must(t, e.Close())
}

// inode tells network namespaces apart.
func (h host) inode(t *testing.T) uint64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Fstat(h.Fd(), &st))
	return st.Ino
}
