package nxos

import (
	"errors"
	"fmt"
	"time"
)

// addRouter adds what stands under router bgp and its address families.
func addRouter(g modes) {
	r := g[inRouter]
	say := func(pattern string, f func(b *BGP)) {
		r.add(pattern, func(p *parser, _ []string) error { f(p.config.BGP); return nil })
	}
	span := func(pattern string, f func(b *BGP) *time.Duration) {
		r.add(pattern, func(p *parser, args []string) error { *f(p.config.BGP) = seconds(args[0]); return nil })
	}
	r.add("router-id <a.b.c.d>", func(p *parser, args []string) error {
		id, err := parseIPv4(args[0])
		if err != nil || id.IsUnspecified() {
			return errors.New("the router ID must not be 0.0.0.0")
		}
		p.config.BGP.RouterID = id
		return nil
	})
	r.add("timers bgp <seconds> <seconds>", func(p *parser, args []string) (err error) {
		p.config.BGP.Timers, err = timers(args)
		return err
	})
	span("timers prefix-peer-timeout <peer-seconds>", func(b *BGP) *time.Duration { return &b.PeerTimeout })
	say("log-neighbor-changes", func(b *BGP) { b.LogChanges = true })
	say("shutdown", func(b *BGP) { b.Shutdown = true })
	say("no shutdown", func(b *BGP) { b.Shutdown = false })
	say("graceful-restart", func(b *BGP) { b.Restart.Off, b.Restart.HelperOnly = false, false })
	say("no graceful-restart", func(b *BGP) { b.Restart.Off = true })
	say("graceful-restart-helper", func(b *BGP) { b.Restart.Off, b.Restart.HelperOnly = false, true })
	span("graceful-restart restart-time <restart-seconds>", func(b *BGP) *time.Duration { return &b.Restart.Restart })
	span("graceful-restart stalepath-time <restart-seconds>", func(b *BGP) *time.Duration { return &b.Restart.Stale })
	span("long-lived-graceful-restart stale-time accept <stale-seconds>", func(b *BGP) *time.Duration { return &b.Restart.AcceptStale })
	say("graceful-shutdown aware", func(b *BGP) { b.Unaware = false })
	say("no graceful-shutdown aware", func(b *BGP) { b.Unaware = true })
	say("graceful-shutdown activate", func(b *BGP) { b.Draining = true })
	say("no graceful-shutdown activate", func(b *BGP) { b.Draining = false })
	r.add("address-family ipv4 unicast", func(p *parser, _ []string) error { return p.openFamily(&p.config.BGP.IPv4) })
	r.add("address-family ipv6 unicast", func(p *parser, _ []string) error { return p.openFamily(&p.config.BGP.IPv6) })
	r.add("neighbor <neighbor>", openNeighbor)
	r.add("neighbor <neighbor> remote-as <as>", func(p *parser, args []string) error {
		if err := openNeighbor(p, args); err != nil {
			return err
		}
		return remoteAS(p, args[1:])
	})
	r.add("neighbor <neighbor> remote-as external", func(p *parser, args []string) error {
		if err := openNeighbor(p, args); err != nil {
			return err
		}
		return anyExternal(p)
	})
	for _, m := range []mode{inRouter, inFamily} {
		g[m].add("bestpath as-path multipath-relax", func(p *parser, _ []string) error { p.config.BGP.Relax = true; return nil })
		g[m].add("bestpath always-compare-med", func(p *parser, _ []string) error { p.config.BGP.AlwaysMED = true; return nil })
		g[m].add("bestpath med missing-as-worst", func(p *parser, _ []string) error { p.config.BGP.MissingMEDWorst = true; return nil })
		g[m].add("bestpath compare-routerid", func(p *parser, _ []string) error { p.config.BGP.CompareRouterID = true; return nil })
	}

	f := g[inFamily]
	f.add("maximum-paths <paths>", func(p *parser, args []string) error { p.family.MaxPaths = atoi(args[0]); return nil })
	f.add("maximum-paths ibgp <paths>", func(p *parser, args []string) error { p.family.MaxPathsInternal = atoi(args[0]); return nil })
	f.add("additional-paths receive", func(p *parser, _ []string) error { p.family.AddPath = true; return nil })
	f.add("dmzlink-bw", func(p *parser, _ []string) error { p.family.LinkBandwidth = true; return nil })
}

func openRouter(p *parser, args []string) error {
	as, err := parseAS(args[0])
	if err != nil {
		return err
	}
	if b := p.config.BGP; b != nil && b.AS != as {
		p.mode = inRouter // so that what follows is understood
		return fmt.Errorf("router bgp %d is already configured in line %d\na switch has one BGP process", b.AS, b.line)
	}
	if p.config.BGP == nil {
		p.config.BGP = &BGP{AS: as, line: p.line}
	}
	p.mode = inRouter
	return nil
}

func (p *parser) openFamily(f **Family) error {
	if *f == nil {
		*f = &Family{}
	}
	p.family, p.mode = *f, inFamily
	return nil
}

// timers reads a keepalive and a hold time.
func timers(args []string) (*Timers, error) {
	t := &Timers{seconds(args[0]), seconds(args[1])}
	switch {
	case t.Hold != 0 && t.Hold < 3*time.Second:
		return nil, errors.New("the hold time is 0 or at least 3 seconds (RFC 4271 §4.2)")
	case t.Hold != 0 && t.Keepalive > t.Hold:
		return nil, errors.New("the keepalive time is above the hold time\nthe order is timers KEEPALIVE HOLD")
	}
	return t, nil
}
