package localapi

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// serve starts the API and returns when it answers.
func serve(t *testing.T, path string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/v1/status", JSON(func() map[string]int { return map[string]int{"sessions": 3} }))
	mux.HandleFunc("/v1/exec", func(w http.ResponseWriter, r *http.Request) {
		line, _ := io.ReadAll(r.Body)
		if string(line) == "bad" {
			http.Error(w, "% Invalid command", http.StatusBadRequest)
			return
		}
		io.WriteString(w, strings.ToUpper(string(line)))
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, path, mux) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("the socket is still there")
		}
	})
	for t.Context().Err() == nil {
		if conn, err := net.Dial("unix", path); err == nil {
			conn.Close()
			return
		}
	}
}

func TestServe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "role.sock")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	// A process that died left its socket.
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()

	serve(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket has mode %v (%v), want 0600", info.Mode(), err)
	}
	var status map[string]int
	if err := Get(t.Context(), path, "/v1/status", &status); err != nil || status["sessions"] != 3 {
		t.Errorf("Get: %v, %v", status, err)
	}
	if got, err := Post(t.Context(), path, "/v1/exec", "show"); err != nil || got != "SHOW" {
		t.Errorf("Post: %q, %v", got, err)
	}
	if _, err := Post(t.Context(), path, "/v1/exec", "bad"); err == nil || err.Error() != "% Invalid command" {
		t.Errorf("a refusal reads %v", err)
	}
	if err := Serve(t.Context(), path, http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second server got %v", err)
	}
	if err := Get(t.Context(), filepath.Join(t.TempDir(), "none.sock"), "/", nil); err == nil || !strings.Contains(err.Error(), "is the process running") {
		t.Errorf("no server: %v", err)
	}
}
