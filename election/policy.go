package election

// Policy is how an election departs from MetalLB's rule. The zero value does not. All
// speakers of a cluster have to have the same one; while they do not, none applies.
type Policy struct {
	// Sticky lets who holds an address keep it while it is a candidate that no other
	// outweighs.
	Sticky bool
	// Spread, if not 0, bounds the addresses of a node to this many times the average,
	// rounded up: 1 or more.
	Spread float64
}
