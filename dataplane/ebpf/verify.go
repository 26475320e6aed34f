package ebpf

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/pharoslb/pharos/dataplane"
)

// scrubbed is how many frontends one Verify reads back, to bound its cost: of more
// than that each is looked at in its turn.
const scrubbed = 256

// scrub is where reading back goes on.
type scrub struct {
	keys []directTarget
}

// verify repairs devices and maps, and reports whether somebody else had changed them.
func (k *kernel) verify(t *transaction, state *dataplane.State) (bool, error) {
	if k.watch.changed() {
		if err := k.follow(t, state); err != nil {
			return false, err
		}
	} else {
		k.solicit() // an answer is a change
	}
	moved, err := k.attach()
	if err != nil {
		return false, err
	}
	repaired := moved && slices.Equal(k.attachedTo, k.around.uplinks)
	k.attachedTo = k.around.uplinks
	mended, err := k.readBack(t)
	return repaired || mended, err
}

// readBack compares frontends with what they shall be.
func (k *kernel) readBack(t *transaction) (bool, error) {
	mended := false
	if len(k.scrub.keys) == 0 {
		for key := range k.live {
			k.scrub.keys = append(k.scrub.keys, key)
		}
	}
	n := min(scrubbed, len(k.scrub.keys))
	var want, is directFrontend
	for _, key := range k.scrub.keys[:n] {
		l := k.live[key]
		if l == nil {
			continue
		}
		l.image(&want, l.numbers, k.id)
		err := k.objects.Frontends.Lookup(key, &is)
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return mended, fmt.Errorf("read back a frontend: %w", err)
		}
		if err == nil && is == want {
			continue
		}
		if err := t.put(k.objects.Frontends, key, &want, nil); err != nil {
			return mended, err
		}
		mended = true
	}
	k.scrub.keys = k.scrub.keys[n:]
	return mended, nil
}
