package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/internal/localapi"
	"github.com/pharoslb/pharos/internal/task"
	"github.com/pharoslb/pharos/proxy"
)

// cable is a proxy's end of a kernelLink.
type cable struct {
	*kernelLink
	each chan func(proxy.Told) error
	end  chan error
}

func newCable(t *testing.T, gate, socket string, booted bool) *cable {
	t.Helper()
	l, err := newKernelLink(gate, socket, booted)
	if err != nil {
		t.Fatal(err)
	}
	w := &cable{l, make(chan func(proxy.Told) error), make(chan error)}
	l.follow = func(ctx context.Context, each func(proxy.Told) error) error {
		for {
			select {
			case w.each <- each:
			case err := <-w.end:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *cable) tell(t *testing.T, told ...proxy.Told) {
	t.Helper()
	each := <-w.each
	for _, one := range told {
		if err := each(one); err != nil {
			t.Error(err)
		}
	}
}

// taken are the names of what Take returns, with "-" where it is gone.
func (w *cable) taken() string {
	var list []string
	news := w.Take()
	for _, name := range slices.SortedFunc(maps.Keys(news), pharos.Name.Compare) {
		if news[name] == nil {
			list = append(list, "-"+name.Name)
		} else {
			list = append(list, name.Name)
		}
	}
	return strings.Join(list, " ")
}

func holds(name string) proxy.Told {
	return proxy.Told{Serving: &dataplane.Serving{Name: pharos.Name{Namespace: "default", Name: name}}}
}

func told(format int) proxy.Told {
	return proxy.Told{About: &proxy.About{Format: format, Beside: true, Mode: pharos.Direct}}
}

func TestKernelLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCable(t, "auto", filepath.Join(t.TempDir(), "none.sock"), false)
		about, whole := told(dataplane.DigestFormat), proxy.Told{Whole: true}
		synctest.Wait()
		if st := w.State(); st.Gates || !st.Settled {
			t.Errorf("without a socket: %+v", st)
		}
		w.tell(t, proxy.Told{})
		if st := w.State(); !st.Gates || st.Whole || st.Problem != "" {
			t.Errorf("with a proxy that has nothing in the kernel: %+v", st)
		}
		w.tell(t, about, holds("a"), holds("b"), whole)
		if st := w.State(); !st.Whole || !st.Silent.IsZero() || !st.Comparable || !st.Beside || st.Mode != pharos.Direct || w.taken() != "a b" {
			t.Errorf("told all: %+v", st)
		}
		gone := pharos.Name{Namespace: "default", Name: "a"}
		w.tell(t, holds("c"), proxy.Told{Gone: &gone})
		if got := w.taken(); got != "-a c" {
			t.Errorf("taken %q", got)
		}

		// The end takes nothing back; what the next one has not is gone once it has told all.
		w.end <- errors.New("it was killed")
		synctest.Wait()
		if st := w.State(); st.Silent.IsZero() || st.Problem != "it was killed" || !st.Gates || w.taken() != "" {
			t.Errorf("after its end: %+v", st)
		}
		<-time.After(time.Minute)
		ended := w.State().Silent
		w.tell(t, told(dataplane.DigestFormat+1), holds("b"))
		if got := w.taken(); got != "b" || w.State().Comparable || w.State().Problem != "" {
			t.Errorf("the next one tells: %q, %+v", got, w.State())
		}
		w.end <- errors.New("it was killed, too")
		synctest.Wait()
		<-time.After(time.Minute)
		w.tell(t, told(dataplane.DigestFormat+1), holds("b"))
		if got := w.State().Silent; got != ended {
			t.Errorf("not up to date since %v, want %v: nobody has told all since then", got, ended)
		}
		w.tell(t, whole)
		if got := w.taken(); got != "b -c" || !w.State().Silent.IsZero() {
			t.Errorf("the next one told all: %q", got)
		}
	})
}

// A proxy of a version that tells nothing, in the place of one that did, leaves things
// as they are without one, where that may be.
func TestKernelLinkToAnOlderProxy(t *testing.T) {
	for gate, want := range map[string]string{"auto": "-a", "on": ""} {
		synctest.Test(t, func(t *testing.T) {
			w := newCable(t, gate, filepath.Join(t.TempDir(), "none.sock"), false)
			w.tell(t, told(dataplane.DigestFormat), holds("a"), proxy.Told{Whole: true})
			w.taken()
			w.end <- fmt.Errorf("follow: %w", localapi.ErrNotServed)
			synctest.Wait()
			if st, got := w.State(), w.taken(); st.Gates != (want == "") || !st.Settled || st.Whole != st.Gates || got != want {
				t.Errorf("%s: %+v, %q taken", gate, st, got)
			}
		})
	}
}

