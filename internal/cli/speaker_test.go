package cli

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSpeakerNeedsItsNode(t *testing.T) {
	t.Setenv("METALLB_NODE_NAME", "")
	t.Setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
	kubeconfig := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(kubeconfig, []byte("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\ncontexts: [{name: c, context: {cluster: c}}]\ncurrent-context: c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]string{
		"--node-name=":             "METALLB_NODE_NAME",
		"--ml-bindport=many":       "--ml-bindport",
		"--ml-bindaddr=10.10.2":    "--ml-bindaddr",
		"--log-level=loud":         "--log-level",
		"--kubeconfig=/nonexist":   "/nonexist",
		"--no-such-flag-is-served": "no-such-flag",
	} {
		if _, err := run(t, "speaker", "--kubeconfig="+kubeconfig, "--log-level=none", flag); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

func TestSecretOfTheMembership(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "secretkey")
	if _, err := (&speakerFlags{secretPath: file}).readSecret(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := (&speakerFlags{secretPath: dir}).readSecret(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing in directory: %v", err)
	}
	if _, err := (&speakerFlags{}).readSecret(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, f := range []speakerFlags{{secretPath: file}, {secretPath: dir}, {secret: "text", secretPath: "/nonexist"}} {
		if text, err := f.readSecret(); text != "text" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
	}
}

func TestLogLevels(t *testing.T) {
	for level, want := range map[string][2]bool{ // debug, info
		"all": {true, true}, "debug": {true, true}, "info": {false, true}, "warn": {false, false}, "none": {false, false},
	} {
		var out strings.Builder
		log, err := (&daemon{logLevel: level}).logger(&out)
		if err != nil {
			t.Fatal(err)
		}
		log.Log(t.Context(), slog.LevelDebug, "d")
		log.Log(t.Context(), slog.LevelInfo, "i")
		if got := [2]bool{strings.Contains(out.String(), `"d"`), strings.Contains(out.String(), `"i"`)}; got != want {
			t.Errorf("%s logs debug and info: %v, want %v", level, got, want)
		}
	}
}
