// Package configmap reads the configuration from the text of MetalLB's legacy
// ConfigMap, as its version 0.12 knew it, into a pharos.Config.
//
// It fetches nothing and keeps nothing: the text comes from package kube, or from
// a file. It does not merge with any other form of configuration.
//
//	text ──YAML──► nodes ──strict fields──► peers, pools, … ──cross checks──► *pharos.Config
//	                              │                              │
//	                              └────────► []Problem ◄─────────┘  line, field, reason, hint
//
// The format:
//
//	peers[]             my-asn peer-asn peer-address peer-port source-address hold-time
//	                    keepalive-time router-id node-selectors[] password ebgp-multihop bfd-profile
//	bgp-communities{}   alias → high:low
//	address-pools[]     name protocol addresses[] auto-assign avoid-buggy-ips bgp-advertisements[]
//	bfd-profiles[]      name receive-interval transmit-interval detect-multiplier echo-interval
//	                    echo-mode passive-mode minimum-ttl
//
// Invariants: a Config comes back only if the whole text is right, else every
// problem at once; unknown and repeated fields are problems; the cost is bounded
// by the text's size, whatever its aliases multiply to; no Problem quotes a
// password.
//
// Start reading at Parse.
package configmap
