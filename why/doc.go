// Package why holds every reason for which Pharos decides something, each once:
// planners return them, and status, explain, events and metrics render them.
//
// It decides nothing itself, and knows no Service, pool or peer: a Reason names
// its case by Code and tells the particulars in Detail.
//
//	planner ──► Reason{Code, Detail} ──► status, explain   Reason.String
//	                                 ──► Kubernetes event  Code.String as its reason, Code.Warning as its type
//	                                 ──► metric label      Code.String
//
// Invariants: a Code's string is a name that users may already match on
// (MetalLB's event and log reasons keep theirs), and never changes; a Reason is
// comparable, so that "the same reason as before" is ==.
//
// Start reading at Code.
package why
