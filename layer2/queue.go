package layer2

// queue holds what is to be announced, the earliest first (container/heap).
type queue []*presence

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	if c := q[i].next.Compare(q[j].next); c != 0 {
		return c < 0
	}
	return q[i].begun < q[j].begun
}

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].pos, q[j].pos = i, j
}

// Push is for container/heap.
func (q *queue) Push(x any) {
	p := x.(*presence)
	p.pos = len(*q)
	*q = append(*q, p)
}

// Pop is for container/heap.
func (q *queue) Pop() any {
	old := *q
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	p.pos = -1
	return p
}
