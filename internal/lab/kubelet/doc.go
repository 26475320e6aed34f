// Package kubelet plays one node's kubelet against a real API server: it
// registers the node, keeps its lease, and runs the pods that the scheduler
// binds to it, each in a network namespace, each container as a host process.
//
// It pulls no image: a container sees the machine's files with the pod's volumes
// mounted among them. Of the security context it honours user, groups,
// capabilities, privilege escalation and a read-only root, but no seccomp or
// SELinux profile; there are no cgroups, so that limits are not enforced. It
// does not exec or attach for kubectl, and mounts no network storage.
//
//	API server ── watch spec.nodeName ──► boot ──► one worker per pod ──► status writer ──► API server
//	                                       │            │
//	               Node, Lease ◄───────────┘            ├─ network     Machine.AddPod
//	                                                    ├─ volumes     files under Dir
//	                                                    ├─ containers  image → program
//	                                                    └─ probes
//
//	image                         what runs
//	in Config.Images              that host program, with the container's args
//	any other, with a command     that host program
//	any other, no command         an HTTP server that answers with the pod's host name
//
// A boot is the time between power-on and power-off: PowerOff kills it without
// a word to the API, and the next one finds its pods there.
//
// Invariants: one goroutine owns a pod's state; no process of a pod outlives
// PowerOff or Run; what can't be run says so in its waiting reason; API calls
// made for a pod never delay its processes.
//
// Kernel pages: pid_namespaces(7), mount_namespaces(7), pivot_root(2).
// Start reading at Kubelet.
package kubelet
