// Package ipam gives addresses of pools to Services, and says why where it
// doesn't.
//
// It reads no status and writes none, has no clock, and decides nothing about
// announcing: package controller brings it what changed and what time it is, and
// carries its outcomes out.
//
//	SetPools ──► stock per pool ──► line per family: cursor ▸ never given out yet
//	                                                 heap   ▸ given back, lowest first
//	Update ────────┬─ gone:     release ──► cool down
//	SetNamespaces ─┼─ keep:     what it holds, or its status says, as far as allowed
//	Step ──────────┼─ lost:     release ──► cool down     ┐ in the order of creation,
//	               └─ allocate: requested ▸ reserved ▸ its pool ▸ pinned pools ▸ open pools
//	                     │                                ┘ with whoever waits if something was freed
//	                     └──► Outcome: addresses, pool, reason
//
// Sharing: Services with one sharing key and one backend key may have one
// address as long as no port of one is a port of another.
//
// Pinned pools (those with an Allocation that admits the Service) are tried by
// priority, 0 last, and then by name; the pools open to everybody by name. In a
// pool the first address in the order of its ranges is given that is free or may
// be shared. Of two families one pool that has both goes before two pools that
// have one each. A Service that prefers two and got one waits for the other; it
// may come from any pool that may serve it. Where the one was found in a status
// (a start, MetalLB's place taken), the other comes of the same pool only until
// something is given back or edited: what was found is left as it is.
//
// Labels: when those of a namespace or Service change, what the Service holds is
// kept as long as its pools admit it, and otherwise taken back and allocated
// anew, as MetalLB does. Only Services of that namespace are looked at whose pool
// admits them no more, or that wait.
//
// Of two addresses each stays as long as it may by itself, so that a lost range
// cuts no traffic of the other family. Requested addresses are had all or none.
//
// A reservation admits the Service that it names to that address, from whichever
// pool and whatever the quota, and nobody else. Who has the address already keeps
// it, is told, and the Service named waits for it. A quota counts the addresses
// of the pool that a namespace's Services hold, a shared one once, reserved ones
// too; lowering it takes nothing away. A cool-down keeps what was given back from
// everybody but the Service that had it, not even to share. It is known only to
// the Allocator that saw the address given back: a new one begins with none.
//
// Invariants: no address is held twice outside the sharing rules; what a Service
// holds is kept while it is allowed; nobody waits for what is to be had; the same
// calls give the same outcomes; one allocation costs the logarithm of what was
// given back, the pinned pools, and no look at what is in use.
//
// Start reading at Allocator.
package ipam
