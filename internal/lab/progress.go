package lab

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// Progress prints what long work is at, with the seconds since it began. On a
// terminal the last line's seconds go on counting; elsewhere a line says every
// quarter of a minute that the work goes on.
type Progress struct {
	w        io.Writer
	terminal bool
	begin    time.Time

	mu    sync.Mutex
	last  string    // the line under way
	spoke time.Time // when something was printed latest

	stop chan struct{}
	done chan struct{}
}

// silence is how long a Progress that writes to no terminal says nothing.
const silence = 15 * time.Second

// longest is the length of a detail that fits a terminal's line, in bytes.
const longest = 80

// NewProgress starts to count. The caller ends it with Stop.
func NewProgress(w io.Writer) *Progress {
	p := &Progress{w: w, begin: time.Now(), spoke: time.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	if f, ok := w.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd()))
	}
	go p.tick()
	return p
}

// Report says what is done now. It may be called from any goroutine.
func (p *Progress) Report(phase, detail string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal && p.last != "" {
		fmt.Fprintln(p.w)
	}
	if len(detail) > longest {
		detail = detail[:longest] + "…"
	}
	p.last = fmt.Sprintf("%-24s %s", phase, detail)
	p.print()
	if !p.terminal {
		fmt.Fprintln(p.w)
	}
}

// Stop ends the counting.
func (p *Progress) Stop() {
	close(p.stop)
	<-p.done
	if p.terminal && p.last != "" {
		fmt.Fprintln(p.w)
	}
}

func (p *Progress) tick() {
	defer close(p.done)
	every := silence
	if p.terminal {
		every = time.Second
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
		}
		p.mu.Lock()
		switch {
		case p.last == "":
		case p.terminal:
			fmt.Fprint(p.w, "\r")
			p.print()
		case time.Since(p.spoke) >= silence:
			p.print()
			fmt.Fprintln(p.w, " …")
		}
		p.mu.Unlock()
	}
}

func (p *Progress) print() {
	p.spoke = time.Now()
	fmt.Fprintf(p.w, "%6.1f s  %s", time.Since(p.begin).Seconds(), p.last)
}
