// Package netns makes network namespaces, wires them together and runs code
// and programs in them: the lab's machines, and every test's.
//
// It does not keep namespaces after the program's end: a namespace lives as
// long as a handle, a device pair or a process in it does.
//
//	NS a ──Veth("a0")────("b0")── NS b        Bridge("br0") in a third one
//	 │
//	 ├─ Do(f)        f runs on a thread inside: dial, listen, sysctl
//	 ├─ Start(cmd)   a child process inside
//	 └─ Link()       rtnetlink inside
//
// Invariants: the calling goroutine is back in its own namespace when Do
// returns, or its thread is gone; no handle leaks a thread in a foreign
// namespace to the scheduler.
//
// Kernel pages: network_namespaces(7), setns(2), veth(4), rtnetlink(7).
// Start reading at NS.
package netns
