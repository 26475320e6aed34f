// Command bench measures the product on the walk-through's lab: real control
// plane, three nodes, the switch, its kernel. Every Service in it is created
// through the API.
//
// It asserts nothing: it prints medians, beside the goals and beside what
// MetalLB needed for the same work on such a machine.
//
//	client-go ──create──► API server ──► controller ──► speakers ──► switch
//	    ▲                    │ watch: address                          │ rtnetlink: next hops
//	    └────────────────────┴──────────────── clock ──────────────────┘
//
// Requests are counted in the API server's audit log, processor time and memory
// in /proc, UPDATE messages by the speakers' own metrics. Start reading at
// plan.
package main
