// Package layer2 says what a host announces on its links by ARP and Neighbor
// Discovery: the nouns that whoever wants addresses announced and whoever sends the
// frames share.
//
// It reads and writes no frame (packages arp and ndp), opens no socket
// (internal/linux/lan), and elects nobody: it is told which addresses are this host's.
//
//	            Announcements                              frames
//	speaker ──────────────────▶ Announcer (internal/linux/lan) ──────▶ links
//	   ▲  ▲  Status, Links           │ Changed │
//	   │  └──────────────────────────┴─────────┘
//	   └──── Handler: another host claims one of the addresses
//
// Which links an address is announced on (LinksFor): of those that the Announcement
// names, and that can be used for the address's family, the ones whose subnets hold the
// address; if there are none of these, all of them.
//
// Invariants: the nouns are plain values; LinksFor and ReachOf are pure, so that a
// speaker that plans and an Announcer that acts come to the same answer.
//
// RFC 826 and RFC 5227 (ARP), RFC 4861 and RFC 4862 (Neighbor Discovery).
// Start reading at Announcer, then LinksFor.
package layer2
