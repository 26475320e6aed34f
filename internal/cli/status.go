package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/pharoslb/pharos/internal/localapi"
)

// statusTimeout bounds how long one role may take to answer.
const statusTimeout = 5 * time.Second

func newStatus() *cobra.Command {
	var sockets []string
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what the roles on this machine know and do",
		Long: `Asks every role that runs on this machine, through its socket in ` + socketDir + `, and
shows pools, Services, sessions, routes and the data plane. Speakers and proxies
have their sockets on the node; where the program is not installed there, their
pods have it. The controller's socket is in its pod. In the lab:
pharos lab exec pod/metallb-system/NAME -- /pharos status.`,
		Example: "  pharos status\n  pharos status -o json\n  kubectl exec -n metallb-system deploy/controller -- /pharos status",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return fmt.Errorf("--output %q is neither table nor json", output)
			}
			if len(sockets) == 0 {
				var err error
				if sockets, err = found(socketDir); err != nil {
					return err
				}
			}
			answers, failed := ask(cmd.Context(), sockets)
			if err := show(cmd.OutOrStdout(), answers, output, time.Now()); err != nil {
				return err
			}
			return failed
		},
	}
	cmd.Flags().StringSliceVar(&sockets, "socket", nil, "path of a role's socket; may be given several times (default: every one in "+socketDir+")")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}

// found lists the sockets of a directory.
func found(dir string) ([]string, error) {
	none := fmt.Errorf("no role runs on this machine: there is no socket in %s; name one with --socket if it is elsewhere", dir)
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, none
	case err != nil:
		return nil, fmt.Errorf("look for roles: %w", err)
	}
	var paths []string
	for _, e := range entries {
		if e.Type()&fs.ModeSocket != 0 {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	if len(paths) == 0 {
		return nil, none
	}
	return paths, nil
}

// answer is what a role said.
type answer struct {
	socket string
	role   string
	body   json.RawMessage
}

// ask asks every socket. What did not answer is in the error.
func ask(ctx context.Context, sockets []string) (answers []answer, failed error) {
	var errs []error
	for _, socket := range sockets {
		ctx, cancel := context.WithTimeout(ctx, statusTimeout)
		var body json.RawMessage
		err := localapi.Get(ctx, socket, "/v1/status", &body)
		cancel()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		role := roleOf(body)
		if role == "" {
			errs = append(errs, fmt.Errorf("%s answers, but not as a role of this version does", socket))
			continue
		}
		answers = append(answers, answer{socket, role, body})
	}
	return answers, errors.Join(errs...)
}

// roleOf tells a role by what only its status has.
func roleOf(body json.RawMessage) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return ""
	}
	for _, s := range sections {
		if _, ok := fields[s.mark]; ok {
			return s.role
		}
	}
	return ""
}

// section shows one role's status.
type section struct {
	role, mark string
	render     func(w io.Writer, body json.RawMessage, now time.Time) error
}

// sections are the roles, in the order in which they are shown.
var sections = []section{
	{"controller", "pools", renderer(showController)},
	{"speaker", "sessions", renderer(showSpeaker)},
	{"proxy", "driver", renderer(showProxy)},
	{"switch", "neighbors", renderer(showSwitch)},
}

// renderer decodes a role's Status for the function that shows it.
func renderer[T any](show func(w io.Writer, status *T, now time.Time)) func(io.Writer, json.RawMessage, time.Time) error {
	return func(w io.Writer, body json.RawMessage, now time.Time) error {
		status := new(T)
		if err := json.Unmarshal(body, status); err != nil {
			return fmt.Errorf("status is of another version: %w", err)
		}
		show(w, status, now)
		return nil
	}
}

// show writes the answers: in tables, or as one JSON object by role.
func show(w io.Writer, answers []answer, output string, now time.Time) error {
	if output == "json" {
		all := map[string]json.RawMessage{}
		for _, a := range answers {
			key := a.role
			if _, twice := all[key]; twice {
				key = a.socket
			}
			all[key] = a.body
		}
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(all)
	}
	first := true
	for _, s := range sections {
		for _, a := range answers {
			if a.role != s.role {
				continue
			}
			if !first {
				fmt.Fprintln(w)
			}
			first = false
			if err := s.render(w, a.body, now); err != nil {
				return fmt.Errorf("%s: %w", a.socket, err)
			}
		}
	}
	return nil
}
