package nft

import (
	"fmt"

	"github.com/mdlayher/netlink"
)

// chunk is how many elements one netlink attribute carries. Its length has 16
// bits, and the largest element takes about 300 bytes with its comment.
const chunk = 200

// batch is a transaction in the making: the kernel does all of it or nothing.
type batch struct {
	messages []netlink.Message
	what     []func() string // for errors: the object that each message is about
	added    uint64
	removed  uint64
}

func (b *batch) empty() bool { return len(b.messages) == 0 }

func (b *batch) do(m netlink.Message, what func() string) {
	b.messages = append(b.messages, m)
	b.what = append(b.what, what)
}

// elements adds or removes elements; neighbours of one set go together.
func (b *batch) elements(all []element, add bool) {
	if add {
		b.added += uint64(len(all))
	} else {
		b.removed += uint64(len(all))
	}
	for len(all) > 0 {
		n := 1
		for n < min(len(all), chunk) && all[n].set == all[0].set {
			n++
		}
		part := all[:n]
		b.do(part[0].set.family().elements(part, add), func() string {
			if len(part) == 1 {
				return fmt.Sprintf("element %x of %s", part[0].key, part[0].set)
			}
			return fmt.Sprintf("%d elements of %s, the first %x", len(part), part[0].set, part[0].key)
		})
		all = all[n:]
	}
}

func (b *batch) object(f *family, m netlink.Message, kind, name string) {
	b.do(m, func() string { return fmt.Sprintf("%s %s %s %s", kind, f.name, f.own, name) })
}

func (b *batch) rules(f *family, c *chain) {
	for _, r := range c.rules {
		b.do(f.newRule(c.name, r), func() string {
			return fmt.Sprintf("rule %q of chain %s %s %s", f.comment(r), f.name, f.own, c.name)
		})
		b.added++
	}
}
