//go:build race

package uml

// race says whether the program has the race detector, which does not run in a
// guest.
const race = true
