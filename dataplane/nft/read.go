package nft

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// kernel is what was read back, without the elements that packets make.
type kernel struct {
	sets     [2]map[string]*nftables.Set
	chains   [2]map[string]*nftables.Chain
	rules    [2]map[string][]string // comments by chain
	classes  [2][paths][]int
	elements map[id]element
}

// read reads the driver's tables. The result is nil where one of them is not
// there or is not of this version's making: such tables are replaced as a
// whole.
func read(netns int) (*kernel, error) {
	conn, err := nftables.New(nftables.WithNetNSFd(netns), nftables.WithSockOptions(func(c *netlink.Conn) error {
		return c.SetReadBuffer(readBuffer)
	}))
	if err != nil {
		return nil, err
	}
	k := &kernel{elements: map[id]element{}}
	for _, f := range families {
		ours, err := k.read(conn, netns, f)
		if err != nil {
			return nil, fmt.Errorf("read table %s %s: %w", f.name, tableName, err)
		}
		if !ours {
			return nil, nil
		}
	}
	return k, nil
}

func (k *kernel) read(conn *nftables.Conn, netns int, f *family) (bool, error) {
	table := &nftables.Table{Name: tableName, Family: f.table}
	tables, err := conn.ListTablesOfFamily(f.table)
	if err != nil {
		return false, err
	}
	if !slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == tableName }) {
		return false, nil
	}
	sets, err := conn.GetSets(table)
	if err != nil {
		return false, err
	}
	k.sets[f.index] = map[string]*nftables.Set{}
	for _, s := range sets {
		k.sets[f.index][s.Name] = s
	}
	ids, ok := k.known(f)
	if !ok {
		return false, nil
	}
	for _, s := range ids {
		elements, err := conn.GetSetElements(k.sets[f.index][s.name()])
		if err != nil {
			return false, fmt.Errorf("set %s: %w", s.name(), err)
		}
		for i := range elements {
			e := decode(s, &elements[i])
			k.elements[e.id()] = e
		}
	}
	chains, err := conn.ListChainsOfTableFamily(f.table)
	if err != nil {
		return false, err
	}
	k.chains[f.index] = map[string]*nftables.Chain{}
	for _, c := range chains {
		if c.Table.Name == tableName {
			k.chains[f.index][c.Name] = c
		}
	}
	k.rules[f.index], err = readRules(netns, f)
	return true, err
}

// known returns the sets of the kernel that hold elements of ours: the fixed
// ones and those of classes. It reports whether all fixed ones are there, of the
// right kind.
func (k *kernel) known(f *family) ([]setID, bool) {
	ids := f.fixedSets()
	for _, s := range ids {
		spec := s.spec()
		if found := k.sets[f.index][spec.name]; found == nil || !spec.same(found) {
			return nil, false
		}
	}
	for p := range paths {
		for name := range k.sets[f.index] {
			var n int
			rest, ok := strings.CutPrefix(name, p.String()+"-of-")
			if !ok {
				continue
			}
			if _, err := fmt.Sscanf(rest, "%d", &n); err != nil || n < 1 || n > maxBackends {
				continue
			}
			if s := class.on(p).in(f, n); s.name() == name {
				spec := s.spec()
				if !spec.same(k.sets[f.index][name]) {
					return nil, false
				}
				ids = append(ids, s)
				k.classes[f.index][p] = append(k.classes[f.index][p], n)
			}
		}
		slices.Sort(k.classes[f.index][p])
	}
	return ids, true
}

func (s *spec) same(found *nftables.Set) bool {
	_, bytes := concat(s.key)
	return found.IsMap == (s.data != nil) && found.Interval == s.interval && found.Dynamic == s.dynamic && found.Size == s.size &&
		(s.verdicts() || found.KeyType.Bytes == bytes) // the library mistakes a verdict's type for the key's
}

func (c *chain) same(found *nftables.Chain) bool {
	if c.hook == nil {
		return found.Hooknum == nil
	}
	return found.Hooknum != nil && *found.Hooknum == *c.hook && found.Priority != nil && *found.Priority == c.priority &&
		found.Type == c.kind() && (found.Policy == nil || *found.Policy == nftables.ChainPolicyAccept)
}

// readRules returns the comments of a table's rules by chain, in order. The
// library would decode the expressions too, and knows not all of them.
func readRules(netns int, f *family) (map[string][]string, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: netns})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	request := f.message(unix.NFT_MSG_GETRULE, 0, func(a *attributes) { a.text(unix.NFTA_RULE_TABLE, tableName) })
	request.Header.Flags = netlink.Request | netlink.Dump
	replies, err := conn.Execute(request)
	if err != nil {
		return nil, fmt.Errorf("list rules: %w", err)
	}
	rules := map[string][]string{}
	for _, m := range replies {
		if len(m.Data) < 4 {
			continue
		}
		ad, err := netlink.NewAttributeDecoder(m.Data[4:])
		if err != nil {
			return nil, fmt.Errorf("decode rule: %w", err)
		}
		var table, chain, comment string
		for ad.Next() {
			switch ad.Type() {
			case unix.NFTA_RULE_TABLE:
				table = ad.String()
			case unix.NFTA_RULE_CHAIN:
				chain = ad.String()
			case unix.NFTA_RULE_USERDATA:
				comment = parseComment(ad.Bytes())
			}
		}
		if err := ad.Err(); err != nil {
			return nil, fmt.Errorf("decode rule: %w", err)
		}
		if table == tableName {
			rules[chain] = append(rules[chain], comment)
		}
	}
	return rules, nil
}

// parseComment returns a rule's comment; the library's own function would index
// out of range where somebody wrote a wrong length.
func parseComment(data []byte) string {
	if len(data) < 2 || len(data) < 2+int(data[1]) {
		return ""
	}
	comment, _ := userdata.GetString(data[:2+int(data[1])], userdata.Type(userdata.TypeComment))
	return comment
}

// decode turns what the library read into an element.
func decode(set setID, s *nftables.SetElement) element {
	e := element{set: set, key: string(s.Key), end: string(s.KeyEnd), closing: s.IntervalEnd}
	if set.hasVerdicts() {
		e.value = verdictChain(s.Val)
	} else {
		e.value = string(s.Val)
	}
	return e
}

// verdictChain returns the chain of a verdict's attributes, "" if it has none.
func verdictChain(attributes []byte) string {
	ad, err := netlink.NewAttributeDecoder(attributes)
	if err != nil {
		return ""
	}
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		if ad.Type() == unix.NFTA_VERDICT_CHAIN {
			return ad.String()
		}
	}
	return ""
}
