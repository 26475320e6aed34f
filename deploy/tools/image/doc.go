// Command image builds the product's container image, for several architectures,
// without a container engine: it compiles the program, and packs it.
//
// There is nothing in the image but the program: no shell, no libraries, no
// certificates, as the program speaks TLS with the API server alone, whose
// authority is mounted into every pod.
//
//	go build, once an architecture
//	     └─► layer: /pharos ─► image: user, entry point, labels ─┐
//	                                     index of all ───────────┴─► file, and registry
//
// The file is an OCI layout, which containerd, podman and skopeo read, and a
// docker archive of the same blobs, in which each architecture has a tag of its
// own. The same sources give the same bytes: nothing in it tells of the time,
// the machine or the directory it was made in.
//
// Start reading at main, then assemble.
package main
