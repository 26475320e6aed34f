package ebpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// transaction is a number of changes of maps that can be taken back, and what is to
// be done once all of them are made.
type transaction struct {
	added, removed uint64
	undo           []func() error
	after          []func() error
}

// put writes an element; had is what it was, nil if there was none.
func (t *transaction) put(m *ebpf.Map, key, value, had any) error {
	if err := insist(func() error { return m.Put(key, value) }); err != nil {
		return fmt.Errorf("write to %s: %w", m, err)
	}
	t.added++
	t.undo = append(t.undo, func() error {
		if had != nil {
			return m.Put(key, had)
		}
		return remove(m, key)
	})
	return nil
}

// drop takes an element away that was had.
func (t *transaction) drop(m *ebpf.Map, key, had any) error {
	if err := remove(m, key); err != nil {
		return err
	}
	t.removed++
	if had != nil {
		t.undo = append(t.undo, func() error { return m.Put(key, had) })
	}
	return nil
}

// later takes an element away once nothing refers to it.
func (t *transaction) later(m *ebpf.Map, key any) {
	t.after = append(t.after, func() error {
		t.removed++
		return remove(m, key)
	})
}

func remove(m *ebpf.Map, key any) error {
	if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("delete from %s: %w", m, err)
	}
	return nil
}

// commit does what was to be done later.
func (t *transaction) commit() error {
	var errs []error
	for _, f := range t.after {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// rollback takes all changes back, the last one first.
func (t *transaction) rollback() error {
	var errs []error
	for i := len(t.undo) - 1; i >= 0; i-- {
		errs = append(errs, t.undo[i]())
	}
	return errors.Join(errs...)
}
