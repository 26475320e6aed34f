package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pharoslb/pharos/internal/localapi"
)

// fakeSwitch answers every command with itself in capitals.
func fakeSwitch(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "switch.sock")
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/exec", func(w http.ResponseWriter, r *http.Request) {
		line, _ := io.ReadAll(r.Body)
		if strings.HasPrefix(string(line), "clear") {
			http.Error(w, "% it cannot be cleared", http.StatusBadRequest)
			return
		}
		fmt.Fprintln(w, strings.ToUpper(string(line)))
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- localapi.Serve(ctx, socket, mux) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for t.Context().Err() == nil {
		if _, err := localapi.Post(t.Context(), socket, "/v1/exec", "show hostname"); err == nil {
			break
		}
	}
	return socket
}

// execute runs pharos switch exec with a standard input and returns what it said.
func execute(t *testing.T, in string, args ...string) (out, errOut string, err error) {
	t.Helper()
	cmd := New()
	cmd.SetArgs(append([]string{"switch", "exec"}, args...))
	var o, e bytes.Buffer
	cmd.SetIn(strings.NewReader(in))
	cmd.SetOut(&o)
	cmd.SetErr(&e)
	err = cmd.ExecuteContext(t.Context())
	return o.String(), e.String(), err
}

func TestSwitchExec(t *testing.T) {
	socket := fakeSwitch(t)
	if out, _, err := execute(t, "", "--socket", socket, "sh ip bgp sum | json"); out != "SH IP BGP SUM | JSON\n" || err != nil {
		t.Errorf("one shot: %q, %v", out, err)
	}
	out, _, err := execute(t, "", "--socket", socket, "show ip", "bgp", "foo")
	want := "the command is not understood:\nshow ip bgp foo\n            ^\n% Invalid command at '^' marker."
	if out != "" || err == nil || err.Error() != want {
		t.Errorf("an invalid command: %q,\n%v\nwant\n%s", out, err, want)
	}
	if _, _, err := execute(t, "", "--socket", socket, "clear ip bgp *"); err == nil || err.Error() != "% it cannot be cleared" {
		t.Errorf("a command that fails: %v", err)
	}

	// What could follow.
	if out, _, err := execute(t, "", "--socket", socket, "show ip bgp s?"); out != "  summary          Neighbors in short\n" || err != nil {
		t.Errorf("a question: %q, %v", out, err)
	}
	if out, _, err := execute(t, "", "--socket", socket, "nonsense ?"); out != "" || err == nil {
		t.Errorf("a question without an answer: %q, %v", out, err)
	}

	if out, _, err := execute(t, "", "--socket", socket, "show ip bgp | include 65211?"); out != "SHOW IP BGP | INCLUDE 65211?\n" || err != nil {
		t.Errorf("a pattern with a question mark: %q, %v", out, err)
	}

	// Without a terminal, line by line.
	out, errOut, err := execute(t, "show version\n\n  \nshow foo\nsh host\nexit\nshow ip bgp\n", "--socket", socket)
	if out != "SHOW VERSION\nSH HOST\n" || !strings.Contains(errOut, "     ^\n% Invalid command at '^' marker.") || err == nil || err.Error() != "1 commands failed" {
		t.Errorf("lines: %q, %q, %v", out, errOut, err)
	}
	if _, _, err := execute(t, "", "--socket", socket+".none"); err == nil || !strings.Contains(err.Error(), "is the process running") {
		t.Errorf("without a switch: %v", err)
	}
}

func TestPromptCompletesAndHelps(t *testing.T) {
	p := prompt{ctx: t.Context(), text: "switch# "}
	for _, row := range []struct {
		line, completed string
		key             rune
		ok              bool
		said            string
	}{
		{"sh", "show ", '\t', true, ""},
		{"show i", "show ip", '\t', true, ""},
		{"show ip", "show ip", '\t', true, "switch# show ip\n  ip"},
		{"show ip bgp s", "show ip bgp s", '?', true, "switch# show ip bgp s?\n  summary          Neighbors in short\n"},
		{"nonsense ", "nonsense ", '?', true, "switch# nonsense ?\n  % there is nothing that could follow\n"},
		{"sh", "", 'x', false, ""},
	} {
		var said strings.Builder
		completed, pos, ok := p.complete(&said, row.line, len(row.line), row.key)
		if completed != row.completed || ok != row.ok || ok && pos != len(completed) || !strings.HasPrefix(said.String(), row.said) || row.said == "" && said.Len() > 0 {
			t.Errorf("%q and %q: %q at %d, %v, said\n%s", row.line, row.key, completed, pos, ok, said.String())
		}
	}
	// The marker of an error stands below what was typed after the prompt.
	var said strings.Builder
	p.answer(&said, "show foo")
	if said.String() != "             ^\n% Invalid command at '^' marker.\n" {
		t.Errorf("said\n%s", said.String())
	}
}

func TestSwitchConfigIsRefusedWithReasons(t *testing.T) {
	path := filepath.Join(t.TempDir(), "switch.conf")
	for text, want := range map[string]string{
		"":                                      "nothing is configured",
		"hostname x\n":                          "nothing is configured",
		"router bgp 0\n":                        "switch.conf:1: AS number 0 is reserved\n    router bgp 0",
		"x" + strings.Repeat("\n", maxConfig+1): "is larger than 8 MiB",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := New()
		cmd.SetArgs([]string{"switch", "run", "--config", path, "--socket", filepath.Join(t.TempDir(), "s")})
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
	cmd := New()
	cmd.SetArgs([]string{"switch", "run", "--config", path, "--interface", "Vlan3=eth0"})
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "--interface Vlan3=eth0: interfaces of type") {
		t.Errorf("a wrong interface: %v", err)
	}
}
