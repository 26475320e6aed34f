package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pharoslb/pharos/internal/lab"
)

// tally is a shell line that asks an address for so many pages, each over a
// connection of its own, and counts the different answers.
func tally(addr string, requests int) string {
	return fmt.Sprintf("for i in $(seq %d); do curl -s --max-time 5 %s || echo failed; echo; done | grep . | sort | uniq -c", requests, addr)
}

// answers reads what tally prints: how often each pod answered.
func answers(out string) (map[string]int, error) {
	count := map[string]int{}
	for line := range strings.Lines(out) {
		n, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		times, err := strconv.Atoi(n)
		if !ok || err != nil {
			return nil, fmt.Errorf("answers that are no pod's name: %q", line)
		}
		count[name] = times
	}
	return count, nil
}

// allAnswered checks that every request was answered, by pods that are there,
// and by each of them.
func allAnswered(out string, requests int, pods []string) error {
	count, err := answers(out)
	if err != nil {
		return err
	}
	sum := 0
	for _, pod := range pods {
		if count[pod] == 0 {
			return fmt.Errorf("no answer of pod %s", pod)
		}
		sum += count[pod]
	}
	if sum != requests || len(count) != len(pods) {
		return fmt.Errorf("%d of %d requests answered by the pods %v: %v", sum, requests, pods, count)
	}
	return nil
}

// pods waits until the Service's three pods are Ready, and returns the node of
// each.
func (d *Demo) pods(ctx context.Context) (map[string]string, error) {
	nodes := map[string]string{}
	err := d.until(ctx, d.kubectl("kubectl get pod -l app=con-test -o wide --no-headers"), func(out string) error {
		clear(nodes)
		for line := range strings.Lines(out) {
			f := strings.Fields(line)
			for _, n := range d.lab.Topology().Nodes {
				if slices.Contains(f, n.Name) && f[1] == "1/1" && f[2] == "Running" {
					nodes[f[0]] = n.Name
				}
			}
		}
		if len(nodes) != 3 {
			return fmt.Errorf("%d pods are Running and Ready, want 3", len(nodes))
		}
		return nil
	})
	return nodes, err
}

// requests is step 8.
func (d *Demo) requests(ctx context.Context) (string, error) {
	pods, err := d.pods(ctx)
	if err != nil {
		return "", err
	}
	names := slices.Sorted(maps.Keys(pods))
	// A pod is Ready a moment before every node sends requests to it.
	if _, err := d.await(ctx, d.in(lab.Client, tally(vip, 30)), func(out string) error { return allAnswered(out, 30, names) }); err != nil {
		return "", err
	}
	var count map[string]int
	err = d.must(ctx, d.in(lab.Client, tally(vip, 200)), func(out string) error {
		count, _ = answers(out)
		return allAnswered(out, 200, names)
	})
	if err != nil {
		return "", err
	}
	var shares []string
	for _, n := range d.lab.Topology().Nodes {
		sum := 0
		for pod, node := range pods {
			if node == n.Name {
				sum += count[pod]
			}
		}
		if sum == 0 {
			return "", fmt.Errorf("no pod on %s answered", n.Name)
		}
		shares = append(shares, fmt.Sprintf("%d on %s", sum, n.Name))
	}
	return "200 of 200 answered: " + strings.Join(shares, ", "), nil
}

// backends are the addresses of the Service's pods, sorted.
func (d *Demo) backends(ctx context.Context) ([]string, error) {
	out, err := d.lab.Shell(ctx, "kubectl get pod -l app=con-test -o jsonpath={.items[*].status.podIP}")
	return slices.Sorted(slices.Values(strings.Fields(out))), err
}

// translations checks what the kernel makes of packets to some addresses, as
// nft(8) lists it: `172.19.100.1 . tcp . 80 . 0 : 10.233.93.2 . 80`.
func translations(listing string, addrs, backends []string) error {
	found := map[string][]string{}
	for line := range strings.Lines(listing) {
		from, to, ok := strings.Cut(strings.TrimSpace(line), " : ")
		addr, port, ok2 := strings.Cut(from, " . ")
		backend, toPort, ok3 := strings.Cut(to, " . ")
		if !ok || !ok2 || !ok3 || !strings.HasPrefix(port, "tcp . 80 ") || toPort != "80" {
			return fmt.Errorf("an element that was not asked for: %q", line)
		}
		found[addr] = append(found[addr], backend)
	}
	for _, addr := range addrs {
		if got := slices.Sorted(slices.Values(found[addr])); !slices.Equal(got, backends) {
			return fmt.Errorf("%s leads to %v, want %v", addr, got, backends)
		}
	}
	return nil
}

// dataplane is step 9. What ipvsadm shows of IPVS, nft shows of nftables.
func (d *Demo) dataplane(ctx context.Context) (string, error) {
	pods, err := d.pods(ctx)
	if err != nil {
		return "", err
	}
	names := slices.Sorted(maps.Keys(pods))
	cluster, err := d.once(ctx, d.kubectl("kubectl get svc ng-svc -o jsonpath={.spec.clusterIP}"))
	if err != nil {
		return "", err
	}
	if cluster == "" {
		return "", errors.New("the Service has no cluster IP")
	}
	backends, err := d.backends(ctx)
	if err != nil {
		return "", err
	}
	// A few requests show what a kernel that takes turns does; one that draws lots
	// takes more to be sure of every pod.
	look, requests := d.nftables, 60
	if d.lab.DataPlane() == "ipvs" {
		look, requests = d.ipvs, 9
	}
	err = d.nodes(func(n lab.NodePlan) error {
		if err := look(ctx, n.Name, []string{vip, cluster}, backends); err != nil {
			return err
		}
		for _, addr := range []string{vip, cluster} {
			err := d.must(ctx, d.in(n.Name, tally(addr, requests)), func(out string) error { return allAnswered(out, requests, names) })
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s and %s lead to 3 pods, on 3 nodes", vip, cluster), nil
}

// nftables looks at a node's tables until they lead the addresses to the backends.
func (d *Demo) nftables(ctx context.Context, node string, addrs, backends []string) error {
	listing := fmt.Sprintf("nft list map ip pharos frontends-backends | tr ',{}' '\\n' | grep -E '(%s) ' | sed 's/^\\s*//' | sort", strings.Join(addrs, "|"))
	return d.until(ctx, d.in(node, listing), func(out string) error { return translations(out, addrs, backends) })
}
