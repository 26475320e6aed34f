package crd

import (
	"strings"
	"testing"
)

const peer1 = "BGPPeer a: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.1"

// Each mistake is told of with its object, field, reason and, where there is one
// to give, a hint.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		// IPAddressPool
		{"no addresses", "IPAddressPool a: {addresses: []}", "IPAddressPool a: spec.addresses: is empty (a pool needs a CIDR or a range)"},
		{"address", "IPAddressPool a: {addresses: [192.0.2.0/24, 10.0.0.1]}", `IPAddressPool a: spec.addresses[1]: "10.0.0.1" is neither a CIDR nor a range (a single address is 10.0.0.1/32)`},
		{"backwards", "IPAddressPool a: {addresses: [10.0.0.9-10.0.0.1]}", "IPAddressPool a: spec.addresses[0]: the range ends before it begins: 10.0.0.9 is above 10.0.0.1 (10.0.0.1-10.0.0.9?)"},
		{"overlap inside", "IPAddressPool a: {addresses: [10.0.0.8/30, 192.0.2.0/24, 10.0.0.1 - 10.0.0.9]}", "IPAddressPool a: spec.addresses[2]: 10.0.0.1-10.0.0.9 overlaps 10.0.0.8-10.0.0.11, which is spec.addresses[0] (leave one out)"},
		{"overlap", "IPAddressPool a: {addresses: [10.0.0.0/24]}\nIPAddressPool b: {addresses: [192.0.2.0/24, 10.0.0.7/32]}", "IPAddressPool b: spec.addresses[1]: 10.0.0.7-10.0.0.7 overlaps 10.0.0.0-10.0.0.255 of IPAddressPool a, spec.addresses[0] (an address is in one pool alone)"},
		{"namespace twice", "IPAddressPool a: {addresses: [10.0.0.0/24], serviceAllocation: {namespaces: [x, y, x]}}", `IPAddressPool a: spec.serviceAllocation.namespaces[2]: "x" is given already, as spec.serviceAllocation.namespaces[0] (leave one out)`},
		{"selector twice", "IPAddressPool a: {addresses: [10.0.0.0/24], serviceAllocation: {namespaceSelectors: [{matchLabels: {a: b, c: d}}, {matchLabels: {c: d, a: b}}]}}", "IPAddressPool a: spec.serviceAllocation.namespaceSelectors[1]: is the same selector as spec.serviceAllocation.namespaceSelectors[0] (leave one out)"},
		{"expression twice", "IPAddressPool a: {addresses: [10.0.0.0/24], serviceAllocation: {serviceSelectors: [{matchExpressions: [{key: a, operator: In, values: [x, y]}, {key: a, operator: In, values: [y, x]}]}]}}", "IPAddressPool a: spec.serviceAllocation.serviceSelectors[0].matchExpressions[1]: is the same as matchExpressions[0] (leave one out)"},
		{"value twice", "IPAddressPool a: {addresses: [10.0.0.0/24], serviceAllocation: {serviceSelectors: [{matchExpressions: [{key: a, operator: In, values: [x, x]}]}]}}", `IPAddressPool a: spec.serviceAllocation.serviceSelectors[0].matchExpressions[0].values: has "x" twice (leave one out)`},
		{"selector", "IPAddressPool a: {addresses: [10.0.0.0/24], serviceAllocation: {serviceSelectors: [{matchExpressions: [{key: a, operator: in, values: [x]}]}]}}", `IPAddressPool a: spec.serviceAllocation.serviceSelectors[0].matchExpressions[0].operator: "in" is none of In, NotIn, Exists, DoesNotExist (did you mean In?)`},
		{"selector values", "L2Advertisement a: {nodeSelectors: [{matchExpressions: [{key: a, operator: In}, {key: b, operator: Exists, values: [x]}, {key: c, operator: Gt, values: ['1']}]}]}", `L2Advertisement a: spec.nodeSelectors[0].matchExpressions[0].values: In asks for values (give at least one)
L2Advertisement a: spec.nodeSelectors[0].matchExpressions[1].values: Exists takes no values (leave them out)
L2Advertisement a: spec.nodeSelectors[0].matchExpressions[2].operator: "Gt" is none of In, NotIn, Exists, DoesNotExist`},
		{"selector labels", "L2Advertisement a: {nodeSelectors: [{matchLabels: {a: 'no value'}}, {matchLabels: {no/la/bel: x}}]}", `L2Advertisement a: spec.nodeSelectors[0].matchLabels[a]: "no value" is not the value of a label (63 letters, digits, -, _ and . at most, a letter or digit first and last)
L2Advertisement a: spec.nodeSelectors[1].matchLabels[no/la/bel]: "no/la/bel" is not the name of a label (63 letters, digits, -, _ and . at most, a letter or digit first and last; a domain and / may come before)`},
		{"well-known community", "BGPAdvertisement a: {communities: [no-export]}", `BGPAdvertisement a: spec.communities[0]: "no-export" is neither a community nor the alias of one (it is 65535:65281; a Community object can give it that name) [referenceMissing]`},
		{"cool-down", "IPAddressPool a metadata: {annotations: {pharoslb.io/cool-down: '600'}}\nIPAddressPool a: {addresses: [10.0.0.0/24]}", `IPAddressPool a: metadata.annotations[pharoslb.io/cool-down]: "600" is not a duration (such as 10m)`},
		{"annotation", "IPAddressPool a metadata: {annotations: {pharoslb.io/cooldown: 5m}}\nIPAddressPool a: {addresses: [10.0.0.0/24]}", "IPAddressPool a: metadata.annotations[pharoslb.io/cooldown]: there is no such annotation (did you mean pharoslb.io/cool-down?)"},
		{"quota", "IPAddressPool a metadata: {annotations: {pharoslb.io/quota: 'shop=5, shop=6, Shop=1, x=-1, y'}}\nIPAddressPool a: {addresses: [10.0.0.0/24]}", `IPAddressPool a: metadata.annotations[pharoslb.io/quota]: "shop" is given twice (leave one out)
IPAddressPool a: metadata.annotations[pharoslb.io/quota]: "Shop" is not the name of a namespace (such as shop=5, or *=20 for all others)
IPAddressPool a: metadata.annotations[pharoslb.io/quota]: "-1" is not a number of addresses (such as shop=5)
IPAddressPool a: metadata.annotations[pharoslb.io/quota]: "y" is not of the form name=value (such as shop=5, *=20)`},
		{"reservations", "IPAddressPool a metadata: {annotations: {pharoslb.io/reservations: 'web=10.0.0.1, s/w=10.0.0.1, s/v=10.0.0.1, s/w=10.0.0.2, s/u=10.0.1.0, s/t=x'}}\nIPAddressPool a: {addresses: [10.0.0.0/24]}", `IPAddressPool a: metadata.annotations[pharoslb.io/reservations]: "web" is not namespace/name of a Service (such as default/web)
IPAddressPool a: metadata.annotations[pharoslb.io/reservations]: 10.0.0.1 is reserved twice, for s/w and for s/v (leave one out)
IPAddressPool a: metadata.annotations[pharoslb.io/reservations]: 10.0.0.1 and 10.0.0.2 are both reserved for s/w (a Service has one address of each family)
IPAddressPool a: metadata.annotations[pharoslb.io/reservations]: 10.0.1.0, reserved for s/u, is not an address of the pool
IPAddressPool a: metadata.annotations[pharoslb.io/reservations]: "x" is not an IP address (host names and zones are not accepted)`},
		{"namespace", "IPAddressPool a metadata: {namespace: default}\nIPAddressPool a: {addresses: [10.0.0.0/24]}", "IPAddressPool default/a: metadata.namespace: only objects of namespace metallb-system count (create it there)"},

		// BGPPeer
		{"no AS", "BGPPeer a: {myASN: 0, peerAddress: 10.0.0.1}", "BGPPeer a: spec.myASN: is missing, or 0\nBGPPeer a: spec.peerASN: is missing, or 0 (give it, or dynamicASN)"},
		{"two AS", peer1 + ", dynamicASN: internal}", "BGPPeer a: spec.dynamicASN: peerASN is given too (leave one of them out)"},
		{"dynamic AS", "BGPPeer a: {myASN: 1, dynamicASN: any, interface: eth0}", `BGPPeer a: spec.dynamicASN: "any" is neither internal nor external`},
		{"no place", "BGPPeer a: {myASN: 1, peerASN: 2}", "BGPPeer a: spec.peerAddress: is missing (give it, or interface)"},
		{"two places", peer1 + ", interface: eth0}", "BGPPeer a: spec.interface: peerAddress is given too (leave one of them out)"},
		{"host name", "BGPPeer a: {myASN: 1, peerASN: 2, peerAddress: tor.example}", `BGPPeer a: spec.peerAddress: "tor.example" is not an IP address (host names and zones are not accepted)`},
		{"source", peer1 + ", sourceAddress: '::1'}", "BGPPeer a: spec.sourceAddress: ::1 and the peer's address 10.0.0.1 are of different families"},
		{"reserved AS", "BGPPeer a: {myASN: 23456, peerASN: 23456, localASN: 23456, peerAddress: 10.0.0.1}", "BGPPeer a: spec.myASN: 23456 is reserved (RFC 6793)\nBGPPeer a: spec.peerASN: 23456 is reserved (RFC 6793)\nBGPPeer a: spec.localASN: 23456 is reserved (RFC 6793)"},
		{"no host", "BGPPeer a: {myASN: 1, peerASN: 2, peerAddress: 224.0.0.1}", "BGPPeer a: spec.peerAddress: 224.0.0.1 is not the address of a host"},
		{"link-local", "BGPPeer a: {myASN: 1, peerASN: 2, peerAddress: 'fe80::1'}", "BGPPeer a: spec.peerAddress: fe80::1 is link-local, and does not say on which link (give interface instead: the router is found there)"},
		{"source beside interface", "BGPPeer a: {myASN: 1, peerASN: 2, interface: eth0, sourceAddress: 10.0.0.9}", "BGPPeer a: spec.sourceAddress: 10.0.0.9 is not link-local, as the addresses of a session found by its interface are (leave it out)"},
		{"router ID of zero", peer1 + ", routerID: 0.0.0.0}", "BGPPeer a: spec.routerID: 0.0.0.0 identifies nobody (leave it out)"},
		{"router ID", peer1 + ", routerID: '::1'}", "BGPPeer a: spec.routerID: ::1 is not an IPv4 address"},
		{"port", peer1 + ", peerPort: 16385}", "BGPPeer a: spec.peerPort: 16385 is not from 0 to 16384"},
		{"hold time", peer1 + ", holdTime: 2s}", "BGPPeer a: spec.holdTime: 2s is neither 0s nor 3s or more"},
		{"long hold time", peer1 + ", holdTime: 65536s}", "BGPPeer a: spec.holdTime: 18h12m16s is not within 0 s and 65535 s"},
		{"keepalive", peer1 + ", holdTime: 9s, keepaliveTime: 10s}", "BGPPeer a: spec.keepaliveTime: 10s is more than the hold time 9s (a third of it is usual)"},
		{"connect time", peer1 + ", connectTime: 1500ms}", "BGPPeer a: spec.connectTime: 1.5s is not whole seconds from 1s to 65535s (such as 10s)"},
		{"no connect time", peer1 + ", connectTime: 0s}", "BGPPeer a: spec.connectTime: 0s is not whole seconds from 1s to 65535s (such as 10s)"},
		{"iBGP multihop", "BGPPeer a: {myASN: 1, peerASN: 1, peerAddress: 10.0.0.1, ebgpMultiHop: true}", "BGPPeer a: spec.ebgpMultiHop: makes no sense for an iBGP peer (leave it out, or correct the autonomous systems)"},
		{"internal multihop", "BGPPeer a: {myASN: 1, dynamicASN: internal, peerAddress: 10.0.0.1, ebgpMultiHop: true}", "BGPPeer a: spec.ebgpMultiHop: makes no sense for an iBGP peer (leave it out, or correct the autonomous systems)"},
		{"two passwords", peer1 + ", password: hunter2, passwordSecret: {name: x}}", "BGPPeer a: spec.passwordSecret: password is given too (leave password out)"},
		{"Secret's namespace", peer1 + ", passwordSecret: {name: x, namespace: default}}", `BGPPeer a: spec.passwordSecret.namespace: "default" is another namespace (only Secrets of metallb-system are read: create it there)`},
		{"no Secret", peer1 + ", passwordSecret: {name: x}}", "BGPPeer a: spec.passwordSecret: there is no Secret x (there is no session until it is there) [secretMissing]"},
		{"Secret's type", "Secret x: {type: Opaque, password: hunter2}\n" + peer1 + ", passwordSecret: {name: x}}", `BGPPeer a: spec.passwordSecret: Secret x is of type "Opaque", must be kubernetes.io/basic-auth (a Secret's type can't be changed: create it anew) [secretMissing]`},
		{"Secret's key", "Secret x: {}\n" + peer1 + ", passwordSecret: {name: x}}", "BGPPeer a: spec.passwordSecret: Secret x has no value under the key password [secretMissing]"},
		{"empty password", "Secret x: {password: ''}\n" + peer1 + ", passwordSecret: {name: x}}", "BGPPeer a: spec.passwordSecret: Secret x has no value under the key password [secretMissing]"},
		{"long password", "Secret x: {password: " + strings.Repeat("hunter2", 12) + "}\n" + peer1 + ", passwordSecret: {name: x}}", "BGPPeer a: spec.passwordSecret: the password in Secret x is longer than 80 bytes, more than TCP MD5 signatures take [secretMissing]"},
		{"BFD profile", "BFDProfile fast: {}\n" + peer1 + ", bfdProfile: fst}", `BGPPeer a: spec.bfdProfile: there is no BFDProfile "fst" (did you mean fast?) [referenceMissing]`},
		{"same peer", peer1 + "}\nBGPPeer b: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.1}", "BGPPeer b: spec.peerAddress: 10.0.0.1 is the peer of BGPPeer a already, on the same nodes (delete one of them, or tell them apart by nodeSelectors)"},
		{"same link", "BGPPeer a: {myASN: 1, peerASN: 2, interface: eth0}\nBGPPeer b: {myASN: 1, peerASN: 3, interface: eth0, nodeSelectors: [{matchLabels: {a: b}}]}", "BGPPeer b: spec.interface: eth0 is the peer of BGPPeer a already, on the same nodes (delete one of them, or tell them apart by nodeSelectors)"},
		{"same port of a link", "BGPPeer a: {myASN: 1, peerASN: 2, interface: eth0, peerPort: 1179}\nBGPPeer b: {myASN: 1, peerASN: 3, interface: eth0, peerPort: 1179}", "BGPPeer b: spec.interface: eth0:1179 is the peer of BGPPeer a already, on the same nodes (delete one of them, or tell them apart by nodeSelectors)"},

		// BFDProfile, Community
		{"BFD limits", "BFDProfile a: {receiveInterval: 9, transmitInterval: 60001, detectMultiplier: 256, echoInterval: 0, minimumTtl: 255}", `BFDProfile a: spec.receiveInterval: 9 is not from 10 to 60000
BFDProfile a: spec.transmitInterval: 60001 is not from 10 to 60000
BFDProfile a: spec.echoInterval: 0 is not from 10 to 60000
BFDProfile a: spec.detectMultiplier: 256 is not from 2 to 255
BFDProfile a: spec.minimumTtl: 255 is not from 1 to 254`},
		{"community", "Community a: {communities: [{name: x, value: '65536:1'}, {name: y, value: 'large:1:2'}]}", `Community a: spec.communities[0].value: "65536:1" is not a community (two numbers up to 65535, such as 65535:65282, or three up to 4294967295, such as large:64500:1:2)
Community a: spec.communities[1].value: "large:1:2" is not a community (two numbers up to 65535, such as 65535:65282, or three up to 4294967295, such as large:64500:1:2)`},
		{"alias twice inside", "Community a: {communities: [{name: x, value: '1:1'}, {name: x, value: '1:2'}]}", `Community a: spec.communities[1].name: the alias "x" is given already, as spec.communities[0] (leave one out)`},
		{"alias twice", "Community a: {communities: [{name: x, value: '1:1'}]}\nCommunity b: {communities: [{name: y, value: '1:1'}, {name: x, value: '1:1'}]}", `Community b: spec.communities[1].name: the alias "x" is of Community a, spec.communities[0], already (rename one of them)`},

		// BGPAdvertisement
		{"aggregation", "IPAddressPool p: {addresses: [10.0.0.0/28, 10.0.0.16-10.0.0.41, '2001:db8::/64']}\nBGPAdvertisement a: {aggregationLength: 27, aggregationLengthV6: 63}", `BGPAdvertisement a: spec.aggregationLength: /27 is wider than 10.0.0.0-10.0.0.15 of IPAddressPool p, spec.addresses[0], whose widest prefix is /28 (28 or more)
BGPAdvertisement a: spec.aggregationLength: /27 is wider than 10.0.0.16-10.0.0.41 of IPAddressPool p, spec.addresses[1], whose widest prefix is /28 (28 or more)
BGPAdvertisement a: spec.aggregationLengthV6: /63 is wider than 2001:db8::-2001:db8::ffff:ffff:ffff:ffff of IPAddressPool p, spec.addresses[2], whose widest prefix is /64 (64 or more)`},
		{"lengths", "BGPAdvertisement a: {aggregationLength: 0, aggregationLengthV6: 129}", "BGPAdvertisement a: spec.aggregationLength: 0 is not from 1 to 32\nBGPAdvertisement a: spec.aggregationLengthV6: 129 is not from 1 to 128"},
		{"aggregate of Services", "BGPAdvertisement a: {aggregationLength: 31, serviceSelectors: [{matchLabels: {a: b}}]}", "BGPAdvertisement a: spec.serviceSelectors: only go with aggregationLength 32 and aggregationLengthV6 128: an aggregate would announce other Services' addresses too (leave the aggregation lengths out)"},
		{"community twice", "BGPAdvertisement a: {communities: ['1:1', '1:2', '1:1']}", `BGPAdvertisement a: spec.communities[2]: "1:1" is given already, as spec.communities[0] (leave one out)`},
		{"alias", "Community a: {communities: [{name: no-export, value: '1:1'}]}\nBGPAdvertisement a: {communities: [noexport, x, 'large:1:2']}", `BGPAdvertisement a: spec.communities[0]: "noexport" is neither a community nor the alias of one (did you mean no-export?) [referenceMissing]
BGPAdvertisement a: spec.communities[1]: "x" is neither a community nor the alias of one (a community is such as 65535:65282, or large:64500:1:2) [referenceMissing]
BGPAdvertisement a: spec.communities[2]: "large:1:2" is not a large community (three numbers up to 4294967295, such as large:64500:1:2)`},
		{"localPref", "IPAddressPool p: {addresses: [10.0.0.0/28]}\nBGPAdvertisement a: {}\nBGPAdvertisement b: {localPref: 7, peers: [tor]}", "BGPAdvertisement b: spec.localPref: 7 differs from localPref 0 of BGPAdvertisement a, which announces IPAddressPool p too (correct one of them, or tell them apart by aggregation length, peers, nodes or Services)"},

		// L2Advertisement, and the rest
		{"weight", "L2Advertisement a: {preferredNodeSelectors: [{weight: 101, preference: {}}, {weight: 0, preference: {}}]}", "L2Advertisement a: spec.preferredNodeSelectors[0].weight: 101 is not from 1 to 100\nL2Advertisement a: spec.preferredNodeSelectors[1].weight: 0 is not from 1 to 100"},
		{"extras", "ConfigMap bgpextras: 'log file x'", "ConfigMap bgpextras: data.extras: configuration for FRR has no effect: there is no FRR here, and the text is not read (say it with BGPPeer and BGPAdvertisement, then remove it; docs/migrate-metallb.md, bgpextras, has the ways)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, problems := new(Parser).Parse(objects(t, c.text))
			if got := show(problems); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if strings.Contains(show(problems), "hunter2") {
				t.Error("the password shows")
			}
			valid(t, config)
		})
	}
}

