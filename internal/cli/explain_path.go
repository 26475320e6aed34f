package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/internal/localapi"
	"github.com/pharoslb/pharos/proxy"
)

// servicePath is where a proxy's socket tells what its data plane does for the
// Service named by the query's service.
const servicePath = "/v1/service"

// serviceHandler serves what a data plane does for one Service; its name is empty
// where that is nothing.
func serviceHandler(service func(pharos.Name) (proxy.Service, bool)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := serviceName(r.URL.Query().Get("service"))
		localapi.JSON(func() proxy.Service {
			if s, ok := service(name); ok {
				return s
			}
			return proxy.Service{}
		}).ServeHTTP(w, r)
	})
}

// explainCarried tells how connections to a Service get to its pods, where a proxy
// runs beside the speaker whose socket is given.
func explainCarried(ctx context.Context, w io.Writer, speaker string, name pharos.Name) error {
	socket := filepath.Join(filepath.Dir(speaker), "proxy.sock")
	if _, err := os.Stat(socket); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var s proxy.Service
	if err := localapi.Get(ctx, socket, servicePath+"?service="+url.QueryEscape(name.String()), &s); err != nil {
		return err
	}
	if s.Name == name {
		showCarried(w, &s)
	}
	return nil
}

// showCarried renders how connections are carried, after what could not be done as
// asked for, and their path, from the node that they reach to the pod.
func showCarried(w io.Writer, s *proxy.Service) {
	for _, p := range s.Problems {
		fmt.Fprintln(w, because(p))
	}
	fmt.Fprintln(w, because(s.Mode))
	for _, f := range s.Frontends {
		if f.Kind == dataplane.ClusterIP || f.Kind == dataplane.NodePort {
			continue
		}
		fmt.Fprintf(w, "path: %s: %s\n", dataplane.Target{Addr: f.Addr, Protocol: f.Protocol, Port: f.Port}, pathOf(s, &f))
	}
	for i := range s.Tables {
		owners(&s.Tables[i]).write(w)
	}
}

func pathOf(s *proxy.Service, f *proxy.Frontend) string {
	switch {
	case f.Table > 0:
		t := &s.Tables[f.Table-1]
		return fmt.Sprintf("any node → the owner's node, by the connection's slot in table %s → its pod, which sees the client's address; the answer goes straight to the client", t.Generation)
	case f.Action != dataplane.Accept:
		return fmt.Sprintf("no endpoint here: %s", f.Action)
	case f.Masquerade == dataplane.MasqueradeEverybody:
		return fmt.Sprintf("the node that a connection reaches translates it → one of %d endpoints, by chance, which sees that node's address; the answer goes back by that node", len(f.Backends))
	}
	return fmt.Sprintf("this node → one of its %d endpoints, by chance, which sees the client's address", len(f.Backends))
}

// owners is a table of who owns how many slots.
func owners(t *proxy.Table) table {
	rows := table{{"OWNER", "NODE", fmt.Sprintf("SLOTS OF %d", t.Slots), "SECOND CHANCES", ""}}
	for _, o := range t.Owners {
		rows.row(o.Addr, o.Node, o.Current, o.Previous, ownerNote(&o.Owner))
	}
	return rows
}

// ownerNote tells what is special about an owner.
func ownerNote(o *dataplane.Owner) string {
	var notes []string
	switch {
	case o.Unready:
		notes = append(notes, "is not ready: no new connections")
	case o.Draining:
		notes = append(notes, "drains: no new connections")
	}
	if o.Dead {
		notes = append(notes, "its node is not ready: no second chances")
	}
	return cmp.Or(strings.Join(notes, "; "), " ")
}
