// Command layer2 measures how long clients of a layer 2 address go without an answer when
// the node that announces it dies, or its speaker ends.
//
// It needs no Kubernetes: each node is a network namespace with a process that has the
// product's speaker, membership and announcer, and a Snapshot of its own. It asserts
// nothing about time.
//
//	bridge ──┬── client: a datagram to the address every 2 ms, and who answers it
//	         ├── n1 ┐  each: speaker.Speaker, gossip.Cluster, lan.Server, BFD if asked for,
//	         ├── n2 ├─ and an echo of datagrams to the address
//	         └── n3 ┘
//
// A node dies by losing its cable and its process at once. The clock ends with the first
// answer of another node, so that it includes detection, election, the announcement, and
// the client's kernel. bench/README.md has results. Start reading at measure, in main.go.
package main
