package bfd

import "sync"

// asks are what other goroutines want done with the sessions. While Run's goroutine is
// there to do it, they do not take its lock: where its thread goes before others, a
// thread that waits for a processor could hold the lock for as long.
type asks struct {
	mu      sync.Mutex // held for a moment only
	serving bool
	pending []func()
}

// do runs f under the Server's lock and waits for it: on Run's goroutine, or, before and
// after Run and while the Handler is called, on the caller's own.
func (s *Server) do(f func()) {
	done := make(chan struct{})
	if s.asks.add(func() { f(); close(done) }) {
		s.opt.Transport.Wake()
		<-done
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (a *asks) add(f func()) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.serving {
		a.pending = append(a.pending, f)
	}
	return a.serving
}

// serve says if Run's goroutine is there, and takes what is pending.
func (a *asks) serve(on bool) (pending []func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.serving = on
	pending, a.pending = a.pending, nil
	return pending
}

// answer does what was asked.
func (s *Server) answer(serving bool) {
	pending := s.asks.serve(serving)
	if len(pending) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range pending {
		f()
	}
}
