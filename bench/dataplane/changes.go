package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bench/report"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/dptest"
)

// fromEmpty is how many Services are programmed from empty, endpoints how many each has.
const (
	fromEmpty = 1000
	endpoints = 10
)

// crowd is a node with many Services of ten endpoints on three nodes. Of every so many one has a
// load balancer's address.
type crowd struct {
	b        *testing.B
	way      way
	fleet    *dptest.Fleet
	driver   dataplane.Driver
	planner  *dataplane.Planner
	snapshot pharos.Snapshot
}

func newCrowd(b *testing.B, w way) *crowd {
	c := &crowd{b: b, way: w, fleet: dptest.NewFleet(b, dptest.FleetOptions{Mode: w.mode}, w.make)}
	c.driver = c.fleet.Members[0].Driver()
	c.planner = dataplane.NewPlanner(dataplane.Options{Node: "n1", Mode: w.mode})
	nodes := map[string]*pharos.Node{}
	for i, m := range c.fleet.Members {
		f := c.fleet.Families()[0]
		nodes[m.Name] = &pharos.Node{Name: m.Name, Addresses: []netip.Addr{f.Nodes[i]}, PodCIDRs: []netip.Prefix{f.PodNets[i]}}
	}
	c.snapshot = pharos.Snapshot{Synced: true, Nodes: pharos.MapOf(nodes)}
	return c
}

func name(i int) pharos.Name {
	return pharos.Name{Namespace: "default", Name: fmt.Sprintf("s%d", i)}
}

// add makes the Services so many.
func (c *crowd) add(services, everyBalanced int) {
	s, e := map[pharos.Name]*pharos.Service{}, map[pharos.Name]*pharos.Endpoints{}
	for i := range services {
		x, y := byte(i>>8), byte(i)
		service := &pharos.Service{
			Name: name(i), Type: pharos.ClusterIP, Created: time.Unix(int64(i), 0),
			ClusterIPs: []netip.Addr{netip.AddrFrom4([4]byte{10, 112, x, y})},
			Ports:      []pharos.ServicePort{{Name: "http", Protocol: pharos.TCP, Port: 80}},
		}
		if i%everyBalanced == 0 {
			service.Type, service.Ingress = pharos.LoadBalancer, []netip.Addr{netip.AddrFrom4([4]byte{10, 128, x, y})}
		}
		s[name(i)], e[name(i)] = service, c.endpoints(i, endpoints)
	}
	c.snapshot.Services, c.snapshot.Endpoints = pharos.MapOf(s), pharos.MapOf(e)
}

// endpoints are the first n of a Service's.
func (c *crowd) endpoints(service, n int) *pharos.Endpoints {
	e := &pharos.Endpoints{}
	for j := range n {
		e.Backends = append(e.Backends, pharos.Backend{
			Addr: netip.AddrFrom4([4]byte{10, 244, byte(1 + j%3), byte(20 + (7*service+j)%200)}), Node: fmt.Sprint("n", 1+j%3), Ready: true, Serving: true,
			Ports: []pharos.BackendPort{{Name: "http", Protocol: pharos.TCP, Port: 8080}},
		})
	}
	return e
}

// apply plans and applies the Snapshot, and returns what each took.
func (c *crowd) apply() (plan, apply time.Duration) {
	c.snapshot.Revision++
	s := c.snapshot
	begin := time.Now()
	state := c.planner.Plan(&s)
	planned := time.Now()
	if err := c.driver.Apply(context.Background(), state); err != nil {
		c.b.Fatalf("%s: %v", c.way.name, err)
	}
	return planned.Sub(begin), time.Since(planned)
}

// changes measures what changes and starts cost.
func changes(b *testing.B, opt options) {
	rows := [][]string{{"", "goal"}}
	table := [][]string{
		{fmt.Sprintf("%d Services from empty, all of them load balancers", fromEmpty), "< 2 s"},
		{"  its plan before that", ""},
		{"  the kernel's memory, a Service", ""},
		{"  and in BPF maps", ""},
		{"  the driver's memory, a Service", ""},
		{"  a new driver that finds all of it", ""},
		{"  objects that it writes", "0"},
		{fmt.Sprintf("one endpoint of %d Services, a tenth of them load balancers", opt.services), "< 10 ms"},
		{"  its plan before that", ""},
	}
	for _, w := range ways[1:] {
		rows[0] = append(rows[0], w.name)
		for i, cell := range (&column{b, w, opt}).measure() {
			table[i] = append(table[i], cell)
		}
	}
	report.Table(os.Stdout, append(rows, table...)...)
	fmt.Println()
}

// column is what is measured of one way.
type column struct {
	b   *testing.B
	way way
	opt options
}

func (m *column) measure() []string {
	var plans, loads, starts, changing, planning []time.Duration
	var slab, maps, heap, wrote []int
	for range min(m.opt.rounds, 3) {
		c := newCrowd(m.b, m.way)
		c.add(fromEmpty, 1)
		before, mapped, kept := kernelMemory(), mapMemory(), ownMemory()
		plan, load := c.apply()
		plans, loads = append(plans, plan), append(loads, load)
		slab, maps = append(slab, (kernelMemory()-before)/fromEmpty), append(maps, (mapMemory()-mapped)/fromEmpty)
		heap = append(heap, (ownMemory()-kept)/fromEmpty)
		c.driver = m.way.make(c.fleet.Members[0].NS.Fd(), "n1")
		_, start := c.apply()
		starts, wrote = append(starts, start), append(wrote, int(c.driver.Status().Added+c.driver.Status().Removed))
		if err := c.driver.Remove(context.Background()); err != nil {
			m.b.Fatal(err)
		}
	}
	c := newCrowd(m.b, m.way)
	c.add(m.opt.services, 10)
	c.apply()
	for i := range 2 * m.opt.rounds {
		c.snapshot.Endpoints = c.snapshot.Endpoints.With(name(0), c.endpoints(0, endpoints-1+i%2))
		plan, change := c.apply()
		planning, changing = append(planning, plan), append(changing, change)
	}
	if err := c.driver.Remove(context.Background()); err != nil {
		m.b.Fatal(err)
	}
	size := func(n int) string { return fmt.Sprintf("%.1f KiB", float64(n)/1024) }
	return []string{
		round(median(loads)), round(median(plans)), size(median(slab)), size(median(maps)), size(median(heap)),
		round(median(starts)), strconv.Itoa(median(wrote)), round(median(changing)), round(median(planning)),
	}
}

func round(d time.Duration) string { return d.Round(10 * time.Microsecond).String() }

// kernelMemory is what the kernel has for its own objects, in bytes.
func kernelMemory() (n int) {
	info, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(info)) {
		if f := strings.Fields(line); len(f) > 1 && (f[0] == "Slab:" || f[0] == "VmallocUsed:" || f[0] == "Percpu:") {
			kib, _ := strconv.Atoi(f[1])
			n += kib << 10
		}
	}
	return n
}

// mapMemory is what all BPF maps have, in bytes.
func mapMemory() (n int) {
	for id := ebpf.MapID(0); ; {
		next, err := ebpf.MapGetNextID(id)
		if err != nil {
			return n
		}
		id = next
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			continue // it is gone already
		}
		if info, err := m.Info(); err == nil {
			size, _ := info.Memlock()
			n += int(size)
		}
		m.Close()
	}
}

// ownMemory is what this program keeps, in bytes.
func ownMemory() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