// A Service of as many ports as an API server would keep does not keep others from
// being heard of.
func TestLargestServiceIsHeard(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "proxy.sock")
	l, err := newKernelLink("on", socket, false)
	if err != nil {
		t.Fatal(err)
	}
	large := holds("large")
	for _, addr := range []string{"192.0.2.255", "2001:db8:1234:5678:9abc:def0:1234:5678"} {
		for port := range 60_000 {
			large.Serving.Frontends = append(large.Serving.Frontends, dataplane.Served{Addr: netip.MustParseAddr(addr), Protocol: pharos.SCTP, Port: uint16(port), Backends: 999, Local: 999})
		}
	}
	mux := http.NewServeMux()
	mux.Handle(servingPath, localapi.Stream(1, func(ctx context.Context, emit func(...proxy.Told) error) error {
		if err := emit(large, proxy.Told{Whole: true}); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- task.Run(ctx, l.Run, func(ctx context.Context) error { return localapi.Serve(ctx, socket, mux) })
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	patience := time.After(time.Minute)
	for !l.State().Whole {
		select {
		case <-l.Changed():
		case <-patience:
			t.Fatalf("nothing was heard: %+v", l.State())
		}
	}
	if got := l.Take()[large.Serving.Name]; got == nil || len(got.Frontends) != 120_000 {
		t.Error("it is not heard of in full")
	}
}

// How long a speaker that begins waits for what a proxy tells.
func TestKernelLinkSettles(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		gate, socket string
		booted       bool
		want         time.Duration
	}{
		"no socket":        {"auto", filepath.Join(dir, "none.sock"), false, 0},
		"just booted":      {"auto", filepath.Join(dir, "none.sock"), true, bootTime},
		"a socket":         {"auto", dir, false, settleTime},
		"on, and no proxy": {"on", filepath.Join(dir, "none.sock"), false, settleTime},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newCable(t, c.gate, c.socket, c.booted)
			synctest.Wait()
			if c.want > 0 {
				<-time.After(c.want - time.Nanosecond)
				synctest.Wait()
				if w.State().Settled {
					t.Errorf("%s: it does not wait for %v", name, c.want)
				}
				<-time.After(time.Nanosecond)
				synctest.Wait()
			}
			if st := w.State(); !st.Settled || st.Gates != (c.gate == "on") {
				t.Errorf("%s: %+v after %v", name, st, c.want)
			}
		})
	}
	if l, err := newKernelLink("off", "", false); l != nil || err != nil {
		t.Errorf("off: %v, %v", l, err)
	}
	if _, err := newKernelLink("perhaps", "", false); err == nil {
		t.Error("any text is a gate")
	}
}

// still is a cluster that does not change, and a kernel without settings.
type still struct {
	snapshot *pharos.Snapshot
	changed  chan struct{}
}

func (c *still) Changed() <-chan struct{}         { return c.changed }
func (c *still) Snapshot() *pharos.Snapshot       { return c.snapshot }
func (c *still) Sysctl(string) (string, error)    { return "", fs.ErrNotExist }
func (c *still) SetSysctl(string, _ string) error { return nil }
func (c *still) Names(string) ([]string, error)   { return nil, fs.ErrNotExist }

// A proxy and a speaker's link to it, over a socket: the digest is the one that the
// speaker makes.
func TestProxyIsHeard(t *testing.T) {
	svc := &pharos.Service{
		Name: pharos.Name{Namespace: "default", Name: "web"}, Type: pharos.LoadBalancer,
		ClusterIPs: []netip.Addr{netip.MustParseAddr("10.96.0.1")}, Ingress: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
		Ports: []pharos.ServicePort{{Protocol: pharos.TCP, Port: 80}},
	}
	eps := &pharos.Endpoints{Backends: []pharos.Backend{{Addr: netip.MustParseAddr("10.244.1.1"), Node: "n1", Ready: true, Ports: []pharos.BackendPort{{Protocol: pharos.TCP, Port: 8080}}}}}
	snapshot := &pharos.Snapshot{Synced: true}
	snapshot.Services, snapshot.Endpoints = snapshot.Services.With(svc.Name, svc), snapshot.Endpoints.With(svc.Name, eps)
	world := &still{snapshot, make(chan struct{}, 1)}
	p, err := proxy.New(proxy.Options{Node: "n1"}, proxy.Edge{Source: world, Driver: dataplane.NewModel(1), Kernel: world})
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "proxy.sock")
	l, err := newKernelLink("auto", socket, false)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(servingPath, localapi.Stream(servingFollowers, p.Tell))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- task.Run(ctx, p.Run, l.Run, func(ctx context.Context) error { return localapi.Serve(ctx, socket, mux) })
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	patience := time.After(time.Minute)
	var got *dataplane.Serving
	for got == nil || !l.State().Whole {
		select {
		case <-l.Changed():
			if now := l.Take()[svc.Name]; now != nil {
				got = now
			}
		case <-patience:
			t.Fatalf("nothing was heard: %+v", l.State())
		}
	}
	if st := l.State(); !st.Gates || !st.Comparable || st.Mode != pharos.NAT || !st.Silent.IsZero() {
		t.Errorf("%+v", st)
	}
	want := []dataplane.Served{{Addr: svc.Ingress[0], Protocol: pharos.TCP, Port: 80, Backends: 1, Local: 1}, {Addr: svc.Ingress[1], Protocol: pharos.TCP, Port: 80}}
	if got.Digest != dataplane.DigestOf(svc, eps) || !slices.Equal(got.Frontends, want) {
		t.Errorf("got %+v, want %+v with digest %x", got, want, dataplane.DigestOf(svc, eps))
	}
}
