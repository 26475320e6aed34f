// Package e2e holds the tests that run the whole product, as users install it,
// on a real Kubernetes control plane in the lab.
//
// It has no code of its own: the walk-through's steps are package
// internal/lab/demo's, which `pharos lab demo` runs too.
//
//	TestWalkthrough ──► lab.Start ──► demo.Steps ──► one subtest each
//
// Start reading at TestWalkthrough.
package e2e
