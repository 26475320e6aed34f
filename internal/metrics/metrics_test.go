package metrics

import (
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bgp"
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

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	return rec.Code, rec.Body.String()
}

// product drops what the runtime tells of itself from a scrape.
func product(scrape string) string {
	var lines []string
	for line := range strings.Lines(scrape) {
		if strings.Contains(line, "metallb_") || strings.Contains(line, "frrk8s_") || strings.Contains(line, "pharos_") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func speakerStatus() speaker.Status {
	name := func(n string) pharos.Name { return pharos.Name{Namespace: "default", Name: n} }
	a := netip.MustParseAddr
	return speaker.Status{
		Node: "cy01-net112", Synced: true, Updates: 7, UpdateErrors: 1,
		Config: speaker.ConfigStatus{Loaded: true, Stale: true, Reason: why.Reason{Code: why.ConfigInvalid}},
		Sessions: []speaker.Session{
			{Addr: netip.MustParseAddrPort("10.10.2.210:179"), State: bgp.Established.String(), Desired: 3, Advertised: 2, Pending: 1, Sent: bgp.Messages{Updates: 5, Keepalives: 100},
				BFD: &speaker.BFD{State: bfd.Up.String(), Ups: 2, Downs: 1, Sent: 1000, Received: 990, EchoesSent: 7, EchoesReceived: 6}},
			{Addr: netip.MustParseAddrPort("[fd00::210]:1179"), State: bgp.Active.String(), Desired: 3},
			{Peer: "tor2b", Addr: netip.MustParseAddrPort("[fd00::210]:1179"), State: bgp.Idle.String()},
		},
		Services: []speaker.ServiceStatus{
			{Name: name("web"), Addresses: []speaker.AddressStatus{
				{Addr: a("172.19.100.1"), Protocols: []pharos.Mode{pharos.BGP}, LastResort: true, Reason: why.Reason{Code: why.NodeAssigned}},
				{Addr: a("fd01::1"), Reason: why.Reason{Code: why.IPNotAllowed}}}},
			{Name: name("idle"), Addresses: []speaker.AddressStatus{{Addr: a("172.19.100.2"), Reason: why.Reason{Code: why.NoEndpoints}}}},
			{Name: name("lan"), Addresses: []speaker.AddressStatus{
				{Addr: a("192.0.2.7"), Protocols: []pharos.Mode{pharos.BGP, pharos.Layer2}, Reason: why.Reason{Code: why.NodeAssigned}},
				{Addr: a("192.0.2.8"), Owner: "cy01-net113", Reason: why.Reason{Code: why.NotOwner}}}},
			{Name: name("young"), Reason: why.Reason{Code: why.NoIPAllocated}},
		},
		Members:   speaker.MembershipStatus{Members: []speaker.Member{{Name: "cy01-net112"}, {Name: "cy01-net113"}}},
		DataPlane: &speaker.DataPlaneState{Gates: true},
		Layer2: &speaker.Layer2Status{Conflicts: 3, Addresses: []speaker.AnsweredStatus{
			{Addr: a("192.0.2.7"), Requests: 12, Responses: 11, Gratuitous: 10}}},
	}
}

func well() error { return nil }

func TestSpeakerScrape(t *testing.T) {
	s := New("v1.2.3")
	s.Speaker(speakerStatus, well)
	code, body := get(t, s.Handler(), "/metrics")
	if code != http.StatusOK {
		t.Fatalf("status %d: %s", code, body)
	}
	golden(t, "speaker.golden", product(body))
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes"} {
		if !strings.Contains(body, "\n"+name+" ") {
			t.Errorf("%s is missing", name)
		}
	}
}

// The names, types and labels that MetalLB's dashboards know, of its native mode
// first, then those that its FRR mode adds, and those of frr-k8s. In a VRF label vrf
// is added.
const metallb = `
gauge   metallb_bgp_session_up                    peer
counter metallb_bgp_updates_total                 peer
gauge   metallb_bgp_announced_prefixes_total      peer
gauge   metallb_bgp_pending_prefixes_total        peer
gauge   metallb_speaker_announced                 ip node protocol service
counter metallb_layer2_requests_received          ip
counter metallb_layer2_responses_sent             ip
counter metallb_layer2_gratuitous_sent            ip
counter metallb_k8s_client_updates_total
counter metallb_k8s_client_update_errors_total
gauge   metallb_k8s_client_config_loaded_bool
gauge   metallb_k8s_client_config_stale_bool

counter metallb_bgp_opens_sent                    peer
counter metallb_bgp_opens_received                peer
counter metallb_bgp_notifications_sent            peer
counter metallb_bgp_updates_total_received        peer
counter metallb_bgp_keepalives_sent               peer
counter metallb_bgp_keepalives_received           peer
counter metallb_bgp_route_refresh_sent            peer
counter metallb_bgp_total_sent                    peer
counter metallb_bgp_total_received                peer
gauge   metallb_bfd_session_up                    peer
counter metallb_bfd_control_packet_input          peer
counter metallb_bfd_control_packet_output         peer
counter metallb_bfd_echo_packet_input             peer
counter metallb_bfd_echo_packet_output            peer
counter metallb_bfd_session_up_events             peer
counter metallb_bfd_session_down_events           peer
counter metallb_bfd_zebra_notifications           peer

gauge   frrk8s_bgp_session_up                     peer
counter frrk8s_bgp_updates_total                  peer
gauge   frrk8s_bgp_announced_prefixes_total       peer
gauge   frrk8s_bgp_received_prefixes_total        peer
counter frrk8s_bgp_opens_sent                     peer
counter frrk8s_bgp_opens_received                 peer
counter frrk8s_bgp_notifications_sent             peer
counter frrk8s_bgp_updates_total_received         peer
counter frrk8s_bgp_keepalives_sent                peer
counter frrk8s_bgp_keepalives_received            peer
counter frrk8s_bgp_route_refresh_sent             peer
counter frrk8s_bgp_total_sent                     peer
counter frrk8s_bgp_total_received                 peer
gauge   frrk8s_bfd_session_up                     peer
counter frrk8s_bfd_control_packet_input           peer
counter frrk8s_bfd_control_packet_output          peer
counter frrk8s_bfd_echo_packet_input              peer
counter frrk8s_bfd_echo_packet_output             peer
counter frrk8s_bfd_session_up_events              peer
counter frrk8s_bfd_session_down_events            peer
counter frrk8s_bfd_zebra_notifications            peer
`

var (
	kind   = regexp.MustCompile(`(?m)^# TYPE ((?:metallb|frrk8s)_\w+) (\w+)$`)
	sample = regexp.MustCompile(`(?m)^((?:metallb|frrk8s)_\w+)(?:\{([^}]*)\})? `)
	label  = regexp.MustCompile(`(\w+)="`)
)

// served returns type, name and labels of what a scrape has, each once and sorted.
func served(scrape string) []string {
	kinds := map[string]string{}
	for _, m := range kind.FindAllStringSubmatch(scrape, -1) {
		kinds[m[1]] = m[2]
	}
	var found []string
	for _, m := range sample.FindAllStringSubmatch(scrape, -1) {
		line := []string{kinds[m[1]], m[1]}
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			line = append(line, l[1])
		}
		slices.Sort(line[2:])
		found = append(found, strings.Join(line, " "))
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func TestNamesAreMetalLBs(t *testing.T) {
	var want []string
	for line := range strings.Lines(metallb) {
		if fields := strings.Fields(line); len(fields) > 0 {
			want = append(want, strings.Join(fields, " "))
			if len(fields) == 3 && fields[2] == "peer" {
				want = append(want, strings.Join(fields, " ")+" vrf")
			}
		}
	}
	slices.Sort(want)
	s := New("v1.2.3")
	s.Speaker(func() speaker.Status {
		st := speakerStatus()
		st.Sessions = append(st.Sessions, speaker.Session{Peer: "red", Addr: netip.MustParseAddrPort("10.10.2.210:179"), VRF: "red", BFD: &speaker.BFD{}})
		return st
	}, well)
	code, body := get(t, s.Handler(), "/metrics")
	if code != http.StatusOK {
		t.Fatalf("status %d: %s", code, body)
	}
	if diff := cmp.Diff(want, served(body)); diff != "" {
		t.Errorf("types, names and labels (-MetalLB +ours):\n%s", diff)
	}
	for _, want := range []string{
		`metallb_bgp_session_up{peer="10.10.2.210:179"} 1`, `metallb_bgp_session_up{peer="10.10.2.210:179",vrf="red"} 0`,
		`frrk8s_bgp_session_up{peer="10.10.2.210",vrf="red"} 0`, `metallb_bfd_session_up{peer="10.10.2.210",vrf="red"} 0`,
	} {
		if !strings.Contains(body, "\n"+want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}

// Every configured peer has its metric, whatever its session is short of.
func TestEveryPeerHasItsSession(t *testing.T) {
	s := New("v1.2.3")
	s.Speaker(func() speaker.Status {
		return speaker.Status{Sessions: []speaker.Session{
			{Peer: "refused", Addr: netip.MustParseAddrPort("10.10.2.211:179"), State: "Idle", Reason: why.Reason{Code: why.SecretMissing}},
			{Peer: "link", Interface: "eth1", Addr: netip.AddrPortFrom(netip.Addr{}, 179), State: "Idle"},
			{Peer: "nowhere", State: "Idle", Reason: why.Reason{Code: why.ConfigInvalid}},
		}}
	}, well)
	_, body := get(t, s.Handler(), "/metrics")
	for _, peer := range []string{"10.10.2.211:179", "eth1:179", "nowhere"} {
		if want := `metallb_bgp_session_up{peer="` + peer + `"} 0`; !strings.Contains(body, "\n"+want+"\n") {
			t.Errorf("no %s in\n%s", want, product(body))
		}
	}
}

func TestHealth(t *testing.T) {
	s := New("v1.2.3")
	sick := errors.New("the cluster is not yet known in full")
	s.Speaker(speakerStatus, func() error { return sick })
	for path, want := range map[string]int{"/livez": 200, "/healthz": 200, "/readyz": 503, "/": 404} {
		if code, _ := get(t, s.Handler(), path); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
	sick = nil
	if code, _ := get(t, s.Handler(), "/readyz"); code != 200 {
		t.Errorf("/readyz: %d once synced", code)
	}
}

func TestServe(t *testing.T) {
	taken, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(taken.Addr().(*net.TCPAddr).Port)
	s := New("v1.2.3")
	if err := s.Serve(t.Context(), port); err == nil {
		t.Error("a taken port is no error")
	}
	taken.Close()

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, port) }()
	deadline := time.After(time.Minute)
	var body string
	for body == "" {
		resp, err := http.Get("http://" + taken.Addr().(*net.TCPAddr).AddrPort().String() + "/metrics")
		if err == nil {
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			body = string(b)
			break
		}
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatal(err)
		}
	}
	if !strings.Contains(body, `pharos_build_info{version="v1.2.3"} 1`) {
		t.Errorf("served:\n%s", body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
