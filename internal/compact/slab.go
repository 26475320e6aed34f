package compact

// chunkLen is how many values are allocated at once.
const chunkLen = 256

// Slab gives out room for values, each with a number. The zero value is empty.
type Slab[T any] struct {
	chunks []*[chunkLen]T
	last   uint32   // the highest number ever given out
	free   []uint32 // numbers given back
}

// Alloc returns the number of a new zero value.
func (s *Slab[T]) Alloc() uint32 {
	if n := len(s.free); n > 0 {
		id := s.free[n-1]
		s.free = s.free[:n-1]
		return id
	}
	if int(s.last) == len(s.chunks)*chunkLen {
		s.chunks = append(s.chunks, new([chunkLen]T))
	}
	s.last++
	return s.last
}

// At returns the value with a number. The pointer is good until Free.
func (s *Slab[T]) At(id uint32) *T {
	return &s.chunks[(id-1)/chunkLen][(id-1)%chunkLen]
}

// Free gives a value back and clears it. When it was the last one, so is the memory.
func (s *Slab[T]) Free(id uint32) {
	var zero T
	*s.At(id) = zero
	s.free = append(s.free, id)
	if len(s.free) == int(s.last) {
		*s = Slab[T]{}
	}
}

// Len is how many values there are.
func (s *Slab[T]) Len() int { return int(s.last) - len(s.free) }
