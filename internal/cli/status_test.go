package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/controller"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/internal/localapi"
	"github.com/pharoslb/pharos/ipam"
	"github.com/pharoslb/pharos/proxy"
	"github.com/pharoslb/pharos/rib"
	"github.com/pharoslb/pharos/router"
	"github.com/pharoslb/pharos/speaker"
	"github.com/pharoslb/pharos/why"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) time.Time { return testNow.Add(-d) }

// statuses are what the roles of one busy machine could answer.
func statuses() map[string]any {
	ip, ap := netip.MustParseAddr, netip.MustParseAddrPort
	name := func(n string) pharos.Name { return pharos.Name{Namespace: "default", Name: n} }
	return map[string]any{
		"controller": controller.Status{
			Synced: true, API: why.New(why.APIUnreachable, "services: connection refused"),
			Config: controller.ConfigStatus{Loaded: true},
			Pools:  []ipam.Usage{{Pool: "default", Services: 2, IPv4: ipam.Count{Total: 254, Used: 2, Free: 252}}},
			Services: []controller.ServiceStatus{
				{Name: name("ng-svc"), Addresses: []netip.Addr{ip("172.19.100.1")}, Pool: "default", Reason: why.New(why.IPAllocated, "assigned 172.19.100.1 from pool default"), Written: true},
				{Name: name("next"), Addresses: []netip.Addr{ip("172.19.100.2")}, Pool: "default", Reason: why.New(why.IPAllocated, "assigned 172.19.100.2 from pool default")},
				{Name: name("young"), Reason: why.New(why.AllocationFailed, "there is no pool \"lan\"")},
			},
			Waiting: 1,
		},
		"speaker": speaker.Status{
			Node: "cy01-net112", Synced: true, Revision: 42,
			Config: speaker.ConfigStatus{Loaded: true, Stale: true, Reason: why.New(why.ConfigInvalid, "line 3: my-asn is missing")},
			Sessions: []speaker.Session{
				{Peer: "peer1", Addr: ap("10.10.2.210:179"), RemoteAS: 65210, State: bgp.Established.String(), Since: before(41 * time.Second), Advertised: 2, BFD: &speaker.BFD{State: bfd.Up.String(), DetectionTime: 150 * time.Millisecond}},
				{Peer: "peer2", Addr: ap("[fd00::210]:179"), RemoteAS: 65210, State: bgp.Active.String(), Since: before(26 * time.Hour), Desired: 2, LastError: "connect failed: connection refused"},
			},
			Services: []speaker.ServiceStatus{
				{Name: name("idle"), Reason: why.New(why.NoEndpoints, "none of 2 endpoints can serve"), Addresses: []speaker.AddressStatus{
					{Addr: ip("172.19.100.2"), Pool: "default", Reason: why.New(why.NoEndpoints, "none of 2 endpoints can serve")}}},
				{Name: name("ng-svc"), Reason: why.Reason{Code: why.NodeAssigned}, Addresses: []speaker.AddressStatus{
					{Addr: ip("172.19.100.1"), Pool: "default", Protocols: []pharos.Mode{pharos.BGP}, Prefixes: []netip.Prefix{netip.MustParsePrefix("172.19.100.0/26"), netip.MustParsePrefix("172.19.100.1/32")}, Reason: why.Reason{Code: why.NodeAssigned}},
					{Addr: ip("fd01::1"), Reason: why.New(why.IPNotAllowed, "address fd01::1 is in no pool")}}},
				{Name: name("lan"), Reason: why.Reason{Code: why.NodeAssigned}, Addresses: []speaker.AddressStatus{
					{Addr: ip("192.0.2.7"), Pool: "lan", Protocols: []pharos.Mode{pharos.BGP, pharos.Layer2}, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")}, Owner: "cy01-net112", Interfaces: []string{"eth0", "eth1"}},
					{Addr: ip("192.0.2.8"), Pool: "lan", Owner: "cy01-net113", Reason: why.New(why.NotOwner, "node cy01-net113 announces 192.0.2.8")}}},
				{Name: name("young"), Reason: why.Reason{Code: why.NoIPAllocated}},
			},
			Layer2: &speaker.Layer2Status{Links: []speaker.LinkStatus{{Name: "eth0", IPv4: "usable", IPv6: "usable"}, {Name: "lo", IPv4: "not Ethernet", IPv6: "not Ethernet"}},
				Addresses: []speaker.AnsweredStatus{{Addr: ip("192.0.2.7")}}, Conflicts: 2},
			Members: speaker.MembershipStatus{Members: []speaker.Member{{Name: "cy01-net112"}, {Name: "cy01-net113"}}},
		},
		"proxy": proxy.Status{
			Node: "cy01-net112", Synced: true, Since: before(90 * time.Second), Problem: why.New(why.APIUnreachable, "no answer"),
			Driver: dataplane.DriverStatus{Driver: "nft", Repaired: 2}, Mode: pharos.NAT, Beside: true,
			Chosen: why.Trail{why.New(why.DriverUnavailable, "ebpf can't run here: the kernel lacks tc"), why.New(why.DriverChosen, "nft, which this node's kernel can run")},
			Services: []proxy.Service{{Name: name("ng-svc"), Frontends: []proxy.Frontend{
				{Addr: ip("10.233.58.33"), Port: 80, Protocol: pharos.TCP, Kind: dataplane.ClusterIP, Action: dataplane.Accept,
					Backends: []proxy.Backend{{Addr: ap("10.233.93.2:80")}, {Addr: ap("10.233.64.2:80")}, {Addr: ap("10.233.64.3:80")}, {Addr: ap("10.233.64.4:80")}, {Addr: ap("10.233.64.5:80")}, {Addr: ap("10.233.64.6:80")}}},
				{Addr: ip("172.19.100.1"), Port: 80, Protocol: pharos.TCP, Kind: dataplane.LoadBalancer, Action: dataplane.Accept, Table: 1, Backends: []proxy.Backend{{Addr: ap("10.233.93.2:80")}}},
				{Addr: ip("0.0.0.0"), Port: 31265, Protocol: pharos.TCP, Kind: dataplane.NodePort, Action: dataplane.Reject},
			}, Tables: []proxy.Table{{Generation: "00c0ffee00c0ffee", Slots: 512, Owners: []proxy.Owner{
				{Owner: dataplane.Owner{Addr: ap("10.233.93.2:80"), Node: "cy01-net112"}, Current: 260, Previous: 252},
				{Owner: dataplane.Owner{Addr: ap("10.233.64.2:80"), Node: "cy01-net114"}, Current: 252, Previous: 260},
			}}}}},
		},
		"switch": switchStatus{BFD: []bfdSession{{Neighbor: "10.10.2.112", State: "Up"}}, Status: router.Status{
			AS: 65210, RouterID: ip("1.1.1.1"), KernelRoutes: 1, IPv4: rib.Summary{Networks: 1, Paths: 3},
			Neighbors: []router.NeighborStatus{
				{Name: "10.10.2.112", Addr: ip("10.10.2.112"), AS: 65211, State: bgp.Established.String(), Since: before(30 * time.Second), Paths: 1},
				{Name: "10.10.2.113", Addr: ip("10.10.2.113"), AS: 65211, State: bgp.Idle.String(), Since: before(3 * time.Minute), LastError: "hold timer expired"},
				{Name: "10.10.2.114", Addr: ip("10.10.2.114"), AS: 65211, State: bgp.Idle.String(), Shutdown: true},
				{Name: "10.10.2.115", Addr: ip("10.10.2.115"), AS: 65211, State: bgp.Idle.String(), Tripped: true},
				{Name: "Ethernet1-3", State: bgp.Idle.String()}, // nobody found there yet
			},
		}},
	}
}

// answersOf encodes statuses as the roles would.
func answersOf(t *testing.T) (answers []answer) {
	t.Helper()
	for _, role := range []string{"switch", "speaker", "proxy", "controller"} {
		body, err := json.Marshal(statuses()[role])
		if err != nil {
			t.Fatal(err)
		}
		if got := roleOf(body); got != role {
			t.Errorf("%s is taken for %q", role, got)
		}
		answers = append(answers, answer{socket: role + ".sock", role: role, body: body})
	}
	return answers
}

func TestStatusTables(t *testing.T) {
	var out bytes.Buffer
	if err := show(&out, answersOf(t), "table", testNow); err != nil {
		t.Fatal(err)
	}
	golden(t, "status.golden", out.String())
}

func TestStatusTableBeforeAnythingIsKnown(t *testing.T) {
	var out bytes.Buffer
	st := speaker.Status{Node: "n1", Config: speaker.ConfigStatus{Reason: why.Reason{Code: why.ConfigMissing}},
		Members: speaker.MembershipStatus{Reason: why.New(why.SecretMissing, "there is no secret")}}
	body, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	if err := show(&out, []answer{{"s", "speaker", body}}, "table", testNow); err != nil {
		t.Fatal(err)
	}
	golden(t, "status-empty.golden", out.String())
}

func TestErrorsOfAConfigurationLineUp(t *testing.T) {
	reason := why.New(why.ConfigInvalid, "line 2: one\nline 3: another")
	want := "in force, with the last good version of what is wrong: line 2: one\n" + strings.Repeat(" ", len("  Configuration:  ")) + "line 3: another"
	if got := inForce(true, true, reason); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestStatusJSON(t *testing.T) {
	answers := answersOf(t)
	answers = append(answers, answer{"/tmp/other.sock", "switch", answers[0].body})
	var out bytes.Buffer
	if err := show(&out, answers, "json", testNow); err != nil {
		t.Fatal(err)
	}
	var all map[string]map[string]any
	if err := json.Unmarshal(out.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	if all["speaker"]["node"] != "cy01-net112" || all["switch"]["as"] != 65210.0 || all["/tmp/other.sock"] == nil || len(all) != 5 {
		t.Errorf("got\n%s", out.String())
	}
}

// run runs the command line and returns what it printed.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := New()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

// serveSocket serves a local API until the test ends, and returns when it
// answers.
func serveSocket(t *testing.T, socket string, handler http.Handler) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- localapi.Serve(ctx, socket, handler) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	deadline := time.After(time.Minute)
	for {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatal(err)
		}
	}
}

func TestStatusAsksSockets(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "speaker.sock")
	mux := http.NewServeMux()
	mux.Handle("/v1/status", localapi.JSON(func() any { return statuses()["speaker"] }))
	serveSocket(t, socket, mux)
	if paths, err := found(dir); err != nil || len(paths) != 1 || paths[0] != socket {
		t.Errorf("found %v, %v", paths, err)
	}

	out, err := run(t, "status", "--socket", socket)
	if err != nil || !strings.HasPrefix(out, "Speaker on cy01-net112\n") {
		t.Errorf("%v:\n%s", err, out)
	}
	// One that does not answer is told of after those that do.
	out, err = run(t, "status", "--socket", socket, "--socket", filepath.Join(dir, "dead.sock"), "-o", "json")
	if err == nil || !strings.Contains(err.Error(), "dead.sock") || !strings.Contains(err.Error(), "is the process running") || !strings.Contains(out, `"speaker"`) {
		t.Errorf("%v:\n%s", err, out)
	}
	if _, err := run(t, "status", "--socket", socket, "-o", "yaml"); err == nil || !strings.Contains(err.Error(), "neither table nor json") {
		t.Errorf("-o yaml: %v", err)
	}
}

func TestNoRoleRuns(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		if _, err := found(dir); err == nil || !strings.Contains(err.Error(), "no role runs on this machine") || !strings.Contains(err.Error(), "--socket") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func TestAnswerOfAStranger(t *testing.T) {
	if role := roleOf([]byte(`{"hello":"world"}`)); role != "" {
		t.Errorf("taken for %q", role)
	}
	if role := roleOf([]byte(`[]`)); role != "" {
		t.Errorf("taken for %q", role)
	}
}
