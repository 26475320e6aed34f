package proxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/proxy"
	"github.com/pharoslb/pharos/why"
)

// source is a cluster in memory.
type source struct {
	mu      sync.Mutex
	now     *pharos.Snapshot
	changed chan struct{}
}

func newSource() *source {
	return &source{now: &pharos.Snapshot{}, changed: make(chan struct{}, 1)}
}

func (s *source) Changed() <-chan struct{} { return s.changed }

func (s *source) Snapshot() *pharos.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *source) set(change func(*pharos.Snapshot)) {
	s.mu.Lock()
	next := *s.now
	change(&next)
	next.Revision++
	s.now = &next
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// driver is the model, for many goroutines, and with errors on demand.
type driver struct {
	mu       sync.Mutex
	model    *dataplane.Model
	fail     error
	calls    []time.Time
	verified int
	stray    bool // Verify finds something
}

func newDriver() *driver { return &driver{model: dataplane.NewModel(1)} }

func (d *driver) Name() string { return "model" }

func (d *driver) Apply(ctx context.Context, s *dataplane.State) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, time.Now())
	if d.fail != nil {
		return d.fail
	}
	return d.model.Apply(ctx, s)
}

func (d *driver) Verify(context.Context) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.verified++
	return d.stray, nil
}

func (d *driver) Remove(context.Context) error { panic("the role must leave the kernel as it is") }

func (d *driver) Status() dataplane.DriverStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.model.Status()
}

func (d *driver) where(p dataplane.Packet) dataplane.Answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.model.Where(p)
}

// kernel is a set of sysctls; one that it lacks does not exist.
type kernel struct {
	mu     sync.Mutex
	values map[string]string
	fixed  bool // refuses changes
}

func (k *kernel) Sysctl(key string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	v, ok := k.values[key]
	if !ok {
		return "", fmt.Errorf("read %s: %w", key, fs.ErrNotExist)
	}
	return v, nil
}

func (k *kernel) SetSysctl(key, value string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fixed {
		return fmt.Errorf("set %s: %w", key, fs.ErrPermission)
	}
	k.values[key] = value
	return nil
}

// Names lists the devices that have a value with slashes in its key.
func (k *kernel) Names(below string) ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	names := []string{"all", "default", "lo"}
	for key := range k.values {
		if rest, ok := strings.CutPrefix(key, strings.ReplaceAll(below, ".", "/")+"/"); ok {
			names = append(names, path.Dir(rest))
		}
	}
	return names, nil
}

func rightKernel() *kernel {
	return &kernel{values: map[string]string{
		"net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.conf.all.arp_announce": "2", "net.ipv4.ip_forward": "1", "net.ipv4.conf.all.rp_filter": "0"}}
}

type recorder struct {
	mu   sync.Mutex
	told []why.Reason
}

func (r *recorder) Node(_ string, reason why.Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, reason)
}

func (r *recorder) all() []why.Reason {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told)
}

// start runs a proxy until the test ends.
func start(t *testing.T, opts proxy.Options, edge proxy.Edge) *proxy.Proxy {
	t.Helper()
	opts.Node = "n1"
	p, err := proxy.New(opts, edge)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}

var webName = pharos.Name{Namespace: "default", Name: "web"}

func web(s *pharos.Snapshot) {
	s.Synced = true
	s.Services = s.Services.With(webName, &pharos.Service{
		Name: webName, Type: pharos.LoadBalancer, ClusterIPs: []netip.Addr{netip.MustParseAddr("10.96.0.1")},
		Ports: []pharos.ServicePort{{Protocol: pharos.TCP, Port: 80}},
	})
	pods(1)(s)
}

// pods gives the Service that many endpoints on the node.
func pods(n int) func(*pharos.Snapshot) {
	return func(s *pharos.Snapshot) {
		e := &pharos.Endpoints{}
		for i := range n {
			e.Backends = append(e.Backends, pharos.Backend{
				Addr: netip.AddrFrom4([4]byte{10, 244, 1, byte(1 + i)}), Node: "n1", Ready: true,
				Ports: []pharos.BackendPort{{Protocol: pharos.TCP, Port: 8080}}})
		}
		s.Endpoints = s.Endpoints.With(webName, e)
	}
}

func packet() dataplane.Packet {
	return dataplane.Packet{Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddrPort("10.96.0.1:80"), Protocol: pharos.TCP}
}

