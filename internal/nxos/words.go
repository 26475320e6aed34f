package nxos

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// kinds are the arguments of both grammars.
var kinds = []kind{
	{name: "<as>", help: "Autonomous system number, 1-4294967295 or 1.0-65535.65535", check: func(s string) error { _, err := parseAS(s); return err }},
	{name: "<a.b.c.d>", help: "IPv4 address", check: func(s string) error { _, err := parseIPv4(s); return err }},
	{name: "<a.b.c.d/len>", help: "IPv4 address and prefix length", check: func(s string) error { _, err := parsePrefix(s, true); return err }},
	{name: "<a:b::c>", help: "IPv6 address", check: func(s string) error { _, err := parseIPv6(s); return err }},
	{name: "<a:b::c/len>", help: "IPv6 address and prefix length", check: func(s string) error { _, err := parsePrefix(s, false); return err }},
	{name: "<address>", help: "IPv4 or IPv6 address", check: func(s string) error { _, err := parseAddr(s); return err }},
	{name: "<mask>", help: "IPv4 network mask", check: func(s string) error { _, err := parseMask(s); return err }},
	{name: "<seconds>", help: "Seconds, 0-3600", check: number(0, 3600)},
	{name: "<paths>", help: "Number of parallel paths, 1-64", check: number(1, 64)},
	{name: "<hops>", help: "Number of hops, 2-255", check: number(2, 255)},
	{name: "<prefixes>", help: "Number of prefixes, 1-1000000", check: number(1, 1_000_000)},
	{name: "<neighbor>", help: "IPv4 or IPv6 address of a neighbor, prefix of many, or interface of one without", check: func(s string) error { _, err := parsePeer(s); return err }},
	{name: "<peer-seconds>", help: "Seconds, 1-1200", check: number(1, 1200)},
	{name: "<restart-seconds>", help: "Seconds, 1-3600", check: number(1, 3600)},
	{name: "<stale-seconds>", help: "Seconds, 1-16777215", check: number(1, 1<<24-1)},
	{name: "<milliseconds>", help: "Milliseconds, 10-60000", check: number(10, 60000)},
	{name: "<multiplier>", help: "Packets that may be missed, 1-50", check: number(1, 50)},
	{name: "<key-id>", help: "Number of the key, 0-255", check: number(0, 255)},
	{name: "<percent>", help: "Share of the limit that is warned of, 1-100", check: number(1, 100)},
	{name: "<minutes>", help: "Minutes, 1-65535", check: number(1, 65535)},
	{name: "<peers>", help: "Number of neighbors, 1-1000", check: number(1, 1000)},
	{name: "<ttl-hops>", help: "Number of hops, 1-254", check: number(1, 254)},
	{name: "<name>", help: "Name of at most 63 letters, digits, dots, dashes and underscores", check: hostname},
	{name: "<word>", help: "Word", check: func(string) error { return nil }},
	{name: "<bgp-as>", help: "BGP process: bgp-AS", check: func(s string) error { _, err := parseInstance(s); return err }},
	{name: "<interface>", help: "Interface: Ethernet1/1, loopback0, mgmt0", check: func(string) error { return nil }, rest: true},
	{name: "<line>", help: "Text up to the end of the line", check: func(string) error { return nil }, rest: true},
}

