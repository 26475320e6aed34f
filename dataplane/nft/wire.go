package nft

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The library's own batch does not say which message of it the kernel refused,
// and has no way to load a connection's original address. So the messages are
// written here; expressions and types are the library's.

// Flags and attributes of linux/netfilter/nf_tables.h that x/sys lacks.
const (
	setConcat     = 0x80
	setDescConcat = 2
	elemKeyEnd    = 10
)

// attributes collects netlink attributes.
type attributes []byte

func (a *attributes) put(kind uint16, data []byte) {
	*a = binary.NativeEndian.AppendUint16(*a, uint16(4+len(data)))
	*a = binary.NativeEndian.AppendUint16(*a, kind)
	*a = append(*a, data...)
	for len(*a)%4 != 0 {
		*a = append(*a, 0)
	}
}

func (a *attributes) text(kind uint16, s string) { a.put(kind, append([]byte(s), 0)) }

func (a *attributes) number(kind uint16, v uint32) {
	a.put(kind, binary.BigEndian.AppendUint32(nil, v))
}

// nest puts what fill collects as one attribute.
func (a *attributes) nest(kind uint16, fill func(*attributes)) {
	start := len(*a)
	*a = append(*a, 0, 0, 0, 0)
	fill(a)
	binary.NativeEndian.PutUint16((*a)[start:], uint16(len(*a)-start))
	binary.NativeEndian.PutUint16((*a)[start+2:], kind|unix.NLA_F_NESTED)
}

// message starts a message about an object of a family's table.
func (f *family) message(kind uint16, flags netlink.HeaderFlags, fill func(*attributes)) netlink.Message {
	a := attributes{byte(f.table), unix.NFNETLINK_V0, 0, 0}
	fill(&a)
	return netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind),
			Flags: netlink.Request | netlink.Acknowledge | flags,
		},
		Data: a,
	}
}

func (f *family) newTable() netlink.Message {
	return f.message(unix.NFT_MSG_NEWTABLE, netlink.Create, func(a *attributes) { a.text(unix.NFTA_TABLE_NAME, f.own) })
}

func (f *family) delTable() netlink.Message {
	return f.message(unix.NFT_MSG_DELTABLE, 0, func(a *attributes) { a.text(unix.NFTA_TABLE_NAME, f.own) })
}

func (f *family) newChain(c *chain) netlink.Message {
	return f.message(unix.NFT_MSG_NEWCHAIN, netlink.Create, func(a *attributes) {
		a.text(unix.NFTA_CHAIN_TABLE, f.own)
		a.text(unix.NFTA_CHAIN_NAME, c.name)
		if c.hook == nil {
			return
		}
		a.nest(unix.NFTA_CHAIN_HOOK, func(a *attributes) {
			a.number(unix.NFTA_HOOK_HOOKNUM, uint32(*c.hook))
			a.number(unix.NFTA_HOOK_PRIORITY, uint32(c.priority))
			if c.device != "" {
				a.text(unix.NFTA_HOOK_DEV, c.device)
			}
		})
		a.number(unix.NFTA_CHAIN_POLICY, uint32(nftables.ChainPolicyAccept))
		a.text(unix.NFTA_CHAIN_TYPE, string(c.kind()))
	})
}

func (f *family) delChain(name string) netlink.Message {
	return f.message(unix.NFT_MSG_DELCHAIN, 0, func(a *attributes) {
		a.text(unix.NFTA_CHAIN_TABLE, f.own)
		a.text(unix.NFTA_CHAIN_NAME, name)
	})
}

// flushChain deletes a chain's rules.
func (f *family) flushChain(name string) netlink.Message {
	return f.message(unix.NFT_MSG_DELRULE, 0, func(a *attributes) {
		a.text(unix.NFTA_RULE_TABLE, f.own)
		a.text(unix.NFTA_RULE_CHAIN, name)
	})
}

func (f *family) newRule(chain string, r rule) netlink.Message {
	return f.message(unix.NFT_MSG_NEWRULE, netlink.Create|netlink.Append, func(a *attributes) {
		a.text(unix.NFTA_RULE_TABLE, f.own)
		a.text(unix.NFTA_RULE_CHAIN, chain)
		a.nest(unix.NFTA_RULE_EXPRESSIONS, func(a *attributes) {
			for _, t := range r.terms {
				a.put(unix.NFTA_LIST_ELEM|unix.NLA_F_NESTED, f.encode(t))
			}
		})
		a.put(unix.NFTA_RULE_USERDATA, ruleComment(f.comment(r)))
	})
}

func ruleComment(text string) []byte {
	return userdata.AppendString(nil, userdata.Type(userdata.TypeComment), text)
}

// encode returns an expression's name and data.
func (f *family) encode(t term) []byte {
	if o, ok := t.(original); ok {
		var a attributes
		a.text(unix.NFTA_EXPR_NAME, "ct")
		a.nest(unix.NFTA_EXPR_DATA, func(a *attributes) {
			a.number(unix.NFTA_CT_KEY, o.key)
			a.number(unix.NFTA_CT_DREG, o.register)
			a.put(unix.NFTA_CT_DIRECTION, []byte{0}) // IP_CT_DIR_ORIGINAL
		})
		return a
	}
	if e, ok := t.(forward); ok {
		var a attributes
		e.put(&a, f)
		return a
	}
	b, err := expr.Marshal(byte(f.table), t.(expr.Any))
	if err != nil {
		// Only expressions of this package get here; each was tried.
		panic(fmt.Sprintf("nft: expression %T can't be written: %v", t, err))
	}
	return b
}

