package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/internal/localapi"
)

// tracePath is where a proxy's socket tells the way of the connection that the
// query names: client, target and protocol.
const tracePath = "/v1/trace"

// tracer serves the ways of connections.
func tracer(trace func(dataplane.Packet) dataplane.Trace) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		p, err := parseConnection(q.Get("client"), q.Get("target"), q.Get("protocol"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		localapi.JSON(func() dataplane.Trace { return trace(p) }).ServeHTTP(w, r)
	})
}

// parseConnection reads a connection's ends.
func parseConnection(client, target, protocol string) (dataplane.Packet, error) {
	var p dataplane.Packet
	from, err := netip.ParseAddrPort(client)
	if err != nil {
		return p, fmt.Errorf("the client's end: %w; it is written as 192.0.2.7:40000 or [2001:db8::7]:40000", err)
	}
	to, err := netip.ParseAddrPort(target)
	if err != nil {
		return p, fmt.Errorf("the Service's end: %w; it is written as 192.0.2.1:80 or [2001:db8::1]:80", err)
	}
	p = dataplane.Packet{Src: from.Addr().Unmap(), SrcPort: from.Port(), Dst: netip.AddrPortFrom(to.Addr().Unmap(), to.Port())}
	if p.Src.Is4() != p.Dst.Addr().Is4() {
		return p, fmt.Errorf("%s and %s are of different families", client, target)
	}
	switch p.Protocol = pharos.Protocol(strings.ToUpper(protocol)); p.Protocol {
	case pharos.TCP, pharos.UDP, pharos.SCTP:
		return p, nil
	}
	return p, fmt.Errorf("protocol %q is none of TCP, UDP and SCTP", protocol)
}

func newExplainConnection() *cobra.Command {
	var socket, protocol string
	cmd := &cobra.Command{
		Use:   "connection CLIENT:PORT ADDRESS:PORT",
		Short: "Tell which pod a connection goes to, and by which nodes",
		Long: `Asks the proxy of this machine what becomes of a client's connection to a Service
whose packets reach this node: its slot in the Service's table, the slot's owners,
and the way of a packet that begins it, or that no node remembers a connection of.
The answer comes from the very functions that fill the kernel's tables.`,
		Example: "  pharos explain connection 192.0.2.7:40000 172.19.100.1:80\n  kubectl exec -n kube-system pharos-proxy-2jdd7 -- /pharos explain connection --protocol udp '[2001:db8::7]:5353' '[2001:db8::1]:53'",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := parseConnection(args[0], args[1], protocol)
			if err != nil {
				return err
			}
			return explainConnection(cmd.Context(), cmd.OutOrStdout(), socket, p)
		},
	}
	cmd.Flags().StringVar(&socket, "socket", socketDir+"/proxy.sock", "path of the proxy's socket")
	cmd.Flags().StringVar(&protocol, "protocol", "tcp", "tcp, udp or sctp")
	return cmd
}

func explainConnection(ctx context.Context, w io.Writer, socket string, p dataplane.Packet) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	query := url.Values{"client": {netip.AddrPortFrom(p.Src, p.SrcPort).String()}, "target": {p.Dst.String()}, "protocol": {string(p.Protocol)}}
	var t dataplane.Trace
	if err := localapi.Get(ctx, socket, tracePath+"?"+query.Encode(), &t); err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			return fmt.Errorf("no proxy of Pharos answers at %s: ask in the pod of one, as in kubectl exec -n kube-system daemonset/pharos-proxy -- /pharos explain connection …, or name its socket by --socket; where none runs, kube-proxy carries connections, and Pharos knows nothing of them", socket)
		}
		return err
	}
	showTrace(w, p, &t)
	return nil
}

func showTrace(w io.Writer, p dataplane.Packet, t *dataplane.Trace) {
	target := dataplane.Target{Addr: p.Dst.Addr(), Protocol: p.Protocol, Port: p.Dst.Port()}
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "%-16s%s\n", what, fmt.Sprintf(format, args...))
	}
	switch {
	case t.Service == (pharos.Name{}):
		line("service:", "none that this proxy carries is at %s; a packet is %s", target, outcome(&t.First))
		return
	case !t.Source:
		line("service:", "%s, whose loadBalancerSourceRanges don't admit %s: %s", t.Service, p.Src, outcome(&t.First))
		return
	case !t.Direct:
		line("service:", "%s at %s (%s), in mode nat", t.Service, target, t.Kind)
		line("new:", "%s; this node remembers it, and another one would not", way(&t.First))
		return
	}
	line("service:", "%s at %s (%s), in mode direct", t.Service, target, t.Kind)
	line("slot:", "%d of %d, in table %016x", t.Slot, t.Slots, t.Generation)
	line("owner:", "%s", ownerOf(t.Current, "nobody: no endpoint can serve"))
	line("previous owner:", "%s", ownerOf(t.Previous, "nobody"))
	line("new:", "%s", way(&t.First))
	line("unknown:", "%s", way(&t.Later))
}

func ownerOf(o *dataplane.Owner, none string) string {
	if o == nil {
		return none
	}
	text := fmt.Sprintf("%s on %s", o.Addr, o.Node)
	if note := ownerNote(o); note != " " {
		text += ", which " + note
	}
	return text
}

// way tells where a packet goes, from node to node.
func way(w *dataplane.Way) string {
	text := strings.Join(w.Nodes, " → ")
	if w.SecondChance {
		text += " (a second chance)"
	}
	return text + " → " + outcome(w)
}

// outcome tells what becomes of a packet in the end.
func outcome(w *dataplane.Way) string {
	switch w.Action {
	case dataplane.Accept:
		var pods []string
		for _, b := range w.Backends {
			pods = append(pods, b.Addr.String())
		}
		text := strings.Join(pods, " or ")
		if len(pods) > 1 {
			text = "one of " + strings.Join(pods, ", ")
		}
		if w.Masquerade {
			text += ", which sees the node's address"
		}
		return text
	case dataplane.Reject:
		return "refused, by a TCP reset or ICMP"
	case dataplane.Drop:
		return "dropped"
	}
	return "left to the node's routes, and to a kube-proxy beside"
}
