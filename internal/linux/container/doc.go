// Package container runs a host program as a container: in a network namespace
// given to it, with process, mount and host name namespaces of its own, and
// with files and directories mounted where the program expects them.
//
// It is not a jail: the program sees the machine's files, may write them unless
// Spec says otherwise, and has no cgroup. It knows no image and no Kubernetes;
// package internal/lab/kubelet does.
//
//	Start(Spec) ── this program again, in new pid + mount + uts namespaces
//	                  │ Init: reads the Spec, builds the root, says what failed
//	                  ▼
//	            execve(Spec.Args): pid 1 of the container
//
//	the container's root
//	/            tmpfs, empty but for what follows
//	├─ NAME      each entry of the machine's /, bound or, if a symlink, copied
//	├─ tmp run   fresh and empty
//	├─ proc      the container's processes
//	├─ sys       the container's network devices
//	└─ …         Spec.Mounts; a directory of the machine that lacks the mount
//	             point is replaced by a tmpfs with its entries bound into it,
//	             so that the machine's own tree stays untouched
//
// Invariants: a Process has either become the program, or Start returned an
// error; killing it kills every process of the container (pid_namespaces(7));
// its mounts end with it.
//
// Kernel pages: pid_namespaces(7), mount_namespaces(7), pivot_root(2),
// mount_setattr(2), setns(2), capabilities(7). Start reading at Start.
package container
