package ebpf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/pharoslb/pharos/dataplane"
)

// scrubbed is how many frontends one Verify reads back, to bound its cost: of more
// than that each is looked at in its turn. With a Verify every half second, what somebody has done
// to the maps by hand is mended within half a second for each 256 frontends.
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
		k.around.solicit(k.handle) // an answer is a change
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

// readBack compares frontends, and what belongs to them, with what they shall be. Before the
// first one's turn comes that of the nodes.
func (k *kernel) readBack(t *transaction) (bool, error) {
	mended, err := k.repin()
	if err != nil {
		return mended, err
	}
	if len(k.scrub.keys) == 0 {
		changed, err := k.readNodes(t)
		if mended = mended || changed; err != nil {
			return mended, err
		}
		for key := range k.live {
			k.scrub.keys = append(k.scrub.keys, key)
		}
	}
	n := min(scrubbed, len(k.scrub.keys))
	for _, key := range k.scrub.keys[:n] {
		if l := k.live[key]; l != nil {
			changed, err := k.readFrontend(t, key, l)
			if mended = mended || changed; err != nil {
				return mended, err
			}
		}
	}
	k.scrub.keys = k.scrub.keys[n:]
	return mended, nil
}

// repin pins maps again whose pin somebody has removed: without it their contents
// would end with the process.
func (k *kernel) repin() (bool, error) {
	pins, repinned := versioned(k.options.pins()), false
	o := k.objects
	for name, m := range map[string]*ebpf.Map{
		"events": o.Events, "fragments": o.Fragments, "fresh": o.Fresh, "frontends": o.Frontends, "hosts": o.Hosts, "known": o.Known, "macs": o.Macs,
		"meters": o.Meters, "nodes": o.Nodes, "owners": o.Owners, "pods": o.Pods, "settings": o.Settings, "sources": o.Sources,
	} {
		path := filepath.Join(pins, name)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := errors.Join(os.MkdirAll(pins, 0o700), m.Unpin(), m.Pin(path)); err != nil { // it takes itself for pinned
			return repinned, fmt.Errorf("pin the map %s: %w", name, err)
		}
		repinned = true
	}
	return repinned, nil
}

// readNodes mends what the maps say of the nodes.
func (k *kernel) readNodes(t *transaction) (bool, error) {
	before := t.added
	mended, err := k.place(t)
	if err != nil {
		return mended, err
	}
	for id, n := range k.nodes {
		if err := mend(t, k.objects.Nodes, uint32(id), n); err != nil {
			return mended, err
		}
	}
	err = k.tune(t)
	return mended || t.added > before, err
}

// readFrontend mends a frontend and all that it needs.
func (k *kernel) readFrontend(t *transaction, key directTarget, l *installed) (bool, error) {
	before := t.added
	for _, p := range l.pods {
		if err := mend(t, k.objects.Pods, p, uint32(1)); err != nil {
			return false, err
		}
	}
	for _, p := range l.sources {
		if err := mend(t, k.objects.Sources, prefixOf(l.guard, p), uint32(1)); err != nil {
			return false, err
		}
	}
	var want directFrontend
	for i, o := range l.image(&want, l.numbers, k.id) {
		if err := mend(t, k.objects.Owners, directFurther{Version: l.version, Index: uint32(inlined + i)}, o); err != nil {
			return false, err
		}
	}
	var meter []directMeter
	if err := k.objects.Meters.Lookup(l.meter, &meter); errors.Is(err, ebpf.ErrKeyNotExist) {
		if err := t.put(k.objects.Meters, l.meter, emptyMeters(), nil); err != nil {
			return false, err
		}
	} else if err != nil {
		return false, fmt.Errorf("read back a meter: %w", err)
	}
	err := mend(t, k.objects.Frontends, key, want)
	return t.added > before, err
}

// mend writes an element that isn't what it shall be.
func mend[K, V comparable](t *transaction, m *ebpf.Map, key K, want V) error {
	var is V
	err := m.Lookup(&key, &is)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("read back %s: %w", m, err)
	}
	if err == nil && is == want {
		return nil
	}
	return t.put(m, key, want, nil)
}
