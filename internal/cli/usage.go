package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// helpful makes a command and those below it answer mistakes in their arguments
// with what they take: an unknown subcommand is an error rather than the help of
// the command above, and a wrong number of arguments names the right ones.
func helpful(cmd *cobra.Command) {
	if cmd.HasSubCommands() && !cmd.Runnable() && cmd.HasParent() {
		cmd.Args, cmd.DisableFlagsInUseLine = cobra.NoArgs, true
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	if args := cmd.Args; args != nil {
		cmd.Args = func(cmd *cobra.Command, given []string) error { return withUsage(cmd, args(cmd, given)) }
	}
	cmd.SetFlagErrorFunc(withUsage)
	for _, sub := range cmd.Commands() {
		helpful(sub)
	}
}

// withUsage adds to an error how the command is called.
func withUsage(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	line := cmd.UseLine()
	if cmd.HasSubCommands() && !strings.Contains(cmd.Use, " ") { // it takes no arguments of its own
		line = cmd.CommandPath() + " COMMAND"
	}
	return &usageError{fmt.Errorf("%w\nUsage: %s\nSee: %s --help", err, line, cmd.CommandPath())}
}

// usageError is one of the call, not of what was called.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }
