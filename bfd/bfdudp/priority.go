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
func (t *Transport) Begin() (end func()) {
	runtime.LockOSThread()
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return runtime.UnlockOSThread
	}
	for _, a := range []unix.SchedAttr{
		{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1, Flags: unix.SCHED_FLAG_RESET_ON_FORK},
		{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: -20, Flags: unix.SCHED_FLAG_RESET_ON_FORK},
	} {
		if unix.SchedSetAttr(0, &a, 0) == nil {
			return func() {
				if unix.SchedSetAttr(0, before, 0) == nil {
					runtime.UnlockOSThread()
				} // else the thread stays locked and ends with its goroutine
			}
		}
	}
	return runtime.UnlockOSThread
}
