package rib

// Down marks all paths of a neighbor deleted: its session is over, or it did not
// come back. They are shown, and not used, until Purge. Those that an earlier session
// left and this one did not bring back are removed: a neighbor that comes and goes
// with other prefixes each time would pile them up.
//
// It returns the next hops that paths led to and none does any more, so that the
// kernel can be told of them before everything is decided anew.
func (t *Table) Down(name string) []Hop {
	src := t.sourceByName[name]
	if src == nil {
		return nil
	}
	src.refreshing = false
	if src.count[live] > 0 {
		t.Purge(name)
	} else {
		t.dropAll(src, func(p *path) bool { return p.state == deleted })
	}
	hops := t.lost(src)
	for at := src.first; at != 0; {
		p := t.paths.At(at)
		t.become(p, deleted)
		t.touch(p.entry)
		at = p.more
	}
	return hops
}

// Retain marks the paths of a neighbor stale: its session is over, it is expected
// back, and said that it forwards by them meanwhile (RFC 4724 §4.2). They are used as
// before. Those that were stale already are removed: the neighbor restarts again
// before it sent its table. Long-lived ones stay (RFC 9494 §4.2).
func (t *Table) Retain(name string) {
	src := t.sourceByName[name]
	if src == nil {
		return
	}
	src.refreshing = false
	t.dropAll(src, func(p *path) bool { return p.state == deleted || p.state == stale })
	for at := src.first; at != 0; {
		p := t.paths.At(at)
		if p.state == live {
			t.become(p, stale)
		}
		at = p.more
	}
}

// LongLive makes the neighbor's stale paths long-lived stale ones: it is not back in
// the time that it said. They are used where there is no other path. Those with the
// community NO_LLGR are removed (RFC 9494 §4.2), and so are those above the
// neighbor's limit, which repeated restarts could gather.
func (t *Table) LongLive(name string) {
	src := t.sourceByName[name]
	if src == nil {
		return
	}
	t.dropAll(src, func(p *path) bool { return p.state == stale && (*t.attrs.At(p.attrs)).noLongLived })
	for at := src.first; at != 0; {
		p := t.paths.At(at)
		next := p.more
		switch {
		case p.state != stale:
		case src.count[longLived] >= src.info.Limit:
			t.drop(at)
		default:
			t.become(p, longLived)
			t.touch(p.entry)
		}
		at = next
	}
}

// Expire removes the neighbor's long-lived stale paths: their time is over.
func (t *Table) Expire(name string) {
	if src := t.sourceByName[name]; src != nil {
		t.dropAll(src, func(p *path) bool { return p.state == longLived })
	}
}

// Purge removes the neighbor's paths that are deleted or stale: it has sent its whole
// table (End-of-RIB), or was away for too long.
func (t *Table) Purge(name string) {
	if src := t.sourceByName[name]; src != nil {
		t.dropAll(src, func(p *path) bool { return p.state != live })
	}
}

// RefreshBegin says that the neighbor is about to send its table again (RFC 7313 §4).
func (t *Table) RefreshBegin(name string) {
	if src := t.sourceByName[name]; src != nil {
		src.refreshing = true
		src.generation++
	}
}

// RefreshEnd removes the neighbor's paths that were not announced since RefreshBegin.
func (t *Table) RefreshEnd(name string) {
	src := t.sourceByName[name]
	if src == nil || !src.refreshing {
		return
	}
	src.refreshing = false
	t.dropAll(src, func(p *path) bool { return p.state == live && p.generation != src.generation })
}

// Forget removes a neighbor with all its paths: it is not configured any more.
func (t *Table) Forget(name string) {
	src := t.sourceByName[name]
	if src == nil {
		return
	}
	t.dropAll(src, func(*path) bool { return true })
	t.sources.Free(src.number)
	t.decision.forget()
	delete(t.sourceByName, name)
}

// dropAll removes a source's paths of which that is true.
func (t *Table) dropAll(src *source, goes func(*path) bool) {
	for at := src.first; at != 0; {
		p := t.paths.At(at)
		next := p.more
		if goes(p) {
			t.drop(at)
		}
		at = next
	}
}
