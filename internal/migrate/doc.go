// Package migrate tells what would change in a cluster if Pharos took MetalLB's
// place there now.
//
// It reads no cluster (package kube does) and decides nothing that the roles
// decide: what they would do is what controller.Preview and speaker.Preview say of
// the same Snapshot. Its own are the rules by which MetalLB's modes and versions
// treat what they read differently.
//
//	Snapshot ──► controller.Preview, speaker.Preview ──┐ what would be
//	                                                   ├──► Report: changes, notes, counts
//	MetalLB: mode, version, statuses, pods ────────────┘ what is
//
// A change is what moves an address, an owner, a route or a session, or takes
// something out of force. A note is what differs and moves none of these.
//
// Invariants: equal input, equal Report, whatever its order; what could not be
// compared is told, and not taken for equal; no finding quotes a password.
//
// Start reading at Check.
package migrate
