// Package table says which endpoint owns which connections of a Service: a pure
// function of the endpoints, so that every node of a cluster, and every restart
// of one, comes to the same answer without telling the others.
//
// It knows no packets but by their hash, and forwards nothing: package dataplane
// puts tables into its States, and the drivers into kernels.
//
//	client's address . port ──Hash──► slot 0 … Size-1
//	                                    │
//	   Table.Slots[slot] = { Current, Previous } ──► Table.Owners
//	                           │          │
//	                           │          └ who owned the slot before Current came, or still
//	                           │            drains: gets what Current does not know
//	                           └ gets every new connection of the slot
//
// Each slot is given by rendezvous (highest random weight): every endpoint has a
// rank in every slot, Current is the best that takes new connections, Previous the
// best other one. So an endpoint that comes takes its share from all others and one
// that goes leaves it to them, and nothing else moves; and whose a slot was before
// needs no memory, because it is who is next in rank. Why so, how even that is, and
// where it ends: ADR 11.
//
// Invariants: equal endpoints give equal tables, in whatever order they are given,
// on every machine and in every version (golden vectors). Hash is bit for bit what
// the kernel's jhash makes of the same bytes (include/linux/jhash.h), so that nft,
// eBPF and this package agree (golden values of a kernel).
//
// With costs by what differs, New by how much there is; both give the same table.
//
// Start reading at New, then contest, ranker and Hash.
package table
