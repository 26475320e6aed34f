package metrics

import (
	"math"
	"net/http"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/controller"
	"github.com/pharoslb/pharos/ipam"
	"github.com/pharoslb/pharos/why"
)

func controllerStatus() controller.Status {
	name := func(n string) pharos.Name { return pharos.Name{Namespace: "default", Name: n} }
	a := netip.MustParseAddr
	return controller.Status{
		Synced: true, Updates: 9, UpdateErrors: 2,
		Config: controller.ConfigStatus{Loaded: true, Stale: true, Reason: why.Reason{Code: why.ConfigOrphans}},
		Pools: []ipam.Usage{
			{
				Pool: "default", Services: 2, IPv4: ipam.Count{Total: 254, Used: 2, Reserved: 3, Cooling: 1, Free: 248},
				IPv6: ipam.Count{Total: math.MaxInt64, Used: 1, Free: math.MaxInt64},
			},
			{Pool: "lan", IPv4: ipam.Count{Total: 8, Free: 8}},
		},
		Services: []controller.ServiceStatus{
			{Name: name("web"), Addresses: []netip.Addr{a("172.19.100.1"), a("fd01::1")}, Pool: "default", Written: true},
			{Name: name("dns"), Addresses: []netip.Addr{a("172.19.100.2")}, Pool: "default"},
			{Name: name("none"), Reason: why.Reason{Code: why.AllocationFailed}},
		},
		Waiting: 1,
		Writes:  controller.WriteStatus{Queued: 3, Written: 40, Failed: 1},
	}
}

func TestControllerScrape(t *testing.T) {
	s := New("v1.2.3")
	s.Controller(controllerStatus, well)
	code, body := get(t, s.Handler(), "/metrics")
	if code != http.StatusOK {
		t.Fatalf("status %d: %s", code, body)
	}
	golden(t, "controller.golden", product(body))

	want := []string{
		"counter metallb_k8s_client_update_errors_total",
		"counter metallb_k8s_client_updates_total",
		"gauge metallb_allocator_addresses_in_use_total pool",
		"gauge metallb_allocator_addresses_total pool",
		"gauge metallb_allocator_ipv4_addresses_in_use_total pool",
		"gauge metallb_allocator_ipv4_addresses_total pool",
		"gauge metallb_allocator_ipv6_addresses_in_use_total pool",
		"gauge metallb_allocator_ipv6_addresses_total pool",
		"gauge metallb_allocator_services_allocated_total pool",
		"gauge metallb_k8s_client_config_loaded_bool",
		"gauge metallb_k8s_client_config_stale_bool",
	}
	if diff := cmp.Diff(want, served(body)); diff != "" {
		t.Errorf("types, names and labels (-MetalLB +ours):\n%s", diff)
	}
}

// A standby knows nothing, and must not look like a controller without
// configuration.
func TestStandbyRaisesNoAlarm(t *testing.T) {
	s := New("v1.2.3")
	s.Controller(func() controller.Status { return controller.Status{Standby: "another has the lease"} }, well)
	_, body := get(t, s.Handler(), "/metrics")
	if got := served(body); len(got) > 0 {
		t.Errorf("a standby tells %v", got)
	}
}
