// Package sandbox moves the current program into namespaces of its own, so that
// nothing it does to processes, mounts or the network outlives it.
//
// It does not confine: files on disk stay shared, and a program that is root
// stays root. It makes no network devices; package netns does.
//
//	caller (go test, pharos lab)
//	   │ re-exec of the same binary, same arguments
//	   ▼
//	┌ new pid + mount + network namespace (+ user namespace without root) ┐
//	│ pid 1: the program itself, lo up, /proc of its own                  │
//	│   ├─ daemons it starts                                              │
//	│   └─ network namespaces it makes                                    │
//	└─ when pid 1 ends, the kernel kills and removes all of it ───────────┘
//
// Invariants: the inner program's exit status is the outer one's; signals that
// end the outer program end the inner one, SIGKILL included
// (PR_SET_PDEATHSIG); an inner crash leaves no process, device, address or
// rule behind.
//
// Kernel pages: pid_namespaces(7), network_namespaces(7), user_namespaces(7),
// mount_namespaces(7). Start reading at Enter.
package sandbox
