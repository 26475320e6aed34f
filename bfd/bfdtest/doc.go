// Package bfdtest is what tests of BFD are made of: an in-memory network, the suite
// that every transport passes, and a Handler that remembers.
//
// It has no sessions, timers or packets of its own; those are package bfd's.
//
//	bfd.Server ── Host ──┐                ┌── Host ── bfd.Server
//	     │               ├── Net ─────────┤
//	  Recorder           │  Cut Mend Hops └── Host ── TestTransport
//	                     │  Freeze Thaw
//
// All of it keeps time by package time alone, so that it runs in a synctest bubble on
// the fake clock. A host that is frozen does nothing while datagrams arrive, as a
// process that is stopped: when it goes on it finds what its socket had room for, the
// oldest, with the times of their arrival.
//
// Start reading at Net, then TestTransport.
package bfdtest
