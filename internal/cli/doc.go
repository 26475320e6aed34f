// Package cli is the command line: it reads flags and environment, wires
// adapters to roles, and runs them. One file a subcommand.
//
// It holds no logic of its own: whatever two commands need belongs below.
//
//	cmd/pharos ──► New ──► controller speaker proxy switch lab status …
//
// Invariants: no flag or environment variable of the product is read anywhere
// else; an error is printed once, by main, with what to do about it.
//
// Start reading at New.
package cli