// wordHelp is what help says of words.
var wordHelp = map[string]string{
	"address-family": "Configure an address family", "address": "Configure the address",
	"as-path": "AS path length", "bestpath": "Change how the best path is chosen",
	"bgp": "Border Gateway Protocol", "brief": "Brief summary", "clear": "Reset functions",
	"compare-routerid": "Break ties by router ID", "connection-mode": "How sessions are opened",
	"description": "Describe it", "ebgp-multihop": "Neighbor may be several hops away",
	"end": "Leave configuration", "exit": "Leave this mode", "feature": "Enable a feature",
	"hostname": "Name of the switch", "ibgp": "Internal paths", "interface": "Interface",
	"ip": "IPv4", "ipv4": "IPv4 address family", "ipv6": "IPv6", "log-neighbor-changes": "Log ups and downs",
	"maximum-paths": "Number of parallel paths", "maximum-prefix": "Limit of prefixes",
	"multipath-relax": "Equally long AS paths will do", "neighbor": "BGP neighbor", "neighbors": "Neighbors and their sessions",
	"no": "Undo", "passive": "The neighbor connects", "password": "Key of TCP MD5 signatures",
	"remote-as": "AS of the neighbor", "route": "Routing table", "router": "Routing protocol",
	"router-id": "BGP identifier", "running-config": "Configuration in force", "secondary": "Further address",
	"show": "Show state", "shutdown": "Disable", "summary": "Neighbors in short", "switchport": "Layer 2 port",
	"timers": "Keepalive and hold time", "transport": "Transport of the session",
	"unicast": "Unicast routes", "update-source": "Interface whose address sessions come from",
	"version": "Version", "vrf": "VRF", "default": "The default one", "all": "All of them", "*": "All neighbors",
	"json": "JSON", "json-pretty": "JSON on several lines", "include": "Lines that match", "grep": "Lines that match",
	"exclude": "Lines that do not match", "begin": "From the first line that matches", "count": "Number of lines", "no-more": "No paging",
	"accept": "What is taken of what neighbors ask", "activate": "Use routes only where there are no others", "additional-paths": "Several paths to one prefix",
	"always-compare-med": "Compare MEDs of different ASes", "med": "MED", "missing-as-worst": "No MED is the highest one",
	"authentication": "Sign packets", "aware": "Heed neighbors that take leave", "bfd": "Bidirectional Forwarding Detection",
	"capability": "What is offered", "customer": "The neighbor is our provider", "details": "All that is known",
	"dmzlink-bw": "Weigh paths by their link bandwidth", "echo": "Echo function", "ecmp": "Several next hops", "external": "Any AS but ours",
	"forward": "Forward on an interface without addresses", "graceful-restart": "Graceful restart", "graceful-restart-helper": "Only help neighbors that restart",
	"graceful-shutdown": "Graceful shutdown", "hardware": "Forwarding", "hex-key": "Key that is hidden", "hops": "Distance of the neighbor",
	"in": "Received routes", "interval": "Interval at which packets are sent", "key": "Key in clear", "key-id": "Number of the key",
	"keyed-sha1": "SHA-1", "local-as": "Our AS in this session", "local-role": "What we are to the neighbor (RFC 9234)",
	"long-lived-graceful-restart": "Long-lived graceful restart", "maximum-peers": "Limit of neighbors of the prefix",
	"meticulous-keyed-sha1": "SHA-1, each packet with a number of its own", "min_rx": "Least interval at which packets are taken",
	"multihop": "Over several hops", "multiplier": "How many packets may be missed", "peer": "Neither pays the other",
	"prefix-peer-timeout": "How long a neighbor of a prefix is known without a session", "profile": "Profile", "provider": "The neighbor is our customer",
	"receive": "Receive them", "resilient": "Move few flows when members change", "restart": "Let the neighbor in again after a while",
	"restart-time": "Time to come back in", "rs-client": "The neighbor is a route server", "rs-server": "The neighbor is our client",
	"singlehop": "Over one hop", "soft": "Keep the session, ask for the routes again", "stale-time": "Time that stale routes are kept for long",
	"stalepath-time": "Time that stale routes are used when the neighbor is back", "strict-mode": "Refuse a neighbor without a role",
	"ttl-security": "Refuse packets from afar", "use-link-local-only": "No address but the link-local one", "warning-only": "Warn, and keep the session",
	"0": "Password in clear", "3": "Password encrypted by a switch",
}

func number(low, high int) func(string) error {
	return func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < low || n > high {
			return fmt.Errorf("%q is not a number of %d to %d", s, low, high)
		}
		return nil
	}
}

// atoi reads a number that a kind has checked.
func atoi(s string) int { n, _ := strconv.Atoi(s); return n }

func parseAS(s string) (uint32, error) {
	var as uint64
	var err error
	if high, low, dotted := strings.Cut(s, "."); dotted { // RFC 5396 §2: asdot
		var h, l uint64
		h, err = strconv.ParseUint(high, 10, 16)
		if err == nil {
			l, err = strconv.ParseUint(low, 10, 16)
		}
		as = h<<16 | l
	} else {
		as, err = strconv.ParseUint(s, 10, 32)
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not an AS number (1-4294967295)", s)
	case as == 0, as == 23456, as == 65535, as == 4294967295: // RFC 7607, 6793, 7300
		return 0, fmt.Errorf("AS number %d is reserved", as)
	}
	return uint32(as), nil
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return a, fmt.Errorf("%q is not an IP address", s)
	case a.Zone() != "", a.Is4In6(), a.IsUnspecified(), a.IsMulticast(), a.IsLoopback():
		return a, fmt.Errorf("%s is not the address of another host", s)
	}
	return a, nil
}

