// Command engine measures our BGP engine side by side with those of bird2, frr,
// gobgpd and openbgpd, one at a time, each with the same partner: a sink that only
// counts, a source of ready-packed UPDATEs, or announce of examples.
//
//	┌ namespace far ──────────────┐  veth  ┌ namespace near ──────────────┐
//	│ sink, sources, announce     │◄──────►│ the daemon that is measured  │
//	│ 10.0.0.11, .12, .13         │        │ 10.0.0.1, its kernel's table │
//	└─────────────────────────────┘        └──────────────▲───────────────┘
//	                                          rtnetlink ──┘ what the kernel says
//
// Every measurement has namespaces and daemons of its own. Nothing is asserted: what
// is printed are medians, beside the goals. It runs in a sandbox whose end, however
// it comes, is the end of every process and file that it made.
//
// Start reading at plan, then at originate.go for a group of rows and at bird.go for
// a daemon's driver.
package main
