// Package bgptest is what tests of BGP speakers are made of: an in-memory network,
// a scripted peer, and a handler that remembers.
//
// It is no router and no codec: messages are package wire's. It knows nothing of
// the kernel; tests against real sockets are elsewhere.
//
//	bgp.Server ── Net.Dialer ──┐                     ┌── Net.Listen ── bgp.Server
//	     │                     ├── Net: hosts ───────┤
//	  Recorder                 │   Cut Crash Boot    └── Net.Listen ── Script (verbs)
//	                           └── Dial ── Script
//
// All of it keeps time by package time alone, so that it runs in a synctest bubble
// on the fake clock: a hold time passes at once. A host that crashes says nothing;
// once it is back it resets what it has forgotten, as TCP does (RFC 9293 §3.10.7.1),
// unless it is told to be silent.
//
// Start reading at Net, then Script.
package bgptest
