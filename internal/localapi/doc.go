// Package localapi serves what a role knows of itself over HTTP on a unix
// socket, to the programs of the same machine, and asks for it.
//
// It renders nothing and decides nothing: a role hands it plain values.
//
//	pharos status ──Get──► /run/pharos/speaker.sock ──► handler ──► role.Status()
//	speaker ──Follow──► /run/pharos/proxy.sock ──► Stream ──► role.Tell()
//
// Invariants: only the socket's owner may connect (mode 0600); a socket left
// behind by a dead process is replaced, that of a living one is not.
//
// Kernel page: unix(7). Start reading at Serve.
package localapi
