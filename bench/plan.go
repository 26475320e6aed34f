package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pharoslb/pharos/internal/lab"
)

// group is measured together: what one row leaves behind the next one needs.
type group struct {
	name    string
	always  bool // others stand on what it leaves behind
	measure func(context.Context, *world) ([]row, error)
}

// plan is everything that is measured, in order. The figures beside the goals
// are MetalLB v0.16.1's (native mode, FRR as the switch), measured on such a
// two-core machine.
func plan(many, most int) []group {
	groups := []group{
		{"idle", false, idle},
		{"one at a time", false, single},
		{"first request", false, firstRequest},
		{"burst", true, func(ctx context.Context, w *world) ([]row, error) { return burst(ctx, w, many) }},
		{"replace", false, replace},
		{"delete one", false, deleteOne},
		{"restart controller", false, restartController},
		{"restart speakers", false, restartSpeakers},
		{"delete all", true, func(ctx context.Context, w *world) ([]row, error) { return deleteAll(ctx, w, many) }},
	}
	if most > 0 {
		groups = append(groups, group{"large burst", false, func(ctx context.Context, w *world) ([]row, error) { return largeBurst(ctx, w, most) }})
	}
	return groups
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func median[T time.Duration | float64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func mebibytes(m map[string]float64) string {
	return fmt.Sprintf("%.0f / %.0f (proxy %.0f) MiB", m["controller"], m["speaker"], m["proxy"])
}

func processorTime(m map[string]time.Duration) string {
	return fmt.Sprintf("%.2f / %.2f (proxy %.2f) s", m["controller"].Seconds(), m["speaker"].Seconds(), m["proxy"].Seconds())
}

func idle(context.Context, *world) ([]row, error) {
	return []row{{"resident memory idle: controller / speaker", "≤ 40 / 40 MiB", "55 / 62", mebibytes(memoryNow())}}, nil
}

// single creates Services one by one, each when the one before is gone again.
func single(ctx context.Context, w *world) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var api, address, hops []time.Duration
	for i := range 50 {
		name := fmt.Sprintf("single-%d", i)
		start := time.Now()
		if err := w.create(ctx, name); err != nil {
			return nil, err
		}
		api = append(api, time.Since(start))
		got, err := w.seen.Wait(ctx, name)
		if err != nil {
			return nil, err
		}
		address = append(address, got.At.Sub(start))
		full, err := w.fib.waitFull(ctx, got.Addr)
		if err != nil {
			return nil, err
		}
		hops = append(hops, full.Sub(start))
		if err := w.delete(ctx, name); err != nil {
			return nil, err
		}
		if _, err := w.fib.waitCount(ctx, 0); err != nil {
			return nil, err
		}
	}
	return []row{
		{"create → the API server's answer, median of 50", "–", "–", milliseconds(median(api))},
		{"create → address in status, median of 50", "≤ 10 ms", "13 ms", milliseconds(median(address))},
		{"create → three next hops in the switch's kernel", "≤ 25 ms", "76 ms", milliseconds(median(hops))},
	}, nil
}

// firstRequest asks for a Service's page from the moment of its creation on.
func firstRequest(ctx context.Context, w *world) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ns, err := w.lab.NS(lab.Client)
	if err != nil {
		return nil, err
	}
	client := http.Client{Timeout: 20 * time.Millisecond, Transport: &http.Transport{DialContext: ns.DialContext, DisableKeepAlives: true}}
	var took []time.Duration
	for i := range 10 {
		name := fmt.Sprintf("first-%d", i)
		start := time.Now()
		if err := w.create(ctx, name); err != nil {
			return nil, err
		}
		got, err := w.seen.Wait(ctx, name)
		if err != nil {
			return nil, err
		}
		for {
			resp, err := client.Get("http://" + got.Addr.String() + "/")
			if err == nil {
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if strings.HasPrefix(string(body), "ng-test-rs-") {
					break
				}
			}
			if ctx.Err() != nil {
				return nil, fmt.Errorf("no answer from %s: %w", got.Addr, ctx.Err())
			}
		}
		took = append(took, time.Since(start))
		if err := w.delete(ctx, name); err != nil {
			return nil, err
		}
		if _, err := w.fib.waitCount(ctx, 0); err != nil {
			return nil, err
		}
	}
	return []row{{"create → first answer to the client, median of 10", "–", "–", milliseconds(median(took))}}, nil
}

// rush creates n Services over all connections and waits until all is in place.
func rush(ctx context.Context, w *world, prefix string, n int) (created, addressed, routed time.Duration, err error) {
	start := time.Now()
	err = w.tenant.Each(ctx, n, func(connection, i int) error {
		return w.tenant.Create(ctx, connection, fmt.Sprintf("%s-%d", prefix, i))
	})
	if err != nil {
		return
	}
	created = time.Since(start)
	if err = w.seen.WaitCount(ctx, n); err != nil {
		return
	}
	addressed = time.Since(start)
	end, err := w.fib.waitCount(ctx, n)
	return created, addressed, end.Sub(start), err
}