func TestNothingIsProgrammedBeforeTheClusterIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newSource(), newDriver()
		p := start(t, proxy.Options{}, proxy.Edge{Source: s, Driver: d, Kernel: rightKernel()})
		s.set(func(s *pharos.Snapshot) { web(s); s.Synced = false })
		synctest.Wait()
		if got := p.Status(); len(d.calls) != 0 || got.Ready || got.Problem.Code != why.NotSynced || p.Healthy() == nil {
			t.Errorf("programmed %d times, status %+v", len(d.calls), got)
		}
		s.set(web)
		synctest.Wait()
		if got := p.Status(); !got.Ready || !got.Synced || got.Problem.Code != why.OK || p.Healthy() != nil {
			t.Errorf("status %+v", got)
		}
		if a := d.where(packet()); a.Action != dataplane.Accept {
			t.Errorf("the packet is not served: %+v", a)
		}
	})
}

func TestRefusalIsRetriedAndLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s, d := newSource(), newDriver()
		d.fail = errors.New("no buffer space")
		p := start(t, proxy.Options{}, proxy.Edge{Source: s, Driver: d, Kernel: rightKernel(), Log: slog.New(slog.NewTextHandler(&out, nil))})
		s.set(web)
		<-time.After(30 * time.Second) // the bubble's clock
		synctest.Wait()
		if got := p.Status(); got.Ready || got.Problem.Code != why.DataPlaneRefused || !strings.Contains(got.Problem.Detail, "no buffer space") {
			t.Errorf("status %+v", got)
		}
		for i := 2; i < len(d.calls); i++ {
			pause, before := d.calls[i].Sub(d.calls[i-1]), d.calls[i-1].Sub(d.calls[i-2])
			if pause < before || pause > 5*time.Second {
				t.Errorf("tried again after %v, then after %v", before, pause)
			}
		}
		if n := strings.Count(out.String(), "no buffer space"); n != 1 || len(d.calls) < 5 {
			t.Errorf("%d tries, logged %d times", len(d.calls), n)
		}
		d.mu.Lock()
		d.fail = nil
		d.mu.Unlock()
		<-time.After(5 * time.Second)
		synctest.Wait()
		if !p.Status().Ready {
			t.Error("not ready, though the kernel takes it now")
		}
	})
}

func TestKernelIsVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newSource(), newDriver()
		start(t, proxy.Options{Verify: time.Minute}, proxy.Edge{Source: s, Driver: d, Kernel: rightKernel()})
		s.set(web)
		<-time.After(10*time.Minute + time.Second)
		synctest.Wait()
		if d.verified != 10 {
			t.Errorf("verified %d times in ten minutes", d.verified)
		}
	})
}

