// Command dataplane measures what the data plane's drivers cost: a packet at the node that
// it reaches and at the one that owns its connection, of a connection that is known and of a new
// one; a change among many Services; memory.
//
// Packets are frames that the kernel makes of one (BPF_F_TEST_XDP_LIVE_FRAMES,
// Documentation/bpf/bpf_prog_run.rst) and takes in as if they had come by a node's device;
// they go through the whole stack, and end at the far side of the device by which they leave,
// where a program counts and drops them.
//
//	XDP program: writes a UDP packet ─► eth0 of n1 ─► tc, nftables, routing ─┬► eth0 ──┤ counted, dropped
//	                                    (namespace)                          └► a pod ─┤ counted, dropped
//
// Nothing is asserted but that all packets arrive. Each round measures every way once.
// Medians of all rounds are printed, beside the fastest and the slowest, and the machine's load. bench/README.md has results. Start reading at measure, in
// main.go.
package main
