package ebpf

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// verified runs Verify and checks whether it found something.
func (b *bench) verified(t *testing.T, what string, want bool) {
	t.Helper()
	before := b.Status().Repaired
	repaired, err := b.Verify(t.Context())
	if err != nil || repaired != want {
		t.Errorf("%s: repaired %v, want %v (%v)", what, repaired, want, err)
	}
	if counted := b.Status().Repaired > before; counted != want {
		t.Errorf("%s: counted %v, want %v", what, counted, want)
	}
}

// What somebody else changes is repaired and counted.
func TestVerifyRepairs(t *testing.T) {
	for _, attach := range []Attach{AttachTCX, AttachClsact} {
		t.Run(string(attach), func(t *testing.T) {
			b := newBench(t)
			b.options.Attach = attach
			b.serve(1, 3, nil)
			admitted := netip.MustParsePrefix("198.51.100.0/24")
			b.serve(2, 90, func(s *pharos.Service) { s.SourceRanges = []netip.Prefix{admitted} })
			state := b.apply(t)
			guarded := targetOf(dataplane.Target{Addr: addr("192.0.2.2"), Port: 80, Protocol: pharos.TCP})
			b.verified(t, "nothing", false)
			k := b.kernel
			key := targetOf(compile("n1", must(state.Services.Get(pharos.Name{Namespace: "default", Name: "s1"})))[0].target)
			if err := k.objects.Frontends.Delete(key); err != nil {
				t.Fatal(err)
			}
			b.verified(t, "a frontend is gone", true)
			var v directFrontend
			if err := k.objects.Frontends.Lookup(key, &v); err != nil {
				t.Fatal(err)
			}
			v.Slots[7] ^= 1
			if err := k.objects.Frontends.Put(key, &v); err != nil {
				t.Fatal(err)
			}
			b.verified(t, "a slot is another's", true)
			pod, host, link := podOf(netip.MustParseAddrPort("10.244.1.10:8080"), pharos.TCP), addrOf(addr("10.0.0.2")), directMac{Octets: second}
			for what, spoil := range map[string]func() error{
				"a pod":              func() error { return k.objects.Pods.Delete(pod) },
				"a node's address":   func() error { return k.objects.Hosts.Delete(host) },
				"a node's hardware":  func() error { return k.objects.Macs.Delete(link) },
				"the way to a node":  func() error { return k.objects.Nodes.Put(uint32(k.ids["n2"]), directNode{}) },
				"a meter":            func() error { return k.objects.Meters.Delete(k.live[key].meter) },
				"the pin of a map":   func() error { return os.Remove(filepath.Join(versioned(b.options.Pins), "known")) },
				"a range of clients": func() error { return k.objects.Sources.Delete(prefixOf(k.live[guarded].guard, admitted)) },
				"an owner": func() error {
					return k.objects.Owners.Delete(directFurther{Version: k.live[guarded].version, Index: uint32(inlined)})
				},
			} {
				if err := spoil(); err != nil {
					t.Fatal(what, err)
				}
				b.verified(t, what+" is gone", true)
			}
			h := hook{k.around.uplinks[0], false}
			if err := inside(b.options.NetNS, func() error { return k.attacher.detach(h) }); err != nil {
				t.Fatal(err)
			}
			b.verified(t, "a program is detached", true)
			if attach == AttachTCX {
				if err := os.Remove(filepath.Join(versioned(b.options.Pins), h.String())); err != nil {
					t.Fatal(err)
				}
				b.verified(t, "a pin is gone", true)
			}
			b.verified(t, "nothing more", false)
		})
	}
}

func must[T any](v T, ok bool) T {
	if !ok {
		panic("not there")
	}
	return v
}

// contents is all that the maps say of Services.
func (b *bench) contents(t *testing.T) string {
	t.Helper()
	k := b.kernel
	if k == nil {
		var err error
		if k, err = open(&b.options); err != nil {
			t.Fatal(err)
		}
		defer k.close()
	}
	frontends, err := all[directTarget, directFrontend](k.objects.Frontends)
	pods, err2 := all[directTarget, uint32](k.objects.Pods)
	sources, err3 := all[directSource, uint32](k.objects.Sources)
	owners, err4 := all[directFurther, directOwner](k.objects.Owners)
	if err := errors.Join(err, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(frontends, pods, sources, owners)
}

// A change that the kernel refuses half-way leaves nothing behind.
func TestFailureLeavesNothing(t *testing.T) {
	b := newBench(t)
	b.serve(1, 3, nil)
	b.apply(t)
	before := b.contents(t)
	revision := b.Status().Revision
	// Whoever freezes a map takes it from user space for good.
	if err := b.kernel.objects.Frontends.Freeze(); err != nil {
		t.Fatal(err)
	}
	b.serve(1, 90, func(s *pharos.Service) { s.SourceRanges = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")} })
	b.serve(2, 2, nil)
	for range 2 {
		b.snapshot.Revision++
		s := b.snapshot
		if err := b.Apply(t.Context(), b.planner.Plan(&s)); err == nil {
			t.Fatal("no error")
		}
		if b.contents(t) != before {
			t.Error("the maps are not what they were")
		}
	}
	if s := b.Status(); s.Revision != revision || s.Failed != 2 || s.LastError == "" {
		t.Errorf("%+v", s)
	}
}

// What an earlier process has left is taken over as it is.
func TestRestartWritesNothing(t *testing.T) {
	b := newBench(t)
	for i := range byte(20) {
		b.serve(i+1, int(i)*7, func(s *pharos.Service) {
			s.SourceRanges = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
		})
	}
	b.apply(t)
	b.Driver = New(b.options)
	b.planner = dataplane.NewPlanner(dataplane.Options{Node: "n1", Mode: pharos.Direct})
	b.apply(t)
	if s := b.Status(); s.Added != 0 || s.Removed != 0 || s.Applied != 0 {
		t.Errorf("a new driver did something: %+v", s)
	}
	b.verified(t, "after a restart", false)
}
