// Package interop holds tests against other implementations: FRR and BIRD, the real
// daemons from the distribution's packages, in both directions.
//
// It has no code but tests. Everything runs in network namespaces of its own on one
// segment, with the walk-through's addresses:
//
//	node 1 10.10.2.112 ┐
//	node 2 10.10.2.113 ├─ segment 10.10.2.0/24, 2001:db8:2::/64 ─ 10.10.2.210 the daemon
//	node 3 10.10.2.114 ┘
//
// What counts is what the daemon's own commands and its kernel's routes say.
//
// Start reading at lab_test.go.
package interop
