package ebpf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// tcx keeps its links as pins.
type tcx struct {
	pins  string
	links map[hook]link.Link
}

func newTCX(pins string) *tcx { return &tcx{pins: pins, links: map[hook]link.Link{}} }

func (t *tcx) path(h hook) string { return filepath.Join(t.pins, h.String()) }

func (t *tcx) attach(h hook, p *ebpf.Program) (bool, error) {
	l := t.links[h]
	if l == nil {
		l, _ = link.LoadPinnedLink(t.path(h), nil)
	}
	if l != nil {
		current, same := inspect(l, h, p)
		if current {
			t.links[h] = l
			repinned := false
			if _, err := os.Stat(t.path(h)); err != nil {
				if err := errors.Join(l.Unpin(), l.Pin(t.path(h))); err != nil { // it takes itself for pinned
					return true, fmt.Errorf("pin %s: %w", h, err)
				}
				repinned = true
			}
			if same {
				return repinned, nil
			}
			if err := l.Update(p); err != nil {
				return true, fmt.Errorf("replace the program at %s: %w", h, err)
			}
			return true, nil
		}
		if err := t.detach(h); err != nil {
			return true, err
		}
		l.Close()
	}
	at := ebpf.AttachTCXIngress
	if h.egress {
		at = ebpf.AttachTCXEgress
	}
	l, err := link.AttachTCX(link.TCXOptions{Interface: h.device, Program: p, Attach: at, Anchor: anchor(h)})
	if err != nil {
		return true, fmt.Errorf("attach at %s: %w", h, err)
	}
	if err := l.Pin(t.path(h)); err != nil {
		l.Close()
		return true, fmt.Errorf("pin %s: %w", h, err)
	}
	t.links[h] = l
	return true, nil
}

// anchor puts ingress before and egress after other programs, next to the network.
func anchor(h hook) link.Anchor {
	if h.egress {
		return link.Tail()
	}
	return link.Head()
}

// inspect reports whether a link is still at its hook, and whether it runs the
// program already.
func inspect(l link.Link, h hook, p *ebpf.Program) (current, same bool) {
	info, err := l.Info()
	if err != nil {
		return false, false
	}
	if x := info.TCX(); x == nil || int(x.Ifindex) != h.device {
		return false, false
	}
	return true, sameProgram(info.Program, p)
}

// sameProgram compares what programs do, by their tags, and that they use the same maps.
func sameProgram(id ebpf.ProgramID, p *ebpf.Program) bool {
	there, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return false
	}
	defer there.Close()
	a, err := there.Info()
	if err != nil {
		return false
	}
	b, err := p.Info()
	return err == nil && a.Tag == b.Tag && a.Name == b.Name && sameMaps(a, b)
}

func sameMaps(a, b *ebpf.ProgramInfo) bool {
	x, ok := a.MapIDs()
	y, also := b.MapIDs()
	if !ok || !also || len(x) != len(y) {
		return false
	}
	// The programs' constants are in a map of each loading's own.
	missing := 0
	for _, id := range x {
		found := false
		for _, other := range y {
			found = found || id == other
		}
		if !found {
			missing++
		}
	}
	return missing <= 1
}

func (t *tcx) detach(h hook) error {
	if l := t.links[h]; l != nil {
		l.Unpin()
		l.Close()
		delete(t.links, h)
	}
	if err := os.Remove(t.path(h)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("detach at %s: %w", h, err)
	}
	return nil
}

func (t *tcx) attached() ([]hook, error) {
	entries, err := os.ReadDir(t.pins)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list pins: %w", err)
	}
	var all []hook
	for _, e := range entries {
		kind, index, ok := strings.Cut(e.Name(), "-")
		n, err := strconv.Atoi(index)
		if ok && err == nil && (kind == "ingress" || kind == "egress") {
			all = append(all, hook{n, kind == "egress"})
		}
	}
	return all, nil
}

func (t *tcx) close() {
	for _, l := range t.links {
		l.Close()
	}
}
