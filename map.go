package pharos

import (
	"hash/maphash"
	"iter"
)

// buckets is how many parts a Map shares with its successor one by one: a
// change copies one part of buckets. 256 keeps a change cheap up to some tens of
// thousands of entries.
const buckets = 256

var seed = maphash.MakeSeed()

// Map is an immutable map: With and Without return a changed copy that shares
// all but a 256th part with the original. The zero Map is empty. It may be used
// from any goroutine.
type Map[K comparable, V comparable] struct {
	root *[buckets][]entry[K, V]
	n    int
}

type entry[K comparable, V comparable] struct {
	key   K
	value V
}

func slot[K comparable](key K) int { return int(maphash.Comparable(seed, key) % buckets) }

// MapOf returns a Map of the entries of a Go map. It costs less than as many
// calls of With.
func MapOf[K comparable, V comparable](entries map[K]V) Map[K, V] {
	if len(entries) == 0 {
		return Map[K, V]{}
	}
	root := new([buckets][]entry[K, V])
	for key, value := range entries {
		i := slot(key)
		root[i] = append(root[i], entry[K, V]{key, value})
	}
	return Map[K, V]{root, len(entries)}
}

// Len returns the number of entries.
func (m Map[K, V]) Len() int { return m.n }

// Get returns the value of a key, or the zero value and false.
func (m Map[K, V]) Get(key K) (value V, ok bool) {
	if m.root == nil {
		return value, false
	}
	for _, e := range m.root[slot(key)] {
		if e.key == key {
			return e.value, true
		}
	}
	return value, false
}

// With returns a Map in which key has value. It is m itself where it had it
// already.
func (m Map[K, V]) With(key K, value V) Map[K, V] {
	if was, ok := m.Get(key); ok && was == value {
		return m
	}
	i := slot(key)
	var old []entry[K, V]
	root := new([buckets][]entry[K, V])
	if m.root != nil {
		*root = *m.root
		old = root[i]
	}
	bucket := make([]entry[K, V], 0, len(old)+1)
	n := m.n + 1
	for _, e := range old {
		if e.key == key {
			n = m.n
			continue
		}
		bucket = append(bucket, e)
	}
	root[i] = append(bucket, entry[K, V]{key, value})
	return Map[K, V]{root, n}
}

// Without returns a Map that lacks key. It is m itself where it lacked it
// already.
func (m Map[K, V]) Without(key K) Map[K, V] {
	if _, ok := m.Get(key); !ok {
		return m
	}
	i := slot(key)
	root := new([buckets][]entry[K, V])
	*root = *m.root
	bucket := make([]entry[K, V], 0, len(root[i])-1)
	for _, e := range root[i] {
		if e.key != key {
			bucket = append(bucket, e)
		}
	}
	root[i] = bucket
	return Map[K, V]{root, m.n - 1}
}

// All iterates over the entries, in no particular order.
func (m Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if m.root == nil {
			return
		}
		for _, bucket := range m.root {
			for _, e := range bucket {
				if !yield(e.key, e.value) {
					return
				}
			}
		}
	}
}

// Diff iterates over the keys whose value is not the same in m as it was in
// old: added, changed and removed ones, in no particular order. Its cost grows
// with what changed since old, as long as m descends from old.
func (m Map[K, V]) Diff(old Map[K, V]) iter.Seq[K] {
	return func(yield func(K) bool) {
		if m.root == old.root {
			return
		}
		for i := range buckets {
			is, was := m.bucket(i), old.bucket(i)
			if len(is) == len(was) && (len(is) == 0 || &is[0] == &was[0]) {
				continue
			}
			for _, e := range is {
				if value, ok := old.Get(e.key); ok && value == e.value {
					continue
				}
				if !yield(e.key) {
					return
				}
			}
			for _, e := range was {
				if _, ok := m.Get(e.key); ok {
					continue
				}
				if !yield(e.key) {
					return
				}
			}
		}
	}
}

func (m Map[K, V]) bucket(i int) []entry[K, V] {
	if m.root == nil {
		return nil
	}
	return m.root[i]
}