// What MetalLB accepts is accepted.
func TestAccepted(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"nothing", "{}"},
		{"iBGP", "BGPPeer a: {myASN: 1, peerASN: 1, peerAddress: 10.0.0.1}"},
		{"empty texts", "BGPPeer a: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, sourceAddress: '', routerID: '', password: '', interface: '', passwordSecret: {}}"},
		{"port 0", peer1 + ", peerPort: 0}"},
		{"no keepalives", peer1 + ", holdTime: 0s}"},
		{"parts of a second", peer1 + ", holdTime: 500ms}"},
		{"other nodes", peer1 + ", nodeSelectors: [{matchLabels: {rack: '1'}}]}\nBGPPeer b: {myASN: 3, peerASN: 2, peerAddress: 10.0.0.1, nodeSelectors: [{matchLabels: {rack: '2'}}]}"},
		{"other VRF", peer1 + "}\nBGPPeer b: {myASN: 3, peerASN: 2, peerAddress: 10.0.0.1, vrf: red}"},
		{"routerID of one", peer1 + ", routerID: 1.1.1.1}\nBGPPeer b: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.2}"},
		{"echo over IPv6", "BFDProfile a: {echoMode: true}\nBGPPeer a: {myASN: 1, peerASN: 2, peerAddress: '2001:db8::1', bfdProfile: a}\nIPAddressPool a: {addresses: ['2001:db8::/64']}"},
		{"range with a fitting part", "IPAddressPool p: {addresses: [10.0.0.1-10.0.0.33]}\nBGPAdvertisement a: {aggregationLength: 28}"},
		{"localPref for other peers", "IPAddressPool p: {addresses: [10.0.0.0/28]}\nBGPAdvertisement a: {peers: [x]}\nBGPAdvertisement b: {localPref: 7, peers: [tor]}"},
		{"localPref on other nodes", "IPAddressPool p: {addresses: [10.0.0.0/28]}\nBGPAdvertisement a: {nodeSelectors: [{matchLabels: {rack: '1'}}]}\nBGPAdvertisement b: {localPref: 7, nodeSelectors: [{matchLabels: {rack: '2'}}]}"},
		{"localPref of an aggregate", "IPAddressPool p: {addresses: [10.0.0.0/28]}\nBGPAdvertisement a: {aggregationLength: 28}\nBGPAdvertisement b: {localPref: 7}"},
		{"names of nothing", "BGPAdvertisement a: {ipAddressPools: [x], peers: [y]}\nL2Advertisement a: {ipAddressPools: [x]}"},
		{"blank extras", "ConfigMap bgpextras: ''"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, problems := new(Parser).Parse(objects(t, c.text))
			if len(problems) > 0 {
				t.Error(show(problems))
			}
			valid(t, config)
		})
	}
}
