package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/internal/localapi"
	"github.com/pharoslb/pharos/speaker"
	"github.com/pharoslb/pharos/why"
)

// explainPath is where a role's socket tells why it does what it does about the
// Service named by the query's service.
const explainPath = "/v1/explain"

// explainer serves a role's reasons.
func explainer(explain func(pharos.Name) why.Trail) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Query().Get("service")
		localapi.JSON(func() why.Trail { return explain(serviceName(name)) }).ServeHTTP(w, r)
	})
}

// serviceName reads [NAMESPACE/]NAME as kubectl's default namespace has it.
func serviceName(text string) pharos.Name {
	namespace, name, ok := strings.Cut(text, "/")
	if !ok {
		namespace, name = "default", text
	}
	return pharos.Name{Namespace: namespace, Name: name}
}

func newExplain() *cobra.Command {
	var socket string
	cmd := &cobra.Command{
		Use:   "explain [NAMESPACE/]SERVICE",
		Short: "Tell why this node announces a Service, or why it does not, and how it is carried",
		Long: `Asks the speaker of this machine for every reason that led to what it does about
a Service, the deciding one last. The reasons come from the very decision. Where
the next thing to look at is elsewhere, a line says so. Without a NAMESPACE it is
default. Where the program is not installed on the node, the speaker's pod has it.
Where Pharos's proxy runs on the node, the path of connections to pods follows, or
that a kube-proxy beside it carries them.`,
		Example: "  pharos explain web\n  pharos explain shop/web\n  kubectl exec -n metallb-system speaker-2jdd7 -- /pharos explain shop/web",
		Args:    explainArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExplain(cmd.Context(), cmd.OutOrStdout(), socket, serviceName(args[0]))
		},
	}
	cmd.Flags().StringVar(&socket, "socket", socketDir+"/speaker.sock", "path of the speaker's socket")
	cmd.AddCommand(newExplainConnection())
	return cmd
}

// explainArgs takes one Service. Who gives more means a connection, and may have
// mistyped the word.
func explainArgs(cmd *cobra.Command, args []string) error {
	err := cobra.ExactArgs(1)(cmd, args)
	if len(args) > 1 {
		err = fmt.Errorf("%w; for a connection it is: %s", err, "pharos explain connection CLIENT:PORT ADDRESS:PORT")
	}
	return err
}

func runExplain(ctx context.Context, w io.Writer, socket string, name pharos.Name) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	var trail why.Trail
	if err := localapi.Get(ctx, socket, explainPath+"?service="+url.QueryEscape(name.String()), &trail); err != nil {
		return err
	}
	fmt.Fprintln(w, trail)
	if len(trail) == 0 {
		return nil
	}
	switch trail[len(trail)-1].Code {
	case why.NoIPAllocated:
		fmt.Fprintf(w, "hint: the controller's reason is among the events of: kubectl describe service -n %s %s\n", name.Namespace, name.Name)
	case why.NoEndpoints:
		fmt.Fprintf(w, "hint: compare the Service's selector with the pods that are Ready: kubectl get endpointslices -n %s -l kubernetes.io/service-name=%s\n", name.Namespace, name.Name)
	case why.DataPlaneAwaited, why.DataPlaneBehind:
		fmt.Fprintln(w, "hint: see what the node's proxy says: pharos status on the node, or kubectl get pods -n kube-system -l app=pharos-proxy -o wide, and the pod's log")
	case why.NodeAssigned:
		var st speaker.Status
		if err := localapi.Get(ctx, socket, "/v1/status", &st); err != nil {
			return err
		}
		unheard(w, st.Sessions)
	}
	return explainCarried(ctx, w, socket, name)
}

// unheard names the peers that can't have heard of what is announced.
func unheard(w io.Writer, sessions []speaker.Session) {
	for _, s := range sessions {
		if s.State == bgp.Established.String() {
			continue
		}
		if s.Reason.Code != why.OK && s.Reason.Code != why.SessionDown {
			fmt.Fprintln(w, because(why.New(s.Reason.Code, "%s is told nothing: %s", s.Peer, s.Reason)))
			continue
		}
		r := why.New(why.SessionDown, "%s at %s is told nothing, its session is %s", s.Peer, s.Endpoint(), s.State)
		if s.LastError != "" {
			r.Detail += ": " + s.LastError
		}
		fmt.Fprintln(w, because(r))
	}
}