// parsePeer reads who a neighbor is.
func parsePeer(s string) (Neighbor, error) {
	if strings.Contains(s, ":") || s[0] >= '0' && s[0] <= '9' {
		if strings.Contains(s, "/") {
			return parsePeers(s)
		}
		a, err := parseAddr(s)
		return Neighbor{Addr: a}, err
	}
	if !plausible(s) {
		return Neighbor{}, fmt.Errorf("%q is not an IP address, a prefix or an interface", s)
	}
	name, err := parseInterface(s)
	if err == nil && !strings.HasPrefix(name, "Ethernet") {
		err = fmt.Errorf("there is no neighbor at the other end of %s", name)
	}
	return Neighbor{Interface: name}, err
}

// parsePeers reads a prefix of neighbors.
func parsePeers(s string) (Neighbor, error) {
	p, err := netip.ParsePrefix(s)
	a := p.Addr()
	switch {
	case err != nil:
		return Neighbor{}, fmt.Errorf("%q is not a prefix", s)
	case a.Is4In6() || a.IsMulticast() || a.IsLoopback() || linkLocal(a) || !a.Next().IsValid():
		return Neighbor{}, fmt.Errorf("%s is not a prefix of other hosts", s)
	case p != p.Masked():
		return Neighbor{}, fmt.Errorf("%s has host bits\n%v is meant", s, p.Masked())
	}
	return Neighbor{Prefix: p}, nil
}

func parseIPv4(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return a, fmt.Errorf("%q is not an IPv4 address", s)
	}
	return a, nil
}

func parseIPv6(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is6() || a.Zone() != "" {
		return a, fmt.Errorf("%q is not an IPv6 address", s)
	}
	return a, nil
}

func parsePrefix(s string, v4 bool) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4() != v4 {
		return p, fmt.Errorf("%q is not an IPv%d address with a prefix length", s, map[bool]int{true: 4, false: 6}[v4])
	}
	return p, nil
}

// parseMask returns the length of a network mask.
func parseMask(s string) (int, error) {
	a, err := parseIPv4(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a network mask", s)
	}
	b := a.As4()
	bits := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	for n := range 33 {
		if uint32(uint64(0xffffffff)<<(32-n)) == bits {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%s is not a network mask: its ones are not together", s)
}

func hostname(s string) error {
	ok := s != "" && len(s) <= 63
	for _, r := range s {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	}
	if !ok {
		return fmt.Errorf("%q is not a name of at most 63 letters, digits, dots, dashes and underscores", s)
	}
	return nil
}

func parseInstance(s string) (uint32, error) {
	name, as, ok := strings.Cut(strings.ToLower(s), "-")
	if !ok || name != "bgp" {
		return 0, fmt.Errorf("%q is not a routing process", s)
	}
	return parseAS(as)
}

// interfaceTypes are those that can be configured, as they are written in full.
var interfaceTypes = []string{"Ethernet", "loopback", "mgmt"}

// parseInterface reads an interface's name, perhaps abbreviated, perhaps with a
// blank before the number, and returns it as NX-OS writes it.
func parseInterface(s string) (string, error) {
	s = strings.Join(strings.Fields(s), "")
	digits := strings.IndexAny(s, "0123456789")
	if digits <= 0 {
		return "", fmt.Errorf("%q is not an interface", s)
	}
	word, num := s[:digits], s[digits:]
	for _, t := range interfaceTypes {
		if !strings.HasPrefix(strings.ToLower(t), strings.ToLower(word)) {
			continue
		}
		slashes := 0
		for i, part := range strings.Split(num, "/") {
			n, err := strconv.Atoi(part)
			if err != nil || n < 0 || n > 9999 || strconv.Itoa(n) != part {
				return "", fmt.Errorf("%q is not a number of an interface", num)
			}
			slashes = i
		}
		switch {
		case t == "Ethernet" && (slashes < 1 || slashes > 2):
			return "", errors.New("an Ethernet interface is numbered slot/port")
		case t != "Ethernet" && slashes > 0:
			return "", fmt.Errorf("a %s interface has a plain number", t)
		}
		return t + num, nil
	}
	return "", fmt.Errorf("interfaces of type %q are not supported, only %s", word, strings.Join(interfaceTypes, ", "))
}

// InterfaceName returns an interface's name as configurations write it in full.
func InterfaceName(s string) (string, error) { return parseInterface(s) }

// shortInterface is an interface's name as show commands abbreviate it.
func shortInterface(name string) string {
	if num, ok := strings.CutPrefix(name, "Ethernet"); ok {
		return "Eth" + num
	}
	if num, ok := strings.CutPrefix(name, "loopback"); ok {
		return "Lo" + num
	}
	return name
}
