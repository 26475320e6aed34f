// Package demo performs the walk-through in a lab, step by step, from its
// original input files, and judges each step by what kernel, switch and client
// show.
//
// It believes no log and no status of the product where the world can be asked
// instead; it changes nothing in the input files.
//
//	Demo.Steps ──► Step.run ──► commands in places of the lab ──► evidence, printed
//	                  │
//	                  └──► what was seen, or how it differs ──► Result ──► table
//
// `pharos lab demo` prints it all; the e2e test runs the very same steps and
// fails where one does.
//
// Start reading at Steps.
package demo
