package main

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bench/report"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/dptest"
	"github.com/pharoslb/pharos/dataplane/ebpf"
	"github.com/pharoslb/pharos/dataplane/nft"
	"github.com/pharoslb/pharos/internal/linux/netns"
)

// way is what carries packets.
type way struct {
	name  string
	mode  pharos.DataPlaneMode
	make  func(netns int, node string) dataplane.Driver
	plain bool   // packets are to the pod itself
	goal  string // at an ingress, of known connections
}

var ways = []way{
	{name: "plain routing", plain: true, make: func(int, string) dataplane.Driver { return dataplane.NewModel(1) }},
	{name: "nft nat", make: newNFT},
	{name: "nft direct", mode: pharos.Direct, make: newNFT, goal: "at most 1.5 × plain routing"},
	{name: "ebpf direct", mode: pharos.Direct, make: newEBPF, goal: "at most 1.1 × plain routing"},
}

func newNFT(netns int, _ string) dataplane.Driver { return nft.New(nft.Options{NetNS: netns}) }

func newEBPF(netns int, node string) dataplane.Driver {
	return ebpf.New(ebpf.Options{NetNS: netns, Pins: fmt.Sprintf("/sys/fs/bpf/pharos-bench-%d-%s", netns, node)})
}

// site is a node that is measured. Its device eth0 takes packets in.
type site struct {
	name   string
	node   *netns.NS
	mac    [6]byte
	vip    func(local bool) netip.AddrPort // where packets go
	choose func(local bool)                // makes a pod on the node, or one elsewhere, the only endpoint
	away   *sink                           // behind eth0
	here   *sink                           // in the pod
	goal   string                          // at an ingress, of known connections
	mode   pharos.DataPlaneMode
	chosen int // the choice that was made: 0 none, 1 elsewhere, 2 on the node
}

// newSite returns the first node of a fleet.
func newSite(b *testing.B, w way) *site {
	fleet := dptest.NewFleet(b, dptest.FleetOptions{Mode: w.mode}, w.make)
	fleet.Serve(b, fleet.Families()[0], pharos.UDP)
	pod := func(local bool) *dptest.Pod {
		name := map[bool]string{false: "n2a", true: "n1a"}[local]
		return fleet.Pods[slices.IndexFunc(fleet.Pods, func(p *dptest.Pod) bool { return p.Name == name })]
	}
	s := &site{name: w.name, node: fleet.Members[0].NS, goal: w.goal, mode: w.mode}
	s.choose = func(local bool) { fleet.Choose(b, func(p *dptest.Pod) bool { return p == pod(local) }) }
	s.vip = func(local bool) netip.AddrPort {
		if w.plain {
			return pod(local).Addrs[0]
		}
		return fleet.Families()[0].VIP()
	}
	ns, device := fleet.Cable(fleet.Members[0])
	s.wire(b, ns, device, pod(true).NS)
	return s
}

// wire puts the sinks where packets leave the node.
func (s *site) wire(b *testing.B, segment *netns.NS, cable string, pod *netns.NS) {
	l, err := s.node.Link().LinkByName("eth0")
	if err != nil {
		b.Fatal(err)
	}
	copy(s.mac[:], l.Attrs().HardwareAddr)
	for _, end := range []struct {
		sink   **sink
		ns     *netns.NS
		device string
	}{{&s.away, segment, cable}, {&s.here, pod, "eth0"}} {
		k, err := newSink(end.ns, end.device)
		if err != nil {
			b.Fatalf("%s: a sink at %s: %v", s.name, end.device, err)
		}
		b.Cleanup(k.close)
		*end.sink = k
	}
}

// kind is how the packets of a row are.
type kind struct {
	name  string
	local bool // the one endpoint is on the node itself
	fresh bool // every packet begins a connection
}

var kinds = []kind{
	{"ingress node, known connection", false, false},
	{"ingress node, new connection each", false, true},
	{"owner, known connection", true, false},
	{"owner, new connection each", true, true},
}

// fresh is how many new connections are begun at most: a connection table holds not many more.
const fresh = 30000

// measure sends n packets of a kind through the node.
func (s *site) measure(b *testing.B, k kind, n int) time.Duration {
	choice := 1
	if k.local {
		choice = 2
	}
	if s.chosen != choice {
		s.choose(k.local)
		s.chosen = choice
	}
	f := frame{to: s.mac, from: [6]byte{2, 0, 0, 0, 0, 9}, src: netip.MustParseAddrPort("10.9.0.100:20000"), dst: s.vip(k.local), fresh: k.fresh}
	if k.fresh {
		n = min(n, fresh)
	}
	end := s.away
	if k.local {
		end = s.here
	}
	if err := forget(s.node); err != nil {
		b.Fatal(err)
	}
	// The first packets ask for the neighbor, and are lost where many wait for it.
	for deadline := time.Now().Add(20 * time.Second); ; {
		if _, err := send(s.node, "eth0", f, end, 64); err == nil {
			break
		} else if time.Now().After(deadline) {
			b.Fatalf("%s, %s: %v", s.name, k.name, err)
		}
	}
	took, err := send(s.node, "eth0", f, end, n)
	if err != nil {
		b.Fatalf("%s, %s: %v", s.name, k.name, err)
	}
	return took
}

// packets measures what a packet costs.
func packets(b *testing.B, opt options) {
	var sites []*site
	for _, w := range ways {
		sites = append(sites, newSite(b, w))
	}
	if proxied, err := newProxied(b); err != nil {
		fmt.Fprintf(os.Stderr, "without the real kube-proxy: %v\n", err)
	} else {
		sites = append(sites, proxied)
	}
	took := make([][][]float64, len(kinds))
	for i := range took {
		took[i] = make([][]float64, len(sites))
	}
	for range opt.rounds {
		for i, k := range kinds {
			for j, s := range sites {
				took[i][j] = append(took[i][j], float64(s.measure(b, k, opt.packets).Nanoseconds()))
			}
		}
	}
	rows := [][]string{{"a packet, ns", "median", "of all rounds", "× plain routing", "goal"}}
	for i, k := range kinds {
		for j, s := range sites {
			goal := ""
			switch {
			case k.fresh && s.mode == pharos.Direct:
				goal = "at least 5 × below kube-proxy's"
			case !k.local && !k.fresh:
				goal = s.goal
			}
			rows = append(rows, []string{
				k.name + ": " + s.name, fmt.Sprintf("%.0f", median(took[i][j])),
				fmt.Sprintf("%.0f to %.0f", slices.Min(took[i][j]), slices.Max(took[i][j])),
				fmt.Sprintf("%.2f", median(took[i][j])/median(took[i][0])), goal,
			})
		}
	}
	report.Table(os.Stdout, rows...)
	fmt.Println()
}

func median[T int | float64 | time.Duration](all []T) T {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}
