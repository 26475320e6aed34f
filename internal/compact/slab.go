package compact

// chunkLen is how many values are allocated at once.
const chunkLen = 256

// Slab gives out room for values, each with a number. The zero value is empty.
type Slab[T any] struct {
	chunks []*[chunkLen]T // nil: all of it is free
	used   []uint16       // values given out, by chunk
	last   uint32         // the highest number given out
	free   []uint32       // numbers given back
}

// Alloc returns the number of a new zero value.
func (s *Slab[T]) Alloc() uint32 {
	var id uint32
	if n := len(s.free); n > 0 {
		id, s.free = s.free[n-1], s.free[:n-1]
	} else {
		if int(s.last) == len(s.chunks)*chunkLen {
			s.chunks, s.used = append(s.chunks, nil), append(s.used, 0)
		}
		s.last++
		id = s.last
	}
	c := (id - 1) / chunkLen
	if s.chunks[c] == nil {
		s.chunks[c] = new([chunkLen]T)
	}
	s.used[c]++
	return id
}

// At returns the value with a number. The pointer is good until Free.
func (s *Slab[T]) At(id uint32) *T {
	return &s.chunks[(id-1)/chunkLen][(id-1)%chunkLen]
}

// Free gives a value back and clears it; with the last one of a chunk goes its memory.
func (s *Slab[T]) Free(id uint32) {
	var zero T
	*s.At(id) = zero
	c := (id - 1) / chunkLen
	if s.used[c]--; s.used[c] == 0 {
		s.chunks[c] = nil
	}
	s.free = append(s.free, id)
	if len(s.free) == int(s.last) {
		*s = Slab[T]{}
	}
}

// Len is how many values there are.
func (s *Slab[T]) Len() int { return int(s.last) - len(s.free) }
