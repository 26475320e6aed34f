package nft

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Probe reports nil where the kernel can carry direct frontends, or what it lacks. It
// has the kernel check all that the driver would
// make, in a transaction that takes it back.
func Probe(options Options) error {
	s := socket{netns: options.NetNS}
	defer s.close()
	b := &batch{}
	for _, real := range directFamilies {
		f := *real
		f.own += "-probe"
		b.object(&f, f.newTable(), "table", "")
		for i, set := range f.directSets() {
			spec := set.spec()
			b.object(&f, f.newSet(&spec, uint32(i+1)), "set", spec.name)
		}
		chains := f.directChains()
		for i := range chains {
			chains[i].hook = nil // no packet is to come by
			b.object(&f, f.newChain(&chains[i]), "chain", chains[i].name)
		}
		for i := range chains {
			b.rules(&f, &chains[i])
		}
		b.object(&f, f.delTable(), "table", "")
	}
	if err := s.flush(b); err != nil {
		if errors.Is(err, unix.EPERM) {
			return fmt.Errorf("may not program nftables: CAP_NET_ADMIN is needed: %w", err)
		}
		return fmt.Errorf("the kernel lacks what nftables' mode direct needs (5.10 or later; CONFIG_NF_TABLES_NETDEV, CONFIG_NFT_FWD_NETDEV, CONFIG_NFT_DUP_IPV4, CONFIG_NFT_DUP_IPV6, CONFIG_NFT_HASH): %w", err)
	}
	return nil
}
