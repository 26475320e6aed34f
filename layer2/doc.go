// Package layer2 decides what a host says by ARP and Neighbor Discovery of the addresses
// that are announced from it: on which of its links, when, and to whom. Its nouns are
// those that whoever wants addresses announced and whoever sends the frames share.
//
// It reads and writes no frame (packages arp and ndp), opens no socket
// (internal/linux/lan), and elects nobody: it is told which addresses are this host's.
//
//	            Announcements                              frames
//	speaker ──────────────────▶ Announcer (internal/linux/lan) ──────▶ links
//	   ▲  ▲  Status, Links        │   ▲  │ Changed │
//	   │  └───────────────────────│───│──┴─────────┘
//	   └──── Handler: a Conflict  │   │
//	                     Set, Links,  Answer, Announce, Probe,
//	                  Asked, Claimed  Start, Stop, Report
//	                              ▼   │
//	                            Responder: pure
//
// An address on a link, the Responder's unit:
//
//	absent ── address Set, and LinksFor names the link ──▶ probed for and announced at once,
//	   ▲                                                    │ after 100 ms, 500 ms, 2 s, 5 s,
//	   │                                                    │ and every period, if there is one
//	   └──── no longer ◀── announced, answered for ◀────────┘
//	                         └─ carrier lost for a moment, another MAC: from the start
//
// Which links an address is announced on (LinksFor): of those that the Announcement
// names, and that can be used for the address's family, the ones whose subnets hold the
// address; if there are none of these, all of them.
//
// Who else says to have an address that is announced here is reported, whoever it is:
// whether that is a rival or a speaker that takes over is for the Handler to tell, and so
// whether the address is defended. Neither taking over nor answering waits for anything.
//
// Invariants: the same nouns, whatever led to them, mean the same announcements; LinksFor
// is the one rule, for a speaker that plans and for the Responder that acts; a request
// costs the same however many addresses are announced; claims, however many, cost
// bounded memory and a bounded number of reports.
//
// RFC 826 and RFC 5227 (ARP), RFC 4861 and RFC 4862 (Neighbor Discovery).
// Start reading at Announcer, then LinksFor and Responder.Step.
package layer2
