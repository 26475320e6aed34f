// Package uml runs a program as the first process of a User-mode Linux kernel, so
// that tests and the lab have a kernel with IPVS where the machine's own has none.
//
// It builds no kernel and knows nothing of IPVS: the kernel and its modules are
// those of Debian's package user-mode-linux, and callers say which they need.
//
//	go test                                  linux.uml, an ordinary process
//	┌───────────────────────────┐  boots     ┌──────────────────────────────────┐
//	│ Test(t, {"suite": suite}) ├───────────►│ the same test binary as pid 1    │
//	│   mirrors as subtests     │            │   Main: mounts, modules          │
//	│   what the guest prints   │◄───────────┤   Test: runs suite for real      │
//	└───────────────────────────┘  console   │   exit status, power off         │
//	                                         └──────────────────────────────────┘
//
// The guest's root is the machine's, read only (hostfs); /run and /tmp's stand-in
// TMPDIR are in its memory. It has one processor, and the kernel's processes are
// bound to one of the machine's: they hand over to each other by ptrace, which is
// three times slower across processors. The race detector does not run in it, so
// that a test with it builds its guest without.
//
// Invariants: the kernel ends with the program that booted it; a boot has a time
// limit; a guest that says nothing of its end has failed.
//
// Kernel pages: Documentation/virt/uml/user_mode_linux_howto_v2,
// Documentation/admin-guide/kernel-parameters. Start reading at Boot, then Test.
package uml
