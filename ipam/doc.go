// Package ipam gives addresses of pools to Services, and says why where it
// doesn't.
//
// It reads no status and writes none, knows no time, and decides nothing about
// announcing: package controller brings it what changed and carries its outcomes
// out.
//
//	SetPools ──► stock per pool ──► line per family: cursor ▸ never given out yet
//	                                                 heap   ▸ given back, lowest first
//	Update ──┬─ gone:     release
//	         ├─ keep:     what it holds, or its status says, if allowed
//	         ├─ lost:     release                    ┐ in the order of creation,
//	         └─ allocate: requested ▸ its pool ▸ any ┘ with whoever waits if something was freed
//	               └──► Outcome: addresses, pool, reason
//
// Sharing: Services with one sharing key and one backend key may have one
// address as long as no port of one is a port of another.
//
// Invariants: no address is held twice outside the sharing rules; what a Service
// holds is kept while it is allowed; the same calls give the same outcomes:
// pools are tried by name, and in a pool the lowest address that is free or may
// be shared is given; one allocation costs the logarithm of what was given back,
// and does not look at what is in use.
//
// Start reading at Allocator.
package ipam
