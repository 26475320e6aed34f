// Package kubeproxy removes what a kube-proxy of mode nftables left in the kernel
// when it was taken away.
//
// It leaves the tables of a kube-proxy that runs, and those of modes iptables and
// ipvs: they are mixed with other programs' rules there, and kube-proxy --cleanup
// knows them.
//
//	kube-proxy answers at its health port? ──yes──► nothing
//	      │ no
//	      ▼
//	tables ip kube-proxy, ip6 kube-proxy ──► deleted, in one transaction
//
// Kernel page: nft(8). Start reading at Remove.
package kubeproxy