func TestSysctls(t *testing.T) {
	for _, c := range []struct {
		name    string
		check   bool
		kernel  *kernel
		want    map[string]string // what is left in the kernel
		reasons []string          // what is wrong in the end
		told    int
	}{
		{name: "right", kernel: rightKernel()},
		{
			name:   "set",
			kernel: &kernel{values: map[string]string{"net.ipv4.conf.all.arp_ignore": "0", "net.ipv4.conf.all.arp_announce": "0", "net.ipv4.ip_forward": "0"}},
			want:   map[string]string{"net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.conf.all.arp_announce": "2", "net.ipv4.ip_forward": "1"},
			told:   3,
		},
		{
			name: "check", check: true,
			kernel:  &kernel{values: map[string]string{"net.ipv4.conf.all.arp_ignore": "0", "net.ipv4.ip_forward": "1"}},
			want:    map[string]string{"net.ipv4.conf.all.arp_ignore": "0"},
			reasons: []string{"sysctl -w net.ipv4.conf.all.arp_ignore=1"},
			told:    1,
		},
		{
			name:    "not ours to decide",
			kernel:  &kernel{values: map[string]string{"net.ipv4.conf.all.rp_filter": "1"}},
			want:    map[string]string{"net.ipv4.conf.all.rp_filter": "1"},
			reasons: []string{"sysctl -w net.ipv4.conf.all.rp_filter=2"},
			told:    1,
		},
		{
			name:    "a device's own counts",
			kernel:  &kernel{values: map[string]string{"net.ipv4.conf.all.rp_filter": "0", "net/ipv4/conf/eth0.5/rp_filter": "1", "net/ipv4/conf/lo/rp_filter": "1"}},
			want:    map[string]string{"net/ipv4/conf/eth0.5/rp_filter": "1"},
			reasons: []string{"sysctl -w net.ipv4.conf.all.rp_filter=2"},
			told:    1,
		},
		{
			name:    "so does what new devices start with",
			kernel:  &kernel{values: map[string]string{"net.ipv4.conf.all.rp_filter": "0", "net/ipv4/conf/default/rp_filter": "1", "net/ipv4/conf/a/rp_filter": "1"}},
			reasons: []string{"sysctl -w net.ipv4.conf.all.rp_filter=2"},
			told:    1,
		},
		{
			name:   "all is the greater",
			kernel: &kernel{values: map[string]string{"net.ipv4.conf.all.rp_filter": "2", "net/ipv4/conf/eth0/rp_filter": "1"}},
		},
		{
			name:   "loose devices",
			kernel: &kernel{values: map[string]string{"net.ipv4.conf.all.rp_filter": "0", "net/ipv4/conf/eth0/rp_filter": "2", "net/ipv4/conf/eth1/rp_filter": "0"}},
		},
		{
			name:    "not permitted",
			kernel:  &kernel{values: map[string]string{"net.ipv4.conf.all.arp_announce": "1"}, fixed: true},
			want:    map[string]string{"net.ipv4.conf.all.arp_announce": "1"},
			reasons: []string{"sysctl -w net.ipv4.conf.all.arp_announce=2 (set net.ipv4.conf.all.arp_announce: permission denied)"},
			told:    1,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{}
				p := start(t, proxy.Options{Check: c.check, Verify: time.Minute}, proxy.Edge{Source: newSource(), Driver: newDriver(), Kernel: c.kernel, Recorder: r})
				<-time.After(3 * time.Minute) // looked at again, and not told again
				synctest.Wait()
				for key, want := range c.want {
					if got, _ := c.kernel.Sysctl(key); got != want {
						t.Errorf("%s is %s, want %s", key, got, want)
					}
				}
				var reasons []string
				for _, s := range p.Status().Sysctls {
					if s.Reason.Code == why.SysctlWrong {
						_, fix, _ := strings.Cut(s.Reason.Detail, "correct it with: ")
						reasons = append(reasons, fix)
					}
					if s.Set && s.Found == s.Want {
						t.Errorf("what was found is lost: %+v", s)
					}
				}
				if !slices.Equal(reasons, c.reasons) {
					t.Errorf("reasons %q, want %q", reasons, c.reasons)
				}
				if told := r.all(); len(told) != c.told {
					t.Errorf("told %v", told)
				}
			})
		})
	}
}

// What was wrong with a device is over once it is, and told anew when it comes back.
func TestDevicesAreLookedAtAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, r := rightKernel(), &recorder{}
		p := start(t, proxy.Options{}, proxy.Edge{Source: newSource(), Driver: newDriver(), Kernel: k, Recorder: r})
		for i, value := range []string{"0", "1", "2", "1"} {
			if err := k.SetSysctl("net/ipv4/conf/eth0/rp_filter", value); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Minute)
			synctest.Wait()
			wrong := slices.ContainsFunc(p.Status().Sysctls, func(s proxy.Sysctl) bool { return s.Reason.Code == why.SysctlWrong })
			if wrong != (value == "1") || len(r.all()) != (i+1)/2 {
				t.Errorf("eth0 has %s: wrong is %t, told %v", value, wrong, r.all())
			}
		}
	})
}

// IPv6 forwarding is asked for where pods have IPv6, and left to the operator.
func TestIPv6Forwarding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, k := newSource(), rightKernel()
		k.values["net.ipv6.conf.all.forwarding"] = "0"
		p := start(t, proxy.Options{}, proxy.Edge{Source: s, Driver: newDriver(), Kernel: k})
		wrong := func() (keys []string) {
			synctest.Wait()
			for _, s := range p.Status().Sysctls {
				if s.Reason.Code == why.SysctlWrong {
					keys = append(keys, s.Key)
				}
			}
			return keys
		}
		s.set(web)
		if got := wrong(); len(got) != 0 {
			t.Errorf("without IPv6 pods %v are wrong", got)
		}
		s.set(func(s *pharos.Snapshot) {
			s.Nodes = s.Nodes.With("n1", &pharos.Node{Name: "n1", PodCIDRs: []netip.Prefix{netip.MustParsePrefix("fd00::/64")}})
		})
		if got := wrong(); !slices.Equal(got, []string{"net.ipv6.conf.all.forwarding"}) {
			t.Errorf("with IPv6 pods %v are wrong", got)
		}
		if v, _ := k.Sysctl("net.ipv6.conf.all.forwarding"); v != "0" {
			t.Error("it was set")
		}
	})
}

// listener gives every health check a port of loopback that is free, and knows
// which is whose.
type listener struct {
	mu   sync.Mutex
	at   map[string]string // asked → real
	fail error
}

