package proxy

import (
	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// hold notes that the kernel has a State, but for what the driver left out.
func (p *Proxy) hold(snapshot *pharos.Snapshot, state *dataplane.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = p.held(state)
	p.serving.applied(snapshot, p.state)
}

// held returns a State without what the driver leaves out. Where that is what it was,
// the Services are the same ones, too: nobody is to take them for new. The caller
// holds the lock.
func (p *Proxy) held(state *dataplane.State) *dataplane.State {
	var all map[pharos.Name][]dataplane.Refused
	if d, ok := p.edge.Driver.(dataplane.Partial); ok {
		all = d.Refused()
	}
	if len(all) == 0 {
		return state
	}
	left := *state
	for name, refused := range all {
		planned, ok := state.Services.Get(name)
		if !ok {
			continue
		}
		service := planned.Without(refused)
		if was, ok := p.state.Services.Get(name); ok && was.Equal(service) {
			service = was
		}
		left.Services = left.Services.With(name, service)
	}
	return &left
}
