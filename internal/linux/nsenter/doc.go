// Package nsenter starts programs as a process or a machine of the lab sees
// the world: its network, its files, its processes, its host name.
//
// It makes no namespace that lasts; what it makes ends with the program.
//
//	View{Net, PID}              View{Net, Hostname, Binds}
//	     │                           │
//	     │ namespaces of PID:        │ a mount namespace of its own, in which
//	     │ mnt uts ipc pid           │ Binds hide what the host has there
//	     └────────────► a thread of its own ──► fork, exec
//	                         └─ ends with its goroutine
//
// Invariants: no thread in a foreign view is ever given to another goroutine,
// and none of them is the program's first thread, whose view /proc/self shows.
//
// Kernel pages: setns(2), unshare(2), mount_namespaces(7), uts_namespaces(7).
// Start reading at View.
package nsenter
