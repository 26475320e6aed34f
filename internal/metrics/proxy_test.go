package metrics

import (
	"errors"
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
	s := New("v1.2.3")
	s.Proxy(func() proxy.Summary {
		return proxy.Summary{
			Ready: true, Services: 3, Mode: pharos.Direct,
			Driver:  dataplane.DriverStatus{Driver: "nft", Applied: 5, Added: 120, Removed: 20, Repaired: 1, Failed: 2, Flushed: 4, LastDuration: 1500 * time.Microsecond},
			Sysctls: []proxy.Sysctl{{}, {Reason: why.New(why.SysctlWrong, "x")}},
		}
	}, func() error { return unhealthy })
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
