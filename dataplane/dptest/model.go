package dptest

import (
	"sync"
	"testing"
	"time"

	"github.com/pharoslb/pharos/dataplane"
)

// Model is a Harness around the model.
type Model struct {
	mu    sync.Mutex
	model *dataplane.Model
}

// NewModel returns a Harness around a new model.
func NewModel(seed uint64) *Model { return &Model{model: dataplane.NewModel(seed)} }

// Driver returns the model.
func (m *Model) Driver() dataplane.Driver { return m.model }

// Send asks the model.
func (m *Model) Send(_ testing.TB, _ Place, p dataplane.Packet, _ time.Duration) Observation {
	m.mu.Lock()
	answer := m.model.Send(time.Unix(1e9, 0), p)
	m.mu.Unlock()
	o := Observation{Action: answer.Action, Source: p.Src}
	if answer.Action != dataplane.Accept {
		return o
	}
	o.Backend = answer.Backends[0].Addr
	if answer.Masquerade {
		for _, f := range Families {
			if p.Src.Is6() == f.any.Is6() {
				o.Source = f.Addrs[Node1]
			}
		}
	}
	return o
}
