package nft

import (
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// A whole batch goes to the kernel in one message and its acknowledgements
	// come back at once: the socket's limits have to admit both. They are limits
	// only; no memory is set aside.
	writeBuffer = 256 << 20
	readBuffer  = 64 << 20

	// chunk is how many elements one netlink attribute carries. Its length has
	// 16 bits, and the largest element takes about 300 bytes with its comment.
	chunk = 200
)

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
	b.do(m, func() string { return fmt.Sprintf("%s %s %s %s", kind, f.name, tableName, name) })
}

func (b *batch) rules(f *family, c *chain) {
	for _, r := range c.rules {
		b.do(f.newRule(c.name, r), func() string {
			return fmt.Sprintf("rule %q of chain %s %s %s", f.comment(r), f.name, tableName, c.name)
		})
		b.added++
	}
}

// flush sends the batch and waits until it is done. An error names the object
// that the kernel refused first.
func (b *batch) flush(netns int) error {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: netns})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := errors.Join(conn.SetWriteBuffer(writeBuffer), conn.SetReadBuffer(readBuffer)); err != nil {
		return fmt.Errorf("set the socket's buffers: %w", err)
	}
	bound := func(kind int) netlink.Message {
		return netlink.Message{
			Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request},
			Data:   []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES},
		}
	}
	all := make([]netlink.Message, 0, len(b.messages)+2)
	all = append(all, bound(unix.NFNL_MSG_BATCH_BEGIN))
	all = append(all, b.messages...)
	all = append(all, bound(unix.NFNL_MSG_BATCH_END))
	if _, err := conn.SendMessages(all); err != nil {
		if errors.Is(err, unix.EMSGSIZE) {
			return fmt.Errorf("%d messages at once are more than the socket may send; raise net.core.wmem_max or run with CAP_NET_ADMIN of the machine: %w", len(all), err)
		}
		return err
	}
	// The kernel answers in the order of the messages, when it is through with all
	// of them. Where it refused one it goes on, to report all errors of a batch;
	// the first is the cause.
	for i := range b.messages {
		if _, err := conn.Receive(); err != nil {
			return fmt.Errorf("%s: %w", b.what[i](), err)
		}
	}
	return nil
}
