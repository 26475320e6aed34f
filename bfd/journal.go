package bfd

import (
	"context"
	"log/slog"
)

// journalLen is how many changes may wait to be logged.
const journalLen = 1024

// journal logs on a goroutine of its own: a log that is slow, or a pipe that nobody
// reads, must not keep sessions from sending.
type journal struct {
	log   *slog.Logger
	queue chan entry
	lost  int // entries since the last that was queued; add's alone
}

type entry struct {
	Change
	lost int // before it
}

// add notes a change to or from Up. It never blocks; what does not fit is counted.
func (j *journal) add(c Change) {
	if c.From != Up && c.To != Up {
		return
	}
	select {
	case j.queue <- entry{c, j.lost}:
		j.lost = 0
	default:
		j.lost++
	}
}

// write logs until the queue is closed.
func (j *journal) write() {
	for e := range j.queue {
		if e.lost > 0 {
			j.log.Warn("bfd changes not logged", "count", e.lost)
		}
		level := slog.LevelInfo
		if e.Failed() {
			level = slog.LevelWarn
		}
		j.log.Log(context.Background(), level, "bfd session changed", "session", e.Name, "from", e.From.String(), "to", e.To.String(),
			"reason", e.Reason.String(), "diag", e.Diag.String(), "remote_diag", e.RemoteDiag.String()) // words, in JSON too
	}
}