func burst(ctx context.Context, w *world, n int) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	before, err := w.requests(ctx)
	if err != nil {
		return nil, err
	}
	updates, err := w.updates(ctx)
	if err != nil {
		return nil, err
	}
	used := cpuNow()
	created, addressed, routed, err := rush(ctx, w, "burst", n)
	if err != nil {
		return nil, err
	}
	after, err := w.requests(ctx) // waits until all is quiet
	if err != nil {
		return nil, err
	}
	spent := cpuNow().since(used)
	sent, err := w.updates(ctx)
	if err != nil {
		return nil, err
	}
	most := 0
	for node := range sent {
		most = max(most, sent[node]-updates[node])
	}
	progress("        requests: %s", w.requestVerbs(before))
	of := fmt.Sprintf("%d created over %d connections", n, connections)
	return []row{
		{of + ": the creates alone", "–", "2.2 s", seconds(created)},
		{of + " → all addresses", "–", "–", seconds(addressed)},
		{of + " → all routes × 3 in the kernel", "≤ 8 s", "37 s", seconds(routed)},
		{"API requests of controller and speakers, a Service", "≤ 3", "16", fmt.Sprintf("%.2f", float64(after-before)/float64(n))},
		{"UPDATE messages of a speaker for those", "few", "1,000", fmt.Sprint(most)},
		{"processor time for those: controller / a speaker", "≤ 2 / ≤ 1 s", "5.0 / 7.3", processorTime(spent)},
		{fmt.Sprintf("resident memory at %d: controller / speaker", n), "≤ 50 / 50 MiB", "74 / 99", mebibytes(memoryNow())},
	}, nil
}

// replace deletes a Service and creates another at once, all others present.
func replace(ctx context.Context, w *world) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var took []time.Duration
	for i := range 10 {
		old, name := fmt.Sprintf("burst-%d", i), fmt.Sprintf("replace-%d", i)
		if err := w.delete(ctx, old); err != nil {
			return nil, err
		}
		start := time.Now()
		if err := w.create(ctx, name); err != nil {
			return nil, err
		}
		got, err := w.seen.Wait(ctx, name)
		if err != nil {
			return nil, err
		}
		took = append(took, got.At.Sub(start))
		if _, err := w.fib.waitFull(ctx, got.Addr); err != nil {
			return nil, err
		}
	}
	return []row{{"create right after a delete, all present → address, median of 10", "≤ 15 ms", "1.85 s", milliseconds(median(took))}}, nil
}

func deleteOne(ctx context.Context, w *world) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	before, err := w.requests(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.delete(ctx, "burst-20"); err != nil {
		return nil, err
	}
	after, err := w.requests(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.create(ctx, "burst-20"); err != nil {
		return nil, err
	}
	_, err = w.seen.Wait(ctx, "burst-20")
	return []row{{"one Service deleted, all others present: API requests", "≤ 4", "1,117", fmt.Sprint(after - before)}}, err
}

func restartController(ctx context.Context, w *world) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := w.requests(ctx); err != nil { // waits until all is quiet
		return nil, err
	}
	controllers := processes("controller")
	if len(controllers) != 1 {
		return nil, fmt.Errorf("%d controllers run", len(controllers))
	}
	start := time.Now()
	if err := syscall.Kill(controllers[0].pid, syscall.SIGKILL); err != nil {
		return nil, err
	}
	if err := w.create(ctx, "restart"); err != nil {
		return nil, err
	}
	got, err := w.seen.Wait(ctx, "restart")
	if err != nil {
		return nil, err
	}
	if _, err := w.fib.waitFull(ctx, got.Addr); err != nil {
		return nil, err
	}
	return []row{{"controller killed, all present → next new Service has its address", "≤ 1 s", "8.3 s", seconds(got.At.Sub(start))}}, nil
}

// restartSpeakers kills one speaker after the other and waits for its routes.
func restartSpeakers(ctx context.Context, w *world) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	n := w.fib.count()
	if _, err := w.fib.waitCount(ctx, n); err != nil {
		return nil, err
	}
	var took []time.Duration
	for _, p := range processes("speaker") {
		start := time.Now()
		if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil {
			return nil, err
		}
		if _, err := w.fib.waitLess(ctx, n); err != nil {
			return nil, err
		}
		back, err := w.fib.waitCount(ctx, n)
		if err != nil {
			return nil, err
		}
		took = append(took, back.Sub(start))
	}
	if len(took) == 0 {
		return nil, fmt.Errorf("no speaker runs")
	}
	return []row{{"speaker killed, all present → all its routes back, median of 3", "≤ 0.7 s", "2.6 s", seconds(median(took))}}, nil
}

func deleteAll(ctx context.Context, w *world, n int) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	names := w.seen.Names()
	deleted, gone, err := w.deleteNames(ctx, names)
	return []row{
		{fmt.Sprintf("%d deleted: the deletes alone", n), "–", "1.6 s", seconds(deleted)},
		{fmt.Sprintf("%d deleted → all routes gone", n), "≤ 3 s", "8.5 s", seconds(gone)},
	}, err
}

func (w *world) deleteNames(ctx context.Context, names []string) (deleted, gone time.Duration, err error) {
	start := time.Now()
	err = w.tenant.Each(ctx, len(names), func(connection, i int) error { return w.tenant.Delete(ctx, connection, names[i]) })
	if err != nil {
		return 0, 0, err
	}
	deleted = time.Since(start)
	end, err := w.fib.waitCount(ctx, 0)
	return deleted, end.Sub(start), err
}

func largeBurst(ctx context.Context, w *world, n int) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	used := cpuNow()
	_, _, routed, err := rush(ctx, w, "large", n)
	if err != nil {
		return nil, err
	}
	if _, err := w.requests(ctx); err != nil {
		return nil, err
	}
	spent := cpuNow().since(used)
	return []row{
		{fmt.Sprintf("%d created → all routes × 3", n), "≤ 45 s", "414 s", seconds(routed)},
		{"processor time for those: controller / a speaker", "– / ≤ 5 s", "– / 98", processorTime(spent)},
		{fmt.Sprintf("resident memory at %d: controller / speaker", n), "–", "–", mebibytes(memoryNow())},
	}, nil
}
