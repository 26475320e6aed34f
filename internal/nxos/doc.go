// Package nxos speaks the switch's language: it reads a configuration in NX-OS's
// syntax, and answers show commands column for column as NX-OS prints them.
//
// It configures and routes nothing: the configuration becomes a router.Config and
// ports, and what is shown comes from the router's Status and tables.
//
//	switch.conf ──Parse──► Config ──Router──► router.Config
//	                         │    ──Ports───► interfaces and addresses
//	                         └──► show running-config
//
//	"sh ip bgp sum | json" ──Shell.Exec──► command ──► view ──► text or JSON ──► pipes
//
// One grammar engine (node) serves both: words may be abbreviated as long as they
// are unambiguous, arguments are checked where they stand, and an error points at
// the column. A configuration line belongs to the innermost mode that knows it, as
// on the switch: indentation means nothing.
//
// Invariants: what is not understood is refused, never ignored; all errors of a
// file are reported, each with its line, the reason and a hint; no output holds a
// password.
//
// The formats are those of Nexus 9000 captures; constants of the memory arithmetic
// are those of one release. Start reading at Parse and Shell.
package nxos