func concat(types []nftables.SetDatatype) (magic, bytes uint32) {
	if len(types) == 1 {
		return types[0].GetNFTMagic(), types[0].Bytes
	}
	t := nftables.MustConcatSetType(types...)
	return t.GetNFTMagic(), t.Bytes
}

func (f *family) newSet(s *spec, number uint32) netlink.Message {
	return f.message(unix.NFT_MSG_NEWSET, netlink.Create, func(a *attributes) {
		flags := uint32(0)
		if s.data != nil {
			flags |= unix.NFT_SET_MAP
		}
		if s.interval {
			flags |= unix.NFT_SET_INTERVAL
		}
		if s.dynamic {
			flags |= unix.NFT_SET_EVAL | unix.NFT_SET_TIMEOUT
		}
		if len(s.key) > 1 {
			flags |= setConcat
		}
		magic, bytes := concat(s.key)
		a.text(unix.NFTA_SET_TABLE, f.own)
		a.text(unix.NFTA_SET_NAME, s.name)
		a.number(unix.NFTA_SET_FLAGS, flags)
		a.number(unix.NFTA_SET_KEY_TYPE, magic)
		a.number(unix.NFTA_SET_KEY_LEN, bytes)
		a.number(unix.NFTA_SET_ID, number)
		switch {
		case s.verdicts():
			a.number(unix.NFTA_SET_DATA_TYPE, unix.NFT_DATA_VERDICT)
			a.number(unix.NFTA_SET_DATA_LEN, 0)
		case s.data != nil:
			magic, bytes := concat(s.data)
			a.number(unix.NFTA_SET_DATA_TYPE, magic)
			a.number(unix.NFTA_SET_DATA_LEN, bytes)
		}
		if s.size == 0 && len(s.key) == 1 {
			return
		}
		a.nest(unix.NFTA_SET_DESC, func(a *attributes) {
			if s.size > 0 {
				a.number(unix.NFTA_SET_DESC_SIZE, s.size)
			}
			if len(s.key) == 1 {
				return
			}
			a.nest(setDescConcat, func(a *attributes) {
				for _, t := range s.key {
					a.nest(unix.NFTA_LIST_ELEM, func(a *attributes) { a.number(1 /* NFTA_SET_FIELD_LEN */, t.Bytes) })
				}
			})
		})
	})
}

func (f *family) delSet(name string) netlink.Message {
	return f.message(unix.NFT_MSG_DELSET, 0, func(a *attributes) {
		a.text(unix.NFTA_SET_TABLE, f.own)
		a.text(unix.NFTA_SET_NAME, name)
	})
}

// elements writes elements of one set, to be added or deleted.
func (f *family) elements(all []element, add bool) netlink.Message {
	return f.elementsOf(all[0].set, add, func(list *attributes) {
		for i := range all {
			list.nest(unix.NFTA_LIST_ELEM, func(a *attributes) { all[i].encode(a, add) })
		}
	})
}

// elementsOf writes the elements that fill puts into the list.
func (f *family) elementsOf(set setID, add bool, fill func(list *attributes)) netlink.Message {
	kind, flags := uint16(unix.NFT_MSG_DELSETELEM), netlink.HeaderFlags(0)
	if add {
		kind, flags = unix.NFT_MSG_NEWSETELEM, netlink.Create
	}
	return f.message(kind, flags, func(a *attributes) {
		a.text(unix.NFTA_SET_ELEM_LIST_TABLE, f.own)
		a.text(unix.NFTA_SET_ELEM_LIST_SET, set.name())
		a.nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS, fill)
	})
}

func (e *element) encode(a *attributes, add bool) {
	if e.closing {
		a.number(unix.NFTA_SET_ELEM_FLAGS, unix.NFT_SET_ELEM_INTERVAL_END)
	}
	a.nest(unix.NFTA_SET_ELEM_KEY, func(a *attributes) { a.put(unix.NFTA_DATA_VALUE, []byte(e.key)) })
	if e.end != "" {
		a.nest(elemKeyEnd, func(a *attributes) { a.put(unix.NFTA_DATA_VALUE, []byte(e.end)) })
	}
	if !add {
		return
	}
	switch {
	case e.set.hasVerdicts():
		a.nest(unix.NFTA_SET_ELEM_DATA, func(a *attributes) {
			a.nest(unix.NFTA_DATA_VERDICT, func(a *attributes) {
				code := int32(unix.NFT_GOTO)
				a.number(unix.NFTA_VERDICT_CODE, uint32(code))
				a.text(unix.NFTA_VERDICT_CHAIN, e.value)
			})
		})
	case e.value != "":
		a.nest(unix.NFTA_SET_ELEM_DATA, func(a *attributes) { a.put(unix.NFTA_DATA_VALUE, []byte(e.value)) })
	}
	if e.comment != "" {
		a.put(unix.NFTA_SET_ELEM_USERDATA, userdata.AppendString(nil, userdata.NFTNL_UDATA_SET_ELEM_COMMENT, e.comment))
	}
}
