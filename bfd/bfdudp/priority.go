package bfdudp

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Begin is bfd.Transport's. It gives the calling goroutine a thread of its own, and the
// thread the lowest priority of the real-time class, where the process may do that
// (CAP_SYS_NICE; sched(7)), else the highest of the others. On a machine whose
// processors are all busy the sessions must run within milliseconds, or peers would take
// this process for dead. Where neither is allowed sessions live as well, but less safely
// on a machine that is overloaded.
//
// What a flood can make of it is bounded by the pauses of bfd.Server and by the kernel
// (sched_rt_runtime_us).
//
// The thread enters the namespace, too: a session that needs a socket then waits for no
// other thread. Without the privilege it takes, others open the sockets. A process with
// GOMAXPROCS 1 has 2 from then on.
func (t *Transport) Begin() (end func()) {
	runtime.LockOSThread()
	calm := hurry()
	// Go's scheduler takes the right to run (a P) away from whoever waits in the kernel.
	// If it is the only one it goes to a thread that the kernel does not prefer, for as
	// long as that one waits for a processor.
	if runtime.GOMAXPROCS(0) == 1 {
		runtime.GOMAXPROCS(2)
	}
	back, err := t.ns.Enter()
	if err == nil {
		t.thread.Store(int64(unix.Gettid()))
	}
	return func() {
		t.thread.Store(0)
		clean := calm()
		if back != nil {
			clean = back() == nil && clean
		}
		if clean {
			runtime.UnlockOSThread()
		} // else the thread stays locked and ends with its goroutine
	}
}

// hurry has the kernel prefer the thread until calm is called, which tells if the thread
// is as before.
func hurry() (calm func() bool) {
	before, err := unix.SchedGetAttr(0, 0)
	if err == nil {
		for _, a := range []unix.SchedAttr{
			{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1, Flags: unix.SCHED_FLAG_RESET_ON_FORK},
			{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: -20, Flags: unix.SCHED_FLAG_RESET_ON_FORK},
		} {
			if unix.SchedSetAttr(0, &a, 0) == nil {
				return func() bool { return unix.SchedSetAttr(0, before, 0) == nil }
			}
		}
	}
	return func() bool { return true }
}

// do runs f on a thread inside the namespace.
func (t *Transport) do(f func() error) error {
	if t.thread.Load() == int64(unix.Gettid()) {
		return f()
	}
	return t.ns.Do(f)
}
