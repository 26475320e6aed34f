package metrics

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/proxy"
	"github.com/pharoslb/pharos/why"
)

func TestProxy(t *testing.T) {
	var unhealthy error
	var measured proxy.Carried
	s := New("v1.2.3")
	s.Proxy(func() proxy.Summary {
		return proxy.Summary{
			Ready: true, Services: 3, Mode: pharos.Direct,
			Driver:  dataplane.DriverStatus{Driver: "nft", Applied: 5, Added: 120, Removed: 20, Repaired: 1, Failed: 2, Flushed: 4, LastDuration: 1500 * time.Microsecond},
			Sysctls: []proxy.Sysctl{{}, {Reason: why.New(why.SysctlWrong, "x")}},
		}
	}, func() proxy.Carried { return measured }, func() error { return unhealthy })
	web := pharos.Name{Namespace: "default", Name: "web"}
	measured = proxy.Carried{
		Traffic: []dataplane.Traffic{{Service: web, Packets: 1, Bytes: 60, Connections: 1}, {Service: web, Packets: 2, Bytes: 120}},
		Events:  &dataplane.Events{Forwarded: 7, SecondChance: 1},
	}
	_, scrape := get(t, s.Handler(), "/metrics")
	golden(t, "proxy.golden", product(scrape))
	if code, _ := get(t, s.Handler(), "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz answers %d", code)
	}
	unhealthy = errors.New("the kernel refuses")
	if code, body := get(t, s.Handler(), "/readyz"); code != http.StatusServiceUnavailable || body != "the kernel refuses\n" {
		t.Errorf("/readyz answers %d %q", code, body)
	}
	if code, _ := get(t, s.Handler(), "/livez"); code != http.StatusOK {
		t.Errorf("/livez answers %d: a restart would not help", code)
	}
}

// Ten thousand Services don't make ten thousand series.
func TestServicesMeasuredAreBounded(t *testing.T) {
	var all []dataplane.Traffic
	for i := range mostMeasured + 7 {
		for range 2 {
			all = append(all, dataplane.Traffic{Service: pharos.Name{Namespace: "default", Name: fmt.Sprintf("s%05d", i)}, Packets: 1})
		}
	}
	services, left := byService(all)
	if len(services) != mostMeasured || left != 7 || services[0].Packets != 2 || services[mostMeasured-1].Packets != 2 {
		t.Errorf("%d Services of %d packets, and %d more", len(services), services[0].Packets, left)
	}
}