func (l *listener) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return nil, l.fail
	}
	real, err := new(net.ListenConfig).Listen(ctx, network, "127.0.0.1:0")
	if err == nil {
		l.at[address] = real.Addr().String()
	}
	return real, err
}

func (l *listener) get(t *testing.T, address string) (int, map[string]any, http.Header) {
	l.mu.Lock()
	real := l.at[address]
	l.mu.Unlock()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Get("http://" + real + "/healthz")
	if err != nil {
		return 0, nil, nil
	}
	defer resp.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Error(err)
	}
	return resp.StatusCode, body, resp.Header
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatal("in vain: ", what)
}

func TestHealthCheckNodePort(t *testing.T) {
	s, d, l := newSource(), newDriver(), &listener{at: map[string]string{}}
	p := start(t, proxy.Options{}, proxy.Edge{Source: s, Driver: d, Kernel: rightKernel(), Listener: l})
	local := func(port uint16) func(*pharos.Snapshot) {
		return func(snap *pharos.Snapshot) {
			web(snap)
			old, _ := snap.Services.Get(webName)
			is := *old
			is.ExternalLocal, is.HealthCheckNodePort = true, port
			snap.Services = snap.Services.With(webName, &is)
		}
	}
	s.set(local(32000))
	eventually(t, "200 with an endpoint here", func() bool { code, _, _ := l.get(t, ":32000"); return code == 200 })
	_, body, header := l.get(t, ":32000")
	want := map[string]any{"service": map[string]any{"namespace": "default", "name": "web"}, "localEndpoints": 1.0, "serviceProxyHealthy": true}
	if fmt.Sprint(body) != fmt.Sprint(want) || header.Get("Content-Type") != "application/json" || header.Get("X-Load-Balancing-Endpoint-Weight") != "1" {
		t.Errorf("answer %v %v", body, header)
	}
	if checks := p.Status().HealthChecks; len(checks) != 1 || checks[0] != (proxy.HealthCheck{Service: webName, Port: 32000, Endpoints: 1}) {
		t.Errorf("status %+v", checks)
	}
	s.set(pods(0))
	eventually(t, "503 without endpoints", func() bool { code, _, _ := l.get(t, ":32000"); return code == 503 })
	s.set(pods(3))
	eventually(t, "three endpoints", func() bool { _, body, _ := l.get(t, ":32000"); return body["localEndpoints"] == 3.0 })
	d.mu.Lock()
	d.fail = errors.New("no")
	d.mu.Unlock()
	s.set(local(32000))
	eventually(t, "503 while the kernel refuses", func() bool {
		code, body, _ := l.get(t, ":32000")
		return code == 503 && body["serviceProxyHealthy"] == false
	})
	d.mu.Lock()
	d.fail = nil
	d.mu.Unlock()
	s.set(local(32001))
	eventually(t, "the other port", func() bool { code, _, _ := l.get(t, ":32001"); return code == 200 })
	eventually(t, "the old port's end", func() bool { code, _, _ := l.get(t, ":32000"); return code == 0 })
	s.set(func(snap *pharos.Snapshot) { snap.Services = snap.Services.Without(webName) })
	eventually(t, "the port's end", func() bool { code, _, _ := l.get(t, ":32001"); return code == 0 })
	l.mu.Lock()
	l.fail = errors.New("address in use")
	l.mu.Unlock()
	s.set(local(32002))
	eventually(t, "the reason", func() bool {
		c := p.Status().HealthChecks
		return len(c) == 1 && c[0].Reason.Code == why.PortUnavailable && strings.Contains(c[0].Reason.Detail, "address in use")
	})
}

