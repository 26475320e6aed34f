// Package rival finds the BPF programs of other data planes: they get a node's
// packets before nftables, IPVS and package dataplane/ebpf do, and carry Services
// themselves.
//
// It looks, and changes nothing. It decides nothing either: who it tells does.
//
//	devices with addresses ──► XDP        ┐
//	                           TCX        ├─ names of programs ──► known ones ──► Program
//	                           cls_bpf    ┘   "cil_from_netdev"     Cilium
//
// Programs at pods' devices, which have no address but the link's own, don't count:
// they see packets after the translation.
//
// Invariant: what the kernel does not tell is not there.
//
// Kernel pages: bpf(2), tc-bpf(8). Start reading at Find.
package rival
