package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bfd/bfdudp"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/internal/gossip"
	"github.com/pharoslb/pharos/internal/linux/lan"
	"github.com/pharoslb/pharos/internal/task"
	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/speaker"
	"github.com/pharoslb/pharos/why"
)

// nodeMark, in the environment, holds a node's Setup: the program is that node then.
const nodeMark = "PHAROS_BENCH_NODE"

// Setup is what a node is told.
type Setup struct {
	Self  string
	Nodes map[string]netip.Addr
	VIPs  []netip.Addr
	BFD   time.Duration // interval, three times; 0: none
}

// node is one node's process, until it is told to end.
func node() error {
	var s Setup
	if err := json.Unmarshal([]byte(os.Getenv(nodeMark)), &s); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("node", s.Self)
	for _, vip := range s.VIPs {
		if err := echo(vip, s.Self); err != nil {
			return err
		}
	}
	opt := gossip.Options{Name: s.Self, BindPort: 7946, Secret: func() (string, error) { return "bench", nil }, Log: log}
	var members *gossip.Cluster
	var paths task.Part
	if s.BFD > 0 {
		transport, err := bfdudp.Open()
		if err != nil {
			return err
		}
		server, err := bfd.NewServer(bfd.Options{Transport: transport, Handler: bfd.HandlerFunc(func(c bfd.Change) { members.StateChanged(c) })})
		if err != nil {
			return err
		}
		opt.Paths, opt.Profile, paths = server, bfd.Profile{ReceiveInterval: s.BFD, TransmitInterval: s.BFD, DetectMultiplier: 3}, server.Run
	}
	members = gossip.New(opt)
	var role *speaker.Speaker
	links := lan.New(lan.Options{Handler: conflicts(func(c layer2.Conflict) bool { return role.Conflict(c) }), Log: log})
	role, err := speaker.New(speaker.Options{Node: s.Self, FenceAfter: 5 * time.Second},
		speaker.Edge{Source: s.source(), Recorder: recorder{log}, Sessions: noBGP{}, Membership: members, Layer2: links, Log: log})
	if err != nil {
		return err
	}
	late, end := context.WithCancel(context.Background())
	parts := []task.Part{
		func(context.Context) error { defer end(); return role.Run(ctx) },
		func(context.Context) error { return links.Run(late) },
		func(context.Context) error { return members.Run(late) },
	}
	if paths != nil {
		parts = append(parts, func(context.Context) error { return paths(late) })
	}
	return task.Run(late, parts...)
}

// echo answers datagrams to an address, by its name.
func echo(vip netip.Addr, name string) error {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(vip, echoPort)))
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 64)
		for {
			_, from, err := conn.ReadFromUDPAddrPort(buf)
			if err == nil {
				conn.WriteToUDPAddrPort([]byte(name), from)
			}
		}
	}()
	return nil
}

// source is a Source whose one Snapshot has a Service for each address, served everywhere.
type source struct{ snap *pharos.Snapshot }

func (s source) Changed() <-chan struct{}   { return nil }
func (s source) Snapshot() *pharos.Snapshot { return s.snap }

func (s *Setup) source() source {
	snap := &pharos.Snapshot{Revision: 1, Synced: true, Config: &pharos.Config{
		Pools:          []pharos.Pool{{Name: "lan", Ranges: []pharos.Range{pharos.PrefixRange(vips)}}},
		Advertisements: []pharos.Advertisement{{Name: "lan", Mode: pharos.Layer2, Pools: []string{"lan"}}},
	}}
	eps := &pharos.Endpoints{}
	for name, addr := range s.Nodes {
		snap.Nodes = snap.Nodes.With(name, &pharos.Node{Name: name, Addresses: []netip.Addr{addr}})
		eps.Backends = append(eps.Backends, pharos.Backend{Node: name, Ready: true})
	}
	for _, vip := range s.VIPs {
		name := pharos.Name{Namespace: "default", Name: vip.String()}
		snap.Services = snap.Services.With(name, &pharos.Service{Name: name, Type: pharos.LoadBalancer, Ingress: []netip.Addr{vip}})
		snap.Endpoints = snap.Endpoints.With(name, eps)
	}
	return source{snap}
}

type conflicts func(layer2.Conflict) bool

func (f conflicts) Conflict(c layer2.Conflict) bool { return f(c) }

type recorder struct{ *slog.Logger }

func (r recorder) Service(n pharos.Name, w why.Reason) {
	r.Info("event", "service", n, "reason", w.Code, "detail", w)
}
func (r recorder) Config(w why.Reason) { r.Info("event", "reason", w.Code, "detail", w) }
func (r recorder) Node(n string, w why.Reason) {
	r.Info("event", "of", n, "reason", w.Code, "detail", w)
}

type noBGP struct{}

func (noBGP) SetPeers([]bgp.Config) error { return nil }
func (noBGP) Apply([]bgp.Change)          {}
func (noBGP) Complete()                   {}
func (noBGP) Status() []bgp.SessionStatus { return nil }

func (noBGP) Holds(_ string, prefixes []netip.Prefix) []bool { return make([]bool, len(prefixes)) }
