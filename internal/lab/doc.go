// Package lab builds the walk-through's world in network namespaces, with a real
// Kubernetes control plane, and does to it what happens to real ones.
//
// It serves no production traffic and isolates nothing from its user: the
// programs in it share the machine's files. It decides nothing about
// addresses or routes; that is the product's work, which runs here as it does
// anywhere.
//
//	pharos lab up ──► pharos lab run: the supervisor, first process of a sandbox
//	                    ├─ namespaces   client ─ switch ─ segment ─ nodes, control
//	pharos lab exec ──► ├─ cluster      etcd, kube-apiserver, … in control
//	  lab.sock, with    ├─ kubelet × 3  pods, each in a namespace of its own
//	  the caller's      └─ pharos switch run, in switch
//	  files
//
// A test that is in a sandbox itself calls Start, and has no supervisor.
//
// With a kernel of its own (User-mode Linux, which has IPVS) the lab and its
// supervisor are inside that, and a supervisor on the machine boots it and passes
// calls on by a serial line:
//
//	pharos lab exec ──► lab.sock ── SuperviseKernel ══ line ══ Guest ── lab.sock ── the lab
//
//	Stage      what is there
//	Network    namespaces, cables, routes
//	Cluster    control plane, three Ready nodes
//	Fabric     the switch, with its configuration
//	Product    proxy, controller, speakers
//	Service    the speakers' configuration, three pods, a Service
//
// Invariants: when the supervisor ends, however it ends, the kernel removes
// processes, namespaces, devices and routes; the state directory is removed by
// down, or by the next up; nobody is signalled but the process that wrote the
// directory (checked by its start time).
//
// Kernel pages: network_namespaces(7), unix(7) (SCM_RIGHTS), flock(2).
// Start reading at Start, then Supervise.
package lab
