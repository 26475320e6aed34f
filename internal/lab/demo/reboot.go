package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pharoslb/pharos/internal/lab"
)

// calm is how long no request may have failed before the client counts as
// served again.
const calm = 5 * time.Second

// reboot is step 10.
func (d *Demo) reboot(ctx context.Context) (string, error) {
	victim, err := d.bestPath(ctx)
	if err != nil {
		return "", err
	}
	ns, err := d.lab.NS(lab.Client)
	if err != nil {
		return "", err
	}
	// Somebody asks all the time.
	p := &probe{ns: ns, url: "http://" + vip + "/"}
	asking, stop := context.WithCancel(ctx)
	var prober sync.WaitGroup
	prober.Go(func() { p.run(asking) })
	defer prober.Wait()
	defer stop()
	if err := d.calm(ctx, p); err != nil {
		return "", fmt.Errorf("before the reboot: %w", err)
	}

	others := d.others(victim)
	off := time.Now()
	d.show("lab#", "power off "+victim.Name, "")
	if err := d.lab.PowerOff(victim.Name); err != nil {
		return "", err
	}
	if err := d.until(ctx, d.onSwitch("show ip bgp"), func(out string) error { return withoutPath(out, victim) }); err != nil {
		return "", err
	}
	gone := time.Since(off)
	if err := d.until(ctx, d.in(lab.Switch, kernelRoute), func(out string) error { return hops(out, others) }); err != nil {
		return "", fmt.Errorf("in the switch's kernel: %w", err)
	}
	if err := d.calm(ctx, p); err != nil {
		return "", fmt.Errorf("after power-off: %w", err)
	}
	answered, failed, last := p.count(off)
	outage := "no request failed"
	if failed > 0 {
		outage = fmt.Sprintf("last failed request %.1f s after power-off", last.Sub(off).Seconds())
	}
	d.show("client#", fmt.Sprintf("curl -s %s, every %s", vip, probeEvery),
		fmt.Sprintf("since power-off: %d answered, %d failed; %s\n", answered, failed, outage))
	if err := d.must(ctx, d.in(lab.Client, tally(vip, 50)), func(out string) error { return noneFailed(out, 50) }); err != nil {
		return "", err
	}

	on := time.Now()
	d.show("lab#", "power on "+victim.Name, "")
	if err := d.lab.PowerOn(victim.Name); err != nil {
		return "", err
	}
	var back time.Duration
	err = d.until(ctx, d.onSwitch("show ip bgp"), func(out string) error {
		if !strings.HasPrefix(bgpPaths(out)[victim.Addr.String()], "*") {
			return fmt.Errorf("no valid path by %s", victim.Addr)
		}
		back = time.Since(on)
		return nil
	})
	if err != nil {
		return "", err
	}
	all := append(others, victim.Addr.String())
	if err := d.until(ctx, d.in(lab.Switch, kernelRoute), func(out string) error { return hops(out, all) }); err != nil {
		return "", fmt.Errorf("in the switch's kernel: %w", err)
	}
	if err := d.until(ctx, d.onSwitch("show ip bgp summary"), func(out string) error { return established(out, d.lab.Topology(), 1) }); err != nil {
		return "", err
	}
	pods, err := d.pods(ctx)
	if err != nil {
		return "", err
	}
	if err := d.calm(ctx, p); err != nil {
		return "", fmt.Errorf("after power-on: %w", err)
	}
	answered, failed, last = p.count(on)
	returned := "none failed"
	if failed > 0 {
		returned = fmt.Sprintf("the last failed one began %.1f s after power-on", last.Sub(on).Seconds())
	}
	d.show("client#", fmt.Sprintf("curl -s %s, every %s", vip, probeEvery),
		fmt.Sprintf("since power-on: %d answered, %d failed; %s\n", answered, failed, returned))
	names := slices.Sorted(maps.Keys(pods))
	if err := d.must(ctx, d.in(lab.Client, tally(vip, 50)), func(out string) error { return allAnswered(out, 50, names) }); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: path gone after %.1f s, %s; path back %.1f s after power-on", victim.Name, gone.Seconds(), outage, back.Seconds()), nil
}

// bestPath shows the paths and returns the node that has the best one.
func (d *Demo) bestPath(ctx context.Context) (lab.NodePlan, error) {
	var best lab.NodePlan
	err := d.until(ctx, d.onSwitch("show ip bgp"), func(out string) error {
		paths := bgpPaths(out)
		for _, n := range d.lab.Topology().Nodes {
			if strings.HasPrefix(paths[n.Addr.String()], "*>") {
				best = n
				return nil
			}
		}
		return errors.New("no best path")
	})
	return best, err
}

// others are the addresses of all nodes but one.
func (d *Demo) others(but lab.NodePlan) []string {
	var addrs []string
	for _, n := range d.lab.Topology().Nodes {
		if n.Name != but.Name {
			addrs = append(addrs, n.Addr.String())
		}
	}
	return addrs
}

// withoutPath checks that the best path is another node's, and that the one
// given has none that is valid.
func withoutPath(out string, victim lab.NodePlan) error {
	best := ""
	for hop, codes := range bgpPaths(out) {
		if strings.HasPrefix(codes, "*>") {
			best = hop
		}
		if hop == victim.Addr.String() && strings.HasPrefix(codes, "*") {
			return fmt.Errorf("%s still has a valid path", victim.Addr)
		}
	}
	if best == "" {
		return errors.New("no best path")
	}
	return nil
}

// noneFailed checks that so many requests were answered, by whichever pods.
func noneFailed(out string, requests int) error {
	count, err := answers(out)
	if err != nil {
		return err
	}
	sum := 0
	for name, n := range count {
		if name != "failed" {
			sum += n
		}
	}
	if sum != requests {
		return fmt.Errorf("%d of %d requests answered", sum, requests)
	}
	return nil
}

// calm waits until requests have been answered for a while and none has failed.
func (d *Demo) calm(ctx context.Context, p *probe) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for begin := time.Now(); ; {
		// What began within the last second may yet fail.
		settled := time.Now().Add(-probeTimeout)
		from := settled.Add(-calm)
		if answered, failed, _ := p.count(from); failed == 0 && answered > 0 && from.After(begin.Add(-probeTimeout)) {
			return nil
		}
		select {
		case <-ctx.Done():
			answered, failed, _ := p.count(begin)
			return fmt.Errorf("requests keep failing: %d answered, %d failed: %w", answered, failed, ctx.Err())
		case <-ticker.C:
		}
	}
}
