package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/internal/localapi"
	"github.com/pharoslb/pharos/proxy"
	"github.com/pharoslb/pharos/speaker"
)

const (
	// servingPath is where a proxy's socket tells what the kernel holds.
	servingPath = "/v1/serving"

	// servingFollowers is how many may be told at a time: the speaker, and people.
	servingFollowers = 8

	// servingSilence is after how long without a sign of life a proxy is not heard.
	servingSilence = 3 * proxy.ServingPulse

	// settleTime is how long a speaker that begins waits for a proxy that seems to be
	// there, and bootTime for one that may be there, as the machine has just come up.
	settleTime = 3 * time.Second
	bootTime   = 10 * time.Second

	// maxServing bounds how many Services a proxy may tell of.
	maxServing = 1 << 18
)

// errTooMany says that a proxy tells of more Services than there can be.
var errTooMany = fmt.Errorf("the proxy tells of more than %d Services", maxServing)

// kernelLink hears what the node's proxy tells of the kernel. It is a
// speaker.DataPlane.
type kernelLink struct {
	socket  string
	auto    bool // there may be none
	booted  bool // the machine has just come up: a proxy may be yet to come
	follow  func(ctx context.Context, each func(proxy.Told) error) error
	changed chan struct{}

	mu    sync.Mutex
	state speaker.DataPlaneState
	held  map[pharos.Name]bool               // by what was told last
	fresh map[pharos.Name]bool               // told since the connection began, until it is whole; nil: it is, or there is none
	news  map[pharos.Name]*dataplane.Serving // not yet taken
}

// newKernelLink makes the link of a speaker to the proxy of its node. gate is auto, on
// or off; the last makes none.
func newKernelLink(gate, socket string, booted bool) (*kernelLink, error) {
	switch gate {
	case "auto", "on":
	case "off":
		return nil, nil
	default:
		return nil, fmt.Errorf("--gate %q is neither auto, on nor off", gate)
	}
	l := &kernelLink{
		socket: socket, auto: gate == "auto", booted: booted, changed: make(chan struct{}, 1),
		held: map[pharos.Name]bool{}, news: map[pharos.Name]*dataplane.Serving{},
		state: speaker.DataPlaneState{Gates: gate == "on", Silent: time.Now(), Problem: "it has not been asked yet"},
	}
	l.follow = func(ctx context.Context, each func(proxy.Told) error) error {
		return localapi.Follow(ctx, socket, servingPath, servingSilence, each)
	}
	return l, nil
}

// Changed is of speaker.DataPlane.
func (l *kernelLink) Changed() <-chan struct{} { return l.changed }

// State is of speaker.DataPlane.
func (l *kernelLink) State() speaker.DataPlaneState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// Take is of speaker.DataPlane.
func (l *kernelLink) Take() map[pharos.Name]*dataplane.Serving {
	l.mu.Lock()
	defer l.mu.Unlock()
	news := l.news
	l.news = map[pharos.Name]*dataplane.Serving{}
	return news
}

// update changes what is known, and wakes the speaker.
func (l *kernelLink) update(change func()) {
	l.mu.Lock()
	change()
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// Run follows the proxy until ctx ends, whenever there is one.
func (l *kernelLink) Run(ctx context.Context) error {
	wait := time.AfterFunc(l.patience(), func() { l.update(func() { l.state.Settled = true }) })
	defer wait.Stop()
	const first, last = 50 * time.Millisecond, time.Second
	pause := first
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-retry.C:
		}
		err := l.follow(ctx, l.hear)
		if ctx.Err() != nil {
			return nil
		}
		if l.lost(err) {
			pause = first
		}
		retry.Reset(pause)
		pause = min(2*pause, last)
	}
}

// patience is how long the speaker waits for the proxy when it begins.
func (l *kernelLink) patience() time.Duration {
	_, err := os.Stat(l.socket)
	switch {
	case l.booted:
		return bootTime
	case l.State().Gates || !errors.Is(err, fs.ErrNotExist):
		return settleTime
	}
	return 0
}

// hear takes in one thing that the proxy tells.
func (l *kernelLink) hear(t proxy.Told) error {
	var err error
	wake := t != proxy.Told{}
	l.mu.Lock()
	if l.fresh == nil && !l.state.Silent.IsZero() { // it is heard again, and begins anew
		l.state.Problem = ""
		l.fresh, wake = map[pharos.Name]bool{}, true
	}
	l.state.Gates = true
	switch {
	case t.About != nil:
		l.state.Comparable = t.About.Format == dataplane.DigestFormat
		l.state.Beside, l.state.Mode = t.About.Beside, t.About.Mode
	case t.Serving != nil:
		name := t.Serving.Name
		if l.news[name] = t.Serving; l.fresh != nil {
			l.fresh[name] = true
		}
		if l.held[name] = true; len(l.held) > maxServing {
			err = errTooMany
		}
	case t.Gone != nil:
		l.news[*t.Gone] = nil
		delete(l.held, *t.Gone)
	case t.Whole:
		for name := range l.held {
			if l.fresh != nil && !l.fresh[name] {
				l.news[name] = nil
				delete(l.held, name)
			}
		}
		l.fresh, l.state.Silent = nil, time.Time{}
		l.state.Whole, l.state.Settled = true, true
	}
	l.mu.Unlock()
	if wake {
		l.update(func() {})
	}
	return err
}

// lost takes in that nothing is heard any more, and reports whether all had been told
// before. What was told stands, but where the proxy in its place is one that tells
// nothing.
func (l *kernelLink) lost(err error) bool {
	l.mu.Lock()
	told, same := l.state.Silent.IsZero(), l.state.Problem == err.Error()
	l.mu.Unlock()
	if !told && same {
		return false
	}
	l.update(func() {
		if l.state.Problem, l.fresh = err.Error(), nil; told {
			l.state.Silent = time.Now()
		}
		if l.auto && errors.Is(err, localapi.ErrNotServed) {
			l.forget()
		}
	})
	return told
}

// forget takes back all that was told. The caller holds mu.
func (l *kernelLink) forget() {
	for name := range l.held {
		l.news[name] = nil
	}
	clear(l.held)
	st := &l.state
	*st = speaker.DataPlaneState{Settled: st.Settled, Silent: st.Silent, Problem: st.Problem}
}
