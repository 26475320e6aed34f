// Package task runs the parts of a program side by side: it starts them, keeps
// the ones that may fail going, and waits for all of them.
//
// It owns no state and schedules nothing.
//
//	        ┌─ part ─┐
//	Run ────┼─ part ─┼──► first error cancels the others ──► all have returned
//	        └─ part ─┘
//
// Invariant: when Run returns, no goroutine that it started is left.
//
// Start reading at Run.
package task
