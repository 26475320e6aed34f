// Package port gives a router's interfaces the addresses they are configured with
// and tells which networks they are connected to, now and whenever that changes.
//
// It makes no devices and knows no routes.
//
//	configuration ──► Apply ──► rtnetlink: addresses, up, down
//	                                │ notifications
//	rib.Networks ◄── Connected ◄── Changed
//
// A device is found by the interface's name with slashes turned into dashes,
// which a kernel name may hold (Ethernet1/1 is Ethernet1-1), or else by an alias
// that is the name itself (ip link set eth3 alias Ethernet1/1).
//
// Invariants: addresses that somebody else gave a device are left alone; one that
// Apply gave is removed when it is not configured any more; what is so already is
// not touched.
//
// Kernel pages: rtnetlink(7), ip-link(8), ip-address(8). Start reading at Ports.
package port
