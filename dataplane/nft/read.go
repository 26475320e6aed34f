package nft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// kernel is what was read back, without the elements that packets make.
type kernel struct {
	of       []*family
	sets     [tables]map[string]*nftables.Set
	chains   [tables]map[string]*nftables.Chain
	rules    [tables]map[string][]string // comments by chain
	classes  [2][paths][]int
	elements map[id]element
}

// read reads the driver's tables. The result is nil where one of them is not
// there or is not of this version's making: such tables are replaced as a
// whole.
func read(s *socket, of []*family) (*kernel, error) {
	for range readTries - 1 {
		if k, err := readOnce(s, of); !errors.Is(err, errInterrupted) {
			return k, err
		}
	}
	return readOnce(s, of)
}

// readTries is how often a list is asked for that others change meanwhile.
const readTries = 5

func readOnce(s *socket, of []*family) (*kernel, error) {
	conn, err := nftables.New(nftables.WithNetNSFd(s.netns))
	if err != nil {
		return nil, err
	}
	k := &kernel{of: of, elements: map[id]element{}}
	for _, f := range of {
		ours, err := k.read(conn, s, f)
		if err != nil {
			return nil, fmt.Errorf("read table %s %s: %w", f.name, f.own, err)
		}
		if !ours {
			return nil, nil
		}
	}
	return k, nil
}

func (k *kernel) read(conn *nftables.Conn, s *socket, f *family) (bool, error) {
	tables, err := conn.ListTablesOfFamily(f.table)
	if err != nil {
		return false, err
	}
	if !slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == f.own }) {
		return false, nil
	}
	sets, err := conn.GetSets(&nftables.Table{Name: f.own, Family: f.table})
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
	for _, id := range ids {
		if id.kind().isTable() {
			continue // millions: the frontends tell what is in them
		}
		if err := k.readElements(s, id); err != nil {
			return false, fmt.Errorf("set %s: %w", id.name(), err)
		}
	}
	chains, err := conn.ListChainsOfTableFamily(f.table)
	if err != nil {
		return false, err
	}
	k.chains[f.index] = map[string]*nftables.Chain{}
	for _, c := range chains {
		if c.Table.Name == f.own {
			k.chains[f.index][c.Name] = c
		}
	}
	k.rules[f.index], err = readRules(s, f)
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
	if f.index >= len(families) {
		return ids, true
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
func readRules(s *socket, f *family) (map[string][]string, error) {
	rules := map[string][]string{}
	request := f.message(unix.NFT_MSG_GETRULE, 0, func(a *attributes) { a.text(unix.NFTA_RULE_TABLE, f.own) })
	err := s.dump(request, func(data []byte) error {
		var table, chain, comment string
		for kind, value := range attributesOf(data) {
			switch kind {
			case unix.NFTA_RULE_TABLE:
				table = text(value)
			case unix.NFTA_RULE_CHAIN:
				chain = text(value)
			case unix.NFTA_RULE_USERDATA:
				comment = parseComment(value)
			}
		}
		if table == f.own {
			rules[chain] = append(rules[chain], comment)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list rules: %w", err)
	}
	return rules, nil
}

func text(value []byte) string { return string(bytes.TrimRight(value, "\x00")) }

// parseComment returns a rule's comment; the library's own function would index
// out of range where somebody wrote a wrong length.
func parseComment(data []byte) string {
	if len(data) < 2 || len(data) < 2+int(data[1]) {
		return ""
	}
	comment, _ := userdata.GetString(data[:2+int(data[1])], userdata.Type(userdata.TypeComment))
	return comment
}

// readElements reads the elements of one set.
func (k *kernel) readElements(s *socket, set setID) error {
	f := set.family()
	request := f.message(unix.NFT_MSG_GETSETELEM, 0, func(a *attributes) {
		a.text(unix.NFTA_SET_ELEM_LIST_TABLE, f.own)
		a.text(unix.NFTA_SET_ELEM_LIST_SET, set.name())
	})
	return s.dump(request, func(data []byte) error {
		for kind, list := range attributesOf(data) {
			if kind != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
				continue
			}
			for _, one := range attributesOf(list) {
				e := decode(set, one)
				k.elements[e.id()] = e
			}
		}
		return nil
	})
}

// decode reads an element's attributes.
func decode(set setID, data []byte) element {
	e := element{set: set}
	for kind, value := range attributesOf(data) {
		switch kind {
		case unix.NFTA_SET_ELEM_KEY:
			e.key = string(only(value, unix.NFTA_DATA_VALUE))
		case elemKeyEnd:
			e.end = string(only(value, unix.NFTA_DATA_VALUE))
		case unix.NFTA_SET_ELEM_USERDATA:
			if k := set.kind(); k == nodes || k == directPorts || k == directClients { // what a successor has to know
				e.comment, _ = userdata.GetString(value, userdata.NFTNL_UDATA_SET_ELEM_COMMENT)
			}
		case unix.NFTA_SET_ELEM_FLAGS:
			e.closing = len(value) == 4 && binary.BigEndian.Uint32(value)&unix.NFT_SET_ELEM_INTERVAL_END != 0
		case unix.NFTA_SET_ELEM_DATA:
			if set.hasVerdicts() {
				e.value = text(only(only(value, unix.NFTA_DATA_VERDICT), unix.NFTA_VERDICT_CHAIN))
			} else {
				e.value = string(only(value, unix.NFTA_DATA_VALUE))
			}
		}
	}
	return e
}

// only returns the attribute of a kind among others, nil where there is none.
func only(data []byte, want uint16) []byte {
	for kind, value := range attributesOf(data) {
		if kind == want {
			return value
		}
	}
	return nil
}
