// Package interop holds tests against other implementations: FRR, BIRD 2, OpenBGPD
// and GoBGP, the real daemons from the distribution's packages, in both directions.
//
// It has no code but tests. Everything runs in network namespaces of its own on one
// segment, with the walk-through's addresses:
//
//	node 1 10.10.2.112 ┐
//	node 2 10.10.2.113 ├─ segment 10.10.2.0/24, 2001:db8:2::/64 ─ 10.10.2.210 the daemon
//	…                  ┘                    │
//	                               what passes is recorded and decoded by tshark
//
// What counts is what the daemon's own commands and its kernel's routes say. One
// case, a story, is written against the interface daemon and told with all of them:
// each daemon is started once, with a neighbor for every story. A story that a daemon
// cannot tell says why in its row.
//
// What our switch hears from each of them as a process of its own is in
// switch_test.go, and what FRR makes of a speaker of the product, with every field of
// its configuration, in speaker_test.go.
//
//	                                                               FRR      BIRD     OpenBGPD GoBGP
//	we dial                                                        yes      yes      yes      yes
//	over IPv6                                                      yes      yes      yes      yes
//	internal                                                       yes      yes      yes      yes
//	signed                                                         yes      yes      yes      yes
//	signed over IPv6, the daemon dials                             yes      yes      yes      yes
//	kernel routes                                                  yes      yes      –        –
//	hold time 0                                                    yes      yes      yes      yes
//	the daemon asks for a refresh                                  yes      yes      yes      –
//	the daemon shuts down with a text                              yes      yes      yes      yes
//	the daemon resets                                              yes      yes      yes      yes
//	we say goodbye                                                 yes      yes      yes      yes
//	we have another AS than the daemon thinks                      yes      yes      yes      yes
//	the daemon has another AS than we think                        yes      yes      yes      yes
//	10,000 prefixes                                                yes      yes      yes      yes
//	the daemon dials                                               yes      yes      yes      yes
//	we shut down with a text                                       yes      yes      yes      yes
//	we reset with a text                                           –        yes      yes      yes
//	we refuse, for too many prefixes                               yes      yes      yes      yes
//	we ask for an enhanced refresh                                 yes      yes      –        –
//	the daemon asks for an enhanced refresh                        –        –        yes      –
//	extended messages                                              yes      yes      –        –
//	several paths from us                                          yes      yes      yes      yes
//	several paths from the daemon                                  yes      yes      yes      yes
//	the daemon provides                                            yes      yes      yes      –
//	roles do not match                                             yes      yes      yes      –
//	IPv4 by an IPv6 next hop                                       yes      yes      –        yes
//	the daemon's own next hops                                     –        –        –        yes
//	TTL security                                                   yes      yes      yes      yes
//	we drain                                                       yes      yes      yes      yes
//	link bandwidth                                                 yes      yes      –        yes
//	a dynamic neighbor                                             yes      yes      yes      yes
//	we restart gracefully                                          yes      yes      yes      yes
//	our routes are long-lived                                      yes      yes      –        yes
//	we change, with NOTIFICATIONs in graceful restart              yes      –        –        yes
//	the daemon resets, with NOTIFICATIONs in graceful restart      yes      –        –        yes
//	killed                                                         yes      yes      yes      yes
//	killed, with graceful restart                                  yes      yes      –        yes
//
// # What the daemons do that we had to learn
//
//   - OpenBGPD takes the next hop of the family that is not the session's from the
//     loopback: ::1, which we treat as withdrawn, unless there is another address.
//     Killed alone, its parent's children say goodbye. Version 7.7 counts a request
//     for a route refresh and sends nothing, neither to us nor to FRR, whose request is
//     the same octets. With enhanced refresh and without graceful restart it begins
//     every session with a BoRR and never sends the EoRR; we pass over a BoRR before
//     the End-of-RIB (RFC 7313 §4), and package router waits for no EoRR forever.
//   - GoBGP announces its session's address as the next hop of both families: IPv6
//     with a mapped IPv4 address, which is heard and leads nowhere, and IPv4 with an
//     IPv6 address, agreed on (RFC 8950) or not. FRR uses both, as far as its kernel
//     takes them, BIRD ignores both, OpenBGPD ends the session for the second, which we
//     treat as withdrawn. It does not pass on routes to a neighbor whose AS is in their
//     path. It takes no connection for seconds after a refused one, and for 30 s after
//     a reset.
//   - FRR's bgpd 8.4 may die when a route-map in use is deleted and made again.
//   - BIRD leaves out the MED of static routes unless its export filter sets it.
//   - tshark 4.0 does not decode extended messages (RFC 8654).
//
// Start reading at story_test.go, then stories_test.go.
package interop