func TestStatusTellsFrontendsAndBackends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		p := start(t, proxy.Options{}, proxy.Edge{Source: s, Driver: newDriver(), Kernel: rightKernel()})
		s.set(web)
		rival := pharos.Name{Namespace: "default", Name: "zz"}
		s.set(func(s *pharos.Snapshot) {
			s.Services = s.Services.With(rival, &pharos.Service{
				Name: rival, Created: time.Unix(1, 0), Type: pharos.ClusterIP, ClusterIPs: []netip.Addr{netip.MustParseAddr("10.96.0.1")},
				Ports: []pharos.ServicePort{{Protocol: pharos.TCP, Port: 80}, {Name: "b", Protocol: pharos.TCP, Port: 81}},
			})
		})
		synctest.Wait()
		got := p.Status().Services
		if len(got) != 2 || got[0].Name != webName || len(got[0].Frontends) != 1 || len(got[1].Frontends) != 1 {
			t.Fatalf("services %+v", got)
		}
		f := got[0].Frontends[0]
		if f.Addr.String() != "10.96.0.1" || f.Port != 80 || f.Kind != dataplane.ClusterIP || f.Action != dataplane.Accept ||
			len(f.Backends) != 1 || f.Backends[0].Addr.String() != "10.244.1.1:8080" || !f.Backends[0].Local {
			t.Errorf("frontend %+v", f)
		}
		if r := got[1].Frontends[0]; r.Action != dataplane.Reject || r.Port != 81 {
			t.Errorf("frontend without endpoints %+v", r)
		}
		if len(got[1].Problems) != 1 || got[1].Problems[0].Code != why.FrontendTaken {
			t.Errorf("problems %v", got[1].Problems)
		}
		if sum := p.Summary(); sum.Services != 2 || !sum.Ready {
			t.Errorf("summary %+v", sum)
		}
		if b, err := json.Marshal(p.Status()); err != nil || !strings.Contains(string(b), `"kind":"ClusterIP"`) {
			t.Errorf("json %s, %v", b, err)
		}
	})
}

// A driver may leave a frontend out: status says why, speakers hear that it is not
// served, and all the rest is.
func TestDriverLeavesAFrontendOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		d := &partial{driver: newDriver()}
		p := start(t, proxy.Options{}, proxy.Edge{Source: s, Driver: d, Kernel: rightKernel()})
		s.set(web)
		synctest.Wait()
		if got := p.Status(); !got.Ready || len(got.Services) != 1 || len(got.Services[0].Frontends) != 1 || len(got.Services[0].Problems) != 0 {
			t.Fatalf("status %+v", got)
		}
		target := dataplane.Target{Addr: netip.MustParseAddr("10.96.0.1"), Protocol: pharos.TCP, Port: 80}
		d.leave(dataplane.Refused{Target: target, Reason: why.New(why.FrontendOccupied, "%s is another's", target)})
		time.Sleep(time.Minute) // the next comparison
		synctest.Wait()
		if got := p.Status(); !got.Ready || len(got.Services) != 1 || len(got.Services[0].Frontends) != 0 || len(got.Services[0].Problems) != 1 || got.Services[0].Problems[0].Code != why.FrontendOccupied {
			t.Errorf("status %+v", got)
		}
		d.leave()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := p.Status(); len(got.Services[0].Frontends) != 1 || len(got.Services[0].Problems) != 0 {
			t.Errorf("status %+v", got)
		}
	})
}

// partial is a driver that leaves out what it is told to.
type partial struct {
	*driver
	lock    sync.Mutex
	refused []dataplane.Refused
}

func (d *partial) leave(refused ...dataplane.Refused) {
	d.lock.Lock()
	defer d.lock.Unlock()
	d.refused = refused
}

func (d *partial) Refused() map[pharos.Name][]dataplane.Refused {
	d.lock.Lock()
	defer d.lock.Unlock()
	if len(d.refused) == 0 {
		return nil
	}
	return map[pharos.Name][]dataplane.Refused{webName: d.refused}
}

func TestNodeNameIsNeeded(t *testing.T) {
	if _, err := proxy.New(proxy.Options{}, proxy.Edge{}); err == nil {
		t.Error("a proxy without a node was made")
	}
}

// What another driver left goes when the one in its place serves, once, and not
// before.
func TestFormerDriverIsRemovedAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newSource(), newDriver()
		d.fail = errors.New("not yet")
		gone := &leaver{}
		p := start(t, proxy.Options{Verify: time.Minute}, proxy.Edge{Source: s, Driver: d, Former: []proxy.Leftover{{Driver: "other", Remove: gone.Remove}}, Kernel: rightKernel()})
		s.set(web)
		<-time.After(10 * time.Second)
		synctest.Wait()
		if n := gone.removed.Load(); n != 0 || p.Status().Ready {
			t.Fatalf("removed %d times before anything is in its place", n)
		}
		d.mu.Lock()
		d.fail = nil
		d.mu.Unlock()
		<-time.After(3 * time.Minute)
		synctest.Wait()
		if n := gone.removed.Load(); n != 1 || !p.Status().Ready {
			t.Errorf("removed %d times", n)
		}
	})
}

// leaver counts how often it is removed.
type leaver struct{ removed atomic.Int32 }

func (l *leaver) Remove(context.Context) error {
	l.removed.Add(1)
	return errors.New("nothing of it is there")
}
