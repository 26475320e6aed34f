package gossip

import (
	"bytes"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// newLogger returns a logger for memberlist that hands its lines to slog.
func newLogger(to *slog.Logger) *log.Logger {
	return log.New(&lines{to: to}, "", 0)
}

// lines takes memberlist's lines, "[LEVEL] memberlist: text". Strangers who
// send packets without the key cause a line each, so that of warnings one a
// second gets through.
type lines struct {
	to *slog.Logger

	mu         sync.Mutex
	last       time.Time
	suppressed int
}

// Write implements io.Writer.
func (l *lines) Write(line []byte) (int, error) {
	tag, text, _ := strings.Cut(string(bytes.TrimSpace(line)), " ")
	if tag != "[ERR]" && tag != "[WARN]" {
		l.to.Debug("memberlist", "text", text)
		return len(line), nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Sub(l.last) < time.Second {
		l.suppressed++
		return len(line), nil
	}
	l.last = now
	l.to.Warn("memberlist", "text", text, "suppressed", l.suppressed)
	l.suppressed = 0
	return len(line), nil
}
