package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	files "github.com/pharoslb/pharos/internal/file"
)

func newValidate() *cobra.Command {
	var output, namespace string
	cmd := &cobra.Command{
		Use:   "validate FILE|DIR|- …",
		Short: "Check configuration without a cluster",
		Long: `Reads the objects of group metallb.io, and MetalLB's ConfigMap, from YAML and
JSON files, from all such files below a directory, or from standard input, and
tells what the API server or the controller and the speakers would refuse: with
file, line, field, reason and hint. Objects of other groups are left alone.

All arguments together are one configuration. What they refer to and do not have
is a warning where the cluster may have it. Exits with 0 if there is no error,
with 1 if there is, and with 2 if the arguments are wrong or can't be read.`,
		Example: "  pharos validate metallb/\n  helm template … | pharos validate -\n  kubectl get -A -o yaml ipaddresspools,bgppeers | pharos validate -o json -",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "table" && output != "json" {
				return withUsage(cmd, fmt.Errorf("--output %q is neither table nor json", output))
			}
			return runValidate(cmd.OutOrStdout(), cmd.InOrStdin(), args, namespace, output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	cmd.Flags().StringVarP(&namespace, "namespace", "n", files.DefaultNamespace, "namespace of the controller and speakers, whose objects count")
	return cmd
}

// errInvalid is what was told already.
var errInvalid = errors.New("")

func runValidate(w io.Writer, stdin io.Reader, paths []string, namespace, output string) error {
	set := files.New(namespace)
	for _, path := range paths {
		var err error
		if path == "-" {
			err = set.Read("-", stdin)
		} else {
			err = set.Add(path)
		}
		if err != nil {
			return &usageError{err}
		}
	}
	problems := set.Check()
	warnings := 0
	for _, p := range problems {
		if p.Warning {
			warnings++
		}
	}
	errs := len(problems) - warnings
	if output == "json" {
		out := struct {
			Files    int             `json:"files"`
			Objects  int             `json:"objects"`
			Skipped  int             `json:"skipped"`
			Errors   int             `json:"errors"`
			Warnings int             `json:"warnings"`
			Problems []files.Problem `json:"problems"`
		}{set.Files, set.Count, set.Skipped, errs, warnings, append([]files.Problem{}, problems...)}
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(out); err != nil {
			return err
		}
	} else {
		showProblems(w, problems)
		fmt.Fprintln(w, verdict(set, errs, warnings))
	}
	if errs > 0 {
		return errInvalid
	}
	return nil
}

func showProblems(w io.Writer, problems []files.Problem) {
	t := table{{"PLACE", "OBJECT", "FIELD", "PROBLEM"}}
	for _, p := range problems {
		place := p.File
		if p.Line > 0 {
			place += fmt.Sprintf(":%d", p.Line)
		}
		object := p.Object.Name
		if p.Object.Kind != "" {
			object = p.Object.Kind + " " + object
		}
		text := p.Reason
		if p.Hint != "" {
			text += " (" + p.Hint + ")"
		}
		if p.Warning {
			text = "warning: " + text
		}
		t.row(place, strings.TrimSpace(object), p.Field, text)
	}
	var text strings.Builder
	t.write(&text)
	fmt.Fprint(w, strings.TrimPrefix(text.String(), "\n"))
	if len(problems) > 0 {
		fmt.Fprintln(w)
	}
}

// verdict is the summary, on one line.
func verdict(set *files.Set, errs, warnings int) string {
	text := fmt.Sprintf("%s in %s", count(set.Count, "object"), count(set.Files, "file"))
	switch {
	case errs == 0 && set.Count == 0:
		text = fmt.Sprintf("nothing to check in %s", count(set.Files, "file"))
	case errs == 0:
		text += ": valid"
	default:
		text += ": " + count(errs, "error")
	}
	if warnings > 0 {
		text += ", " + count(warnings, "warning")
	}
	if set.Skipped > 0 {
		text += fmt.Sprintf("; %s of other kinds left alone", count(set.Skipped, "object"))
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
