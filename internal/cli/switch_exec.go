package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pharoslb/pharos/internal/nxos"
)

func newSwitchExec() *cobra.Command {
	var socket string
	cmd := &cobra.Command{
		Use:   "exec [COMMAND]",
		Short: "The switch's command line: one command, or a prompt",
		Long: `Has a running switch execute one command, or, without one, reads commands: at a
terminal with history (arrow keys), completion (Tab) and help (?), else one a
line. A question mark at the end shows what could follow; commands end in filters
such as | include TEXT, | count and | json. A command that is not understood makes
the exit status non-zero.`,
		Example: "  pharos switch exec 'show ip bgp sum'\n  pharos switch exec 'sh ip route bgp | json'\n  pharos switch exec 'show ip ?'\n  pharos switch exec",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			// A filter's pattern may end in a question mark: that is a command.
			command := strings.Join(args, " ")
			if line, ok := strings.CutSuffix(command, "?"); ok && nxos.Check(command) != nil {
				_, help := nxos.Complete(line)
				if len(help) == 0 {
					return fmt.Errorf("there is nothing that could follow %q", line)
				}
				fmt.Fprintln(cmd.OutOrStdout(), strings.Join(help, "\n"))
				return nil
			}
			if len(args) > 0 {
				out, err := execSwitch(ctx, socket, command)
				fmt.Fprint(cmd.OutOrStdout(), out)
				return err
			}
			name, err := execSwitch(ctx, socket, "show hostname")
			if err != nil {
				return err
			}
			p := prompt{ctx: ctx, socket: socket, text: strings.TrimSpace(name) + "# "}
			if in := int(os.Stdin.Fd()); cmd.InOrStdin() == os.Stdin && term.IsTerminal(in) && term.IsTerminal(int(os.Stdout.Fd())) {
				return p.terminal(in)
			}
			return p.lines(cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&socket, "socket", filepath.Join(socketDir, "switch.sock"), "path of the running switch's socket")
	return cmd
}

// prompt reads commands and has a switch execute them.
type prompt struct {
	ctx    context.Context
	socket string
	text   string
}

// leave says that a line ends the prompt.
func leave(line string) bool {
	switch strings.TrimSpace(line) {
	case "exit", "quit", "end", "logout":
		return true
	}
	return false
}

// lines executes what it reads, line by line, to the end, and fails if one failed.
func (p *prompt) lines(in io.Reader, out, errOut io.Writer) error {
	failed := 0
	scanner := bufio.NewScanner(in)
	for scanner.Scan() {
		line := scanner.Text()
		if strings.TrimSpace(line) == "" {
			continue
		}
		if leave(line) {
			break
		}
		answer, err := execSwitch(p.ctx, p.socket, line)
		io.WriteString(out, answer)
		if err != nil {
			fmt.Fprintln(errOut, err)
			failed++
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("read commands: %w", err)
	}
	if failed > 0 {
		return fmt.Errorf("%d commands failed", failed)
	}
	return nil
}

// terminal is the prompt on a terminal.
func (p *prompt) terminal(fd int) error {
	old, err := term.MakeRaw(fd)
	if err != nil {
		return fmt.Errorf("set the terminal up: %w", err)
	}
	defer term.Restore(fd, old)
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{os.Stdin, os.Stdout}, p.text)
	// A terminal that does not know its size says 0 by 0: as wide as is usual then.
	if width, height, err := term.GetSize(fd); err == nil && width > 0 && height > 0 {
		t.SetSize(width, height)
	}
	t.AutoCompleteCallback = func(line string, pos int, key rune) (string, int, bool) {
		return p.complete(t, line, pos, key)
	}
	for {
		line, err := t.ReadLine()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		if leave(line) {
			return nil
		}
		p.answer(t, line)
	}
}

// answer executes a line and prints the answer, with the marker of an error below
// the line that was typed after the prompt.
func (p *prompt) answer(w io.Writer, line string) {
	if err := nxos.Check(line); err != nil {
		var syntax *nxos.SyntaxError
		if errors.As(err, &syntax) {
			fmt.Fprint(w, strings.Repeat(" ", len(p.text)))
		}
		fmt.Fprintln(w, err)
		return
	}
	out, err := execSwitch(p.ctx, p.socket, line)
	io.WriteString(w, out)
	if err != nil {
		fmt.Fprintln(w, err)
	}
}

// complete is called for each key; it takes Tab and the question mark, at the end
// of the line.
func (p *prompt) complete(w io.Writer, line string, pos int, key rune) (string, int, bool) {
	if key != '\t' && key != '?' || pos != len(line) {
		return "", 0, false
	}
	completed, help := nxos.Complete(line)
	if key == '?' || completed == line {
		if len(help) == 0 {
			help = []string{"  % there is nothing that could follow"}
		}
		fmt.Fprintf(w, "%s%s\n%s\n", p.text, line+map[bool]string{true: "?"}[key == '?'], strings.Join(help, "\n"))
	}
	if key == '?' {
		completed = line
	}
	return completed, len(completed), true
}
