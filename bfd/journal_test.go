package bfd

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
)

// A log in JSON has no use for numbers of states: whoever reads it has no table of them.
func TestJournalSpeaksWords(t *testing.T) {
	var log bytes.Buffer
	j := journal{log: slog.New(slog.NewJSONHandler(&log, nil)), queue: make(chan entry, 1)}
	j.add(Change{Name: "x", From: Up, To: Down, Reason: ReasonDetectionExpired, Diag: DiagDetectionExpired, RemoteDiag: DiagNone})
	close(j.queue)
	j.write()
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"session": "x", "level": "WARN", "from": "Up", "to": "Down", "reason": ReasonDetectionExpired.String(),
		"diag": DiagDetectionExpired.String(), "remote_diag": DiagNone.String(),
	} {
		if line[key] != want {
			t.Errorf("%s is %v, want %q", key, line[key], want)
		}
	}
}
