// Package dptest is the suite that every driver of the data plane passes, and
// the model too: the same Services, endpoints and packets, the same answers.
//
// It knows no kernel mechanism: a World is made of namespaces, and what a
// driver did is seen from outside, by who answers and whom the pod saw.
//
//	client ──┐                        ┌── pod 1   10.244.1.11
//	.100 .101├── segment 10.0.0.0/24 ─┤ n1: the data plane under test
//	         │                        └── pod 2   10.244.1.12
//	         └─────────────────────────── n2 ──── pod 3   10.244.2.11
//	                                      no data plane: its packets to
//	                                      Services go to n1, as from outside
//
// Client and n2 reach each other directly, so that an answer to a connection
// that was not masqueraded, but had to be, goes astray and the test sees it.
//
// A Fleet has several nodes, each with a driver, behind a router that spreads the
// client's connections over them and that nodes leave while connections are open: what only
// drivers that work alike can show. Broken connections and failed requests are counted.
//
// Start reading at Run, then cases; for fleets at NewFleet.
package dptest
