package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/proxy"
)

// balanced makes the Service of web one of type LoadBalancer.
func balanced(s *pharos.Snapshot) {
	web(s)
	old, _ := s.Services.Get(webName)
	is := *old
	is.Type, is.Ingress = pharos.LoadBalancer, []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	s.Services = s.Services.With(webName, &is)
}

// follower writes down what it is told.
type follower struct {
	mu    sync.Mutex
	lines []string
}

func (f *follower) hear(told ...proxy.Told) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range told {
		switch {
		case t.About != nil:
			f.lines = append(f.lines, fmt.Sprintf("format %d, %s, beside %t", t.About.Format, t.About.Mode, t.About.Beside))
		case t.Serving != nil:
			f.lines = append(f.lines, fmt.Sprintf("%s: %d backends", t.Serving.Name, t.Serving.Frontends[0].Backends))
		case t.Gone != nil:
			f.lines = append(f.lines, fmt.Sprintf("%s is gone", *t.Gone))
		case t.Whole:
			f.lines = append(f.lines, "whole")
		default:
			f.lines = append(f.lines, "alive")
		}
	}
	return nil
}

func (f *follower) want(t *testing.T, lines ...string) {
	t.Helper()
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if fmt.Sprint(f.lines) != fmt.Sprint(lines) {
		t.Errorf("told %q, want %q", f.lines, lines)
	}
	f.lines = nil
}

// The status says how a Service is carried, and whether that is what was asked for.
func TestModeIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		p := start(t, proxy.Options{}, proxy.Edge{Source: s, Driver: newDriver(), Kernel: rightKernel()})
		for _, c := range []struct {
			mode pharos.DataPlaneMode
			node string // of the endpoint
			want string
		}{
			{pharos.ModeDefault, "n1", "nat, the proxy's default"},
			{pharos.NAT, "n1", "nat, as the Service's annotation asks"},
			{pharos.Direct, "n1", "direct, as the Service's annotation asks"},
			{pharos.Direct, "", "nat, though another one is asked for"},
		} {
			s.set(func(s *pharos.Snapshot) {
				balanced(s)
				old, _ := s.Services.Get(webName)
				is := *old
				is.Mode = c.mode
				s.Services = s.Services.With(webName, &is)
				s.Endpoints = s.Endpoints.With(webName, &pharos.Endpoints{Backends: []pharos.Backend{{
					Addr: netip.MustParseAddr("10.244.1.1"), Node: c.node, Ready: true, Ports: []pharos.BackendPort{{Protocol: pharos.TCP, Port: 80}},
				}}})
			})
			synctest.Wait()
			if got, _ := p.Service(webName); got.Mode.Detail != c.want {
				t.Errorf("%q with an endpoint on %q: %q, want %q", c.mode, c.node, got.Mode.Detail, c.want)
			}
		}
	})
}

// Beside a kube-proxy, a Service that this proxy does not carry is told to be the
// other one's, but not one that there is not, or that nobody carries.
func TestServiceOfTheKubeProxyBeside(t *testing.T) {
	const left = "; the kube-proxy beside carries it, for this proxy carries mode direct alone"
	name := func(n string) pharos.Name { return pharos.Name{Namespace: "default", Name: n} }
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		p := start(t, proxy.Options{Beside: true, Mode: pharos.Direct}, proxy.Edge{Source: s, Driver: newDriver(), Kernel: rightKernel()})
		s.set(func(s *pharos.Snapshot) {
			balanced(s)
			old, _ := s.Services.Get(webName)
			for n, change := range map[string]func(*pharos.Service){
				"nat":      func(s *pharos.Service) { s.Mode = pharos.NAT },
				"internal": func(s *pharos.Service) { s.Type, s.Ingress, s.ExternalIPs = pharos.ClusterIP, nil, nil },
				"headless": func(s *pharos.Service) { s.ClusterIPs = nil },
				"astray":   func(*pharos.Service) {},
			} {
				is := *old
				is.Name = name(n)
				change(&is)
				s.Services = s.Services.With(is.Name, &is)
				s.Endpoints = s.Endpoints.With(is.Name, &pharos.Endpoints{Backends: []pharos.Backend{{
					Addr: netip.MustParseAddr("10.244.1.1"), Ready: true, Ports: []pharos.BackendPort{{Protocol: pharos.TCP, Port: 80}},
				}}})
			}
		})
		synctest.Wait()
		for n, want := range map[string]string{
			"web": "direct, the proxy's default", "nat": "nat, as the Service's annotation asks" + left,
			"internal": "nat, as all cluster IPs and node ports" + left, "astray": "nat, though another one is asked for" + left,
			"headless": "", "nosuch": "",
		} {
			if got, ok := p.Service(name(n)); got.Mode.Detail != want || ok != (want != "") {
				t.Errorf("%s: %q (%t), want %q", n, got.Mode.Detail, ok, want)
			}
		}
	})
}

// What is told is what the kernel took, not what is planned: nothing before the
// first plan is in the kernel, nothing while it refuses.
func TestTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newSource(), newDriver()
		p := start(t, proxy.Options{}, proxy.Edge{Source: s, Driver: d, Kernel: rightKernel()})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var f, late follower
		about := fmt.Sprintf("format %d, nat, beside false", dataplane.DigestFormat)
		go p.Tell(ctx, f.hear)
		f.want(t, about)
		d.mu.Lock()
		d.fail = errors.New("no")
		d.mu.Unlock()
		s.set(balanced)
		f.want(t)
		d.mu.Lock()
		d.fail = nil
		d.mu.Unlock()
		<-time.After(time.Second)
		f.want(t, "default/web: 1 backends", "whole")
		s.set(pods(3))
		f.want(t, "default/web: 3 backends")
		s.set(func(s *pharos.Snapshot) { s.Nodes = s.Nodes.With("n9", &pharos.Node{Name: "n9"}) })
		f.want(t)
		<-time.After(proxy.ServingPulse - time.Second)
		f.want(t, "alive")
		go p.Tell(ctx, late.hear)
		late.want(t, about, "default/web: 3 backends", "whole")
		s.set(func(s *pharos.Snapshot) { s.Services = s.Services.Without(webName) })
		f.want(t, "default/web is gone")
		if err := p.Tell(ctx, func(...proxy.Told) error { return errors.New("nobody reads") }); err == nil {
			t.Error("an error of emit does not end Tell")
		}
	})
}
