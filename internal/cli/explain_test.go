package cli

import (
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/internal/localapi"
	"github.com/pharoslb/pharos/proxy"
	"github.com/pharoslb/pharos/speaker"
	"github.com/pharoslb/pharos/why"
)

func TestExplain(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "speaker.sock")
	mux := http.NewServeMux()
	mux.Handle(explainPath, explainer(func(name pharos.Name) why.Trail {
		return why.Trail{why.New(why.OK, "address 172.19.100.1 is in pool %q", "a"), why.New(why.NoEndpoints, "none of 2 endpoints of %s can serve", name)}
	}))
	serveSocket(t, socket, mux)
	for arg, name := range map[string]string{"web": "default/web", "shop/web": "shop/web"} {
		out, err := run(t, "explain", "--socket", socket, arg)
		want := "ok: address 172.19.100.1 is in pool \"a\"\nnoEndpoints: none of 2 endpoints of " + name + " can serve\nhint: compare"
		if err != nil || !strings.HasPrefix(out, want) {
			t.Errorf("%s: %v\n%s", arg, err, out)
		}
	}
}

func TestExplainSaysWhereToLookNext(t *testing.T) {
	for _, row := range []struct {
		last why.Reason
		want []string
	}{
		{why.New(why.NoIPAllocated, "no address yet"), []string{"hint: ", "kubectl describe service -n shop web"}},
		{why.New(why.NoEndpoints, "there are no endpoints"), []string{"hint: ", "kubectl get endpointslices -n shop "}},
		{why.New(why.DataPlaneAwaited, "not heard"), []string{"hint: ", "-l app=pharos-proxy"}},
		{why.New(why.NodeAssigned, "announcing"), []string{"sessionDown: down at 10.10.2.99:179 is told nothing, its session is Connect: connect failed"}},
	} {
		socket := filepath.Join(t.TempDir(), "speaker.sock")
		mux := http.NewServeMux()
		mux.Handle(explainPath, explainer(func(pharos.Name) why.Trail { return why.Trail{row.last} }))
		mux.Handle("/v1/status", localapi.JSON(func() any {
			return speaker.Status{Sessions: []speaker.Session{
				{Peer: "up", Addr: netip.MustParseAddrPort("10.10.2.210:179"), State: bgp.Established.String()},
				{Peer: "down", Addr: netip.MustParseAddrPort("10.10.2.99:179"), State: bgp.Connect.String(), LastError: "connect failed"},
			}}
		}))
		serveSocket(t, socket, mux)
		out, err := run(t, "explain", "--socket", socket, "shop/web")
		if err != nil || strings.Contains(out, "10.10.2.210") {
			t.Errorf("%s: %v\n%s", row.last.Code, err, out)
		}
		for _, want := range row.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", row.last.Code, want, out)
			}
		}
	}
}

// Where the proxy runs on the node, it tells the way to the pods.
func TestExplainTellsHowConnectionsAreCarried(t *testing.T) {
	dir := t.TempDir()
	speakers, proxies := http.NewServeMux(), http.NewServeMux()
	speakers.Handle(explainPath, explainer(func(pharos.Name) why.Trail { return why.Trail{why.New(why.NotOwner, "n2 announces it")} }))
	serveSocket(t, filepath.Join(dir, "speaker.sock"), speakers)
	at := netip.MustParseAddrPort("172.19.100.1:80")
	carried := proxy.Service{
		Name: pharos.Name{Namespace: "default", Name: "web"}, Mode: why.New(why.DataPlaneMode, "direct, the proxy's default"),
		Problems: why.Trail{why.New(why.DataPlaneModeInvalid, "\"dsr\" is neither nat nor direct")},
		Frontends: []proxy.Frontend{
			{Addr: netip.MustParseAddr("10.96.0.1"), Port: 80, Protocol: pharos.TCP, Kind: dataplane.ClusterIP},
			{Addr: at.Addr(), Port: 80, Protocol: pharos.TCP, Kind: dataplane.LoadBalancer, Table: 1},
		},
		Tables: []proxy.Table{{Generation: "00c0ffee00c0ffee", Slots: 512, Owners: []proxy.Owner{
			{Owner: dataplane.Owner{Addr: netip.MustParseAddrPort("10.244.0.2:8080"), Node: "n1"}, Current: 512},
			{Owner: dataplane.Owner{Addr: netip.MustParseAddrPort("10.244.1.2:8080"), Node: "n2", Draining: true}, Previous: 512},
		}}},
	}
	proxies.Handle(servicePath, serviceHandler(func(name pharos.Name) (proxy.Service, bool) { return carried, name == carried.Name }))
	serveSocket(t, filepath.Join(dir, "proxy.sock"), proxies)
	out, err := run(t, "explain", "--socket", filepath.Join(dir, "speaker.sock"), "web")
	want := `notOwner: n2 announces it
dataPlaneModeInvalid: "dsr" is neither nat nor direct
dataPlaneMode: direct, the proxy's default
path: 172.19.100.1:80/TCP: any node → the owner's node, by the connection's slot in table 00c0ffee00c0ffee → its pod, which sees the client's address; the answer goes straight to the client

OWNER            NODE  SLOTS OF 512  SECOND CHANCES
10.244.0.2:8080  n1    512           0
10.244.1.2:8080  n2    0             512             drains: no new connections
`
	if err != nil || out != want {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := run(t, "explain", "--socket", filepath.Join(dir, "speaker.sock"), "other"); err != nil || out != "notOwner: n2 announces it\n" {
		t.Errorf("%v\n%s", err, out)
	}
}
