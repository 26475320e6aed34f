// Package e2e holds the tests that run the whole product, as users install it,
// on a real Kubernetes control plane in the lab.
//
// It has no code of its own: the walk-through's steps are package
// internal/lab/demo's, which `pharos lab demo` runs too.
//
//	TestWalkthrough ──► lab.Start ──► demo.Steps: one subtest each
//	TestFaults ───────► lab.Start ──► bad input, parts that are away: what stays
//	TestServices ─────► lab.Start ──► what Services ask for, packets of real clients, rights
//	TestParts ────────► lab.Start ──► peers, Secrets and processes that are missing, wrong or killed
//	TestDropIn ───────► lab.Start ──► every kind and field of MetalLB's users: RIB, frames, API
//	TestDrain ────────► lab.Start ──► announcements that wait for the kernel, ends that lose nothing
//	TestUpgrade ──────► lab.Start ──► what MetalLB leaves behind, before the product is installed
//	TestChart ────────► lab.Start ──► the Helm chart in place of the manifests
//
// Invariant: what is asserted is what switch, kernel and client show; metrics
// and events only where they are what operators are promised.
//
// Start reading at TestWalkthrough.
package e2e
