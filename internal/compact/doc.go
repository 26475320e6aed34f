// Package compact keeps a great many small values in little memory: Slab numbers
// them, PrefixMap finds them by prefix.
//
// It sorts nothing and knows no longest match; whoever needs that looks up each
// length. Nothing in it may be used by several goroutines at once.
//
//	PrefixMap                    Slab, in chunks that never move
//	hash(prefix) ─► slots ─ 7 ─► │ 1 │ … │ 7: prefix, value │ … │
//	                             └ numbers stay, pointers stay, no pointer a value
//
// A million of prefixes so are some thousand objects for the garbage collector, of
// a few octets more than the values have. A chunk without values is given back.
//
// Invariants: a number is never 0 and stays its value's until Free or Delete; the
// hash is seeded, so that whoever chooses prefixes cannot choose collisions.
//
// Start reading at Slab.
package compact
