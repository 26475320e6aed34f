package ipvs

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// masqueradeMark is the bit of a connection's mark that has its source replaced
// where it leaves the node. The packets' own marks choose virtual services.
const masqueradeMark = "0x200000/0x200000"

// chain is one of ours, its rules in the language of iptables(8).
type chain struct {
	table, name string
	rules       []string
}

// jump leads from a chain of the kernel's to one of ours.
type jump struct {
	table, from, to string
}

// chainsOf returns the rules of a family. They name no Service: whatever a
// Service is, is in the sets.
func chainsOf(ipv6 bool) []chain {
	icmp, reject := "icmp", "REJECT --reject-with icmp-port-unreachable"
	if ipv6 {
		icmp, reject = "ipv6-icmp", "REJECT --reject-with icmp6-port-unreachable"
	}
	have := func(set setName, dirs string) string { return "-m set --match-set " + set.in(ipv6) + " " + dirs }
	lack := func(set setName, dirs string) string { return "-m set ! --match-set " + set.in(ipv6) + " " + dirs }
	const fresh = "-m conntrack --ctstate NEW "
	side := func(name string, drop setName, masquerade string, more ...string) chain {
		return chain{"mangle", namePrefix + name, append([]string{
			fresh + have(drop, "dst,dst") + " -j DROP",
			fresh + have(setGuarded, "dst,dst") + " " + lack(setAllowed, "dst,dst,src") + " -j DROP",
			fresh + masquerade + "-j CONNMARK --set-xmark " + masqueradeMark,
		}, more...)}
	}
	mark := "-j SET --map-set " + setMark.in(ipv6) + " dst,dst --map-mark"
	return []chain{
		{"mangle", namePrefix + "PREROUTING", []string{
			lack(setFrontends, "dst,dst") + " -j RETURN",
			have(setPods, "src") + " -g " + namePrefix + "INSIDE",
			"-g " + namePrefix + "OUTSIDE",
		}},
		{"mangle", namePrefix + "OUTPUT", []string{
			lack(setFrontends, "dst,dst") + " -j RETURN",
			// What IPVS sends on unchanged comes through here, too.
			"-m addrtype ! --src-type LOCAL -j RETURN",
			"-g " + namePrefix + "OWN",
		}},
		side("OUTSIDE", setDropOut, have(setMasqOut, "dst,dst")+" "),
		side("INSIDE", setDropIn, have(setMasqIn, "dst,dst")+" ", mark),
		// The node sends from the address it sends to, which nobody else may answer.
		side("OWN", setDropIn, "", mark),
		{"filter", namePrefix + "INPUT", []string{
			lack(setVIPs, "dst") + " -j RETURN",
			"-p " + icmp + " -j RETURN",
			have(setFrontends, "dst,dst") + " -j RETURN",
			"-p tcp " + fresh + "-j REJECT --reject-with tcp-reset",
			fresh + "-j " + reject,
		}},
		{"nat", namePrefix + "POSTROUTING", []string{
			"-m connmark --mark " + masqueradeMark + " -j MASQUERADE --random-fully",
			have(setLoop, "dst,dst,src") + " -j MASQUERADE --random-fully",
		}},
	}
}

var jumps = []jump{
	{"mangle", "PREROUTING", namePrefix + "PREROUTING"},
	{"mangle", "OUTPUT", namePrefix + "OUTPUT"},
	{"filter", "INPUT", namePrefix + "INPUT"},
	{"nat", "POSTROUTING", namePrefix + "POSTROUTING"},
}

var tables = []string{"mangle", "filter", "nat"}

// note is the comment of a chain's n-th rule. It changes with the rule, so that the
// rules need not be compared as iptables prints them.
func (c *chain) note(n int) string {
	h := fnv.New32a()
	fmt.Fprint(h, n, c.rules[n])
	return fmt.Sprintf("pharos:%08x", h.Sum32())
}

// missing compares what iptables-save printed with what there has to be, and
// returns the input for iptables-restore that makes it so; empty, if it is.
func missing(saved string, ipv6 bool) string {
	found, lines := map[string][]string{}, map[string]int{}
	table := ""
	for line := range strings.Lines(saved) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "*"); ok {
			table = name
			continue
		}
		rest, ok := strings.CutPrefix(line, "-A ")
		if !ok {
			continue
		}
		chain, rule, _ := strings.Cut(rest, " ")
		if strings.HasPrefix(chain, namePrefix) {
			_, note, _ := strings.Cut(rule, "--comment ")
			note, _, _ = strings.Cut(note, " ")
			found[table+" "+chain] = append(found[table+" "+chain], strings.Trim(note, `"`))
		} else {
			lines[table+" "+line]++
		}
	}
	var out strings.Builder
	for _, table := range tables {
		var b strings.Builder
		var rules strings.Builder
		for _, c := range chainsOf(ipv6) {
			if c.table != table {
				continue
			}
			want := make([]string, len(c.rules))
			for i := range c.rules {
				want[i] = c.note(i)
			}
			if slices.Equal(found[table+" "+c.name], want) {
				continue
			}
			fmt.Fprintf(&b, ":%s - [0:0]\n", c.name)
			for i, r := range c.rules {
				fmt.Fprintf(&rules, "-A %s -m comment --comment %s %s\n", c.name, want[i], r)
			}
		}
		b.WriteString(rules.String())
		for _, j := range jumps {
			if j.table == table && lines[table+" "+j.line()] == 0 {
				fmt.Fprintf(&b, "-I %s 1 -j %s\n", j.from, j.to)
			}
		}
		if b.Len() > 0 {
			fmt.Fprintf(&out, "*%s\n%sCOMMIT\n", table, b.String())
		}
	}
	return out.String()
}

// line is the jump as iptables-save prints it.
func (j *jump) line() string { return "-A " + j.from + " -j " + j.to }

// leftovers returns the input for iptables-restore that removes what is ours.
func leftovers(saved string) string {
	var out strings.Builder
	for _, table := range tables {
		var chains, rules []string
		in := ""
		for line := range strings.Lines(saved) {
			line = strings.TrimSpace(line)
			if name, ok := strings.CutPrefix(line, "*"); ok {
				in = name
			}
			if in != table {
				continue
			}
			if name, ok := strings.CutPrefix(line, ":"+namePrefix); ok {
				name, _, _ = strings.Cut(name, " ")
				chains = append(chains, namePrefix+name)
			}
			if rest, ok := strings.CutPrefix(line, "-A "); ok && !strings.HasPrefix(rest, namePrefix) && strings.Contains(rest, "-j "+namePrefix) {
				rules = append(rules, "-D "+rest)
			}
		}
		if len(chains)+len(rules) == 0 {
			continue
		}
		fmt.Fprintf(&out, "*%s\n", table)
		for _, c := range chains {
			fmt.Fprintf(&out, ":%s - [0:0]\n", c)
		}
		for _, r := range rules {
			fmt.Fprintln(&out, r)
		}
		for _, c := range chains {
			fmt.Fprintf(&out, "-X %s\n", c)
		}
		out.WriteString("COMMIT\n")
	}
	return out.String()
}
