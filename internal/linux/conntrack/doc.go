// Package conntrack makes the kernel forget connections that lead where they no
// longer shall.
//
// It tracks nothing itself, and leaves alone what ends by itself: TCP and SCTP, but
// for direct frontends.
//
//	Service before ─┐
//	                ├─ Note ──► Stale: frontends ── Flush ──► conntrack entries deleted
//	Service after  ─┘           and their backends now        that lead elsewhere
//
// Invariant: a connection to a backend that is still the frontend's stays.
//
// Kernel pages: conntrack(8), Documentation/networking/nf_conntrack-sysctl. Start
// reading at Stale.
package conntrack
