package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pharoslb/pharos/internal/lab"
)

// strictARP is step 1: a node answers ARP for the addresses of its device
// alone, and asks with them.
func (d *Demo) strictARP(ctx context.Context) (string, error) {
	const sysctls = "grep . /proc/sys/net/ipv4/conf/all/arp_ignore /proc/sys/net/ipv4/conf/all/arp_announce"
	values := func(ignore, announce string) func(string) error {
		return func(out string) error {
			want := fmt.Sprintf("/proc/sys/net/ipv4/conf/all/arp_ignore:%s\n/proc/sys/net/ipv4/conf/all/arp_announce:%s\n", ignore, announce)
			if out != want {
				return fmt.Errorf("arp_ignore and arp_announce are not %s and %s", ignore, announce)
			}
			return nil
		}
	}
	if err := d.nodes(func(n lab.NodePlan) error { return d.until(ctx, d.in(n.Name, sysctls), values("0", "0")) }); err != nil {
		return "", fmt.Errorf("as the kernel starts: %w", err)
	}
	if _, err := d.once(ctx, d.kubectl(d.lab.ProxyCommand())); err != nil {
		return "", err
	}
	if err := d.lab.RolledOut(ctx, "kube-system", "daemonset/pharos-proxy"); err != nil {
		return "", err
	}
	if err := d.until(ctx, d.kubectl(wrongSettings), func(out string) error { return reported(out, d.lab.Topology()) }); err != nil {
		return "", fmt.Errorf("the report: %w", err)
	}
	if err := d.nodes(func(n lab.NodePlan) error { return d.until(ctx, d.in(n.Name, sysctls), values("1", "2")) }); err != nil {
		return "", err
	}
	return "0 and 0 found and reported, set to 1 and 2, on 3 nodes", nil
}

// install is step 2.
func (d *Demo) install(ctx context.Context) (string, error) {
	for _, line := range []string{lab.NamespaceCommand, lab.SecretCommand, lab.PharosCommand} {
		if _, err := d.once(ctx, d.kubectl(line)); err != nil {
			return "", err
		}
	}
	for _, name := range []string{"deployment/controller", "daemonset/speaker"} {
		if err := d.lab.RolledOut(ctx, "metallb-system", name); err != nil {
			return "", err
		}
	}
	err := d.until(ctx, d.kubectl("kubectl get pod -n metallb-system -o wide"), func(out string) error { return onePerNode(out, d.lab.Topology()) })
	if err != nil {
		return "", err
	}
	err = d.nodes(func(n lab.NodePlan) error {
		return d.until(ctx, d.in(n.Name, "ss -Hltun 'sport = :7472 or sport = :7946'"), listening)
	})
	if err != nil {
		return "", err
	}
	seen, err := d.gossip(ctx)
	if err != nil {
		return "", err
	}
	return "1 controller, 3 speakers, ports open; " + seen, nil
}

// onePerNode checks a list of pods: one controller, and on each node a speaker,
// all Running.
func onePerNode(out string, plan lab.Topology) error {
	controllers, speakers := 0, map[string]int{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] == "NAME" {
			continue
		}
		if f[1] != "1/1" || f[2] != "Running" {
			return fmt.Errorf("pod %s is %s, %s ready", f[0], f[2], f[1])
		}
		if strings.HasPrefix(f[0], "controller-") {
			controllers++
			continue
		}
		for _, n := range plan.Nodes {
			if strings.HasPrefix(f[0], "speaker-") && slices.Contains(f, n.Name) {
				speakers[n.Name]++
			}
		}
	}
	for _, n := range plan.Nodes {
		if speakers[n.Name] != 1 {
			return fmt.Errorf("%d speakers on %s", speakers[n.Name], n.Name)
		}
	}
	if controllers != 1 {
		return fmt.Errorf("%d controllers", controllers)
	}
	return nil
}

// listening checks that a node's speaker listens where MetalLB's does.
func listening(out string) error {
	var have []string
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		_, port, _ := cutLast(f[4], ":")
		have = append(have, f[0]+" "+port)
	}
	for _, want := range []string{"tcp 7472", "tcp 7946", "udp 7946"} {
		if !slices.Contains(have, want) {
			return fmt.Errorf("nobody listens on %s", want)
		}
	}
	return nil
}

// cutLast cuts at the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// configureBGP is step 3: the ConfigMap, as it is.
func (d *Demo) configureBGP(ctx context.Context) (string, error) {
	if _, err := d.once(ctx, d.kubectl(lab.ConfigCommand)); err != nil {
		return "", err
	}
	// What a speaker says of its configuration where operators look for it.
	err := d.nodes(func(n lab.NodePlan) error {
		return d.until(ctx, d.in(n.Name, "curl -s "+n.Addr.String()+":7472/metrics | grep ^metallb_k8s_client_config_"), func(out string) error {
			if !strings.Contains(out, "metallb_k8s_client_config_loaded_bool 1\n") || !strings.Contains(out, "metallb_k8s_client_config_stale_bool 0\n") {
				return errors.New("the configuration is not in force")
			}
			return nil
		})
	})
	if err != nil {
		return "", err
	}
	return "loaded, not stale, on 3 nodes", nil
}

// configureSwitch is step 4.
func (d *Demo) configureSwitch(ctx context.Context) (string, error) {
	d.show("switch#", "pharos switch run --config switch.conf", "")
	if err := d.lab.StartSwitch(ctx, ""); err != nil {
		return "", err
	}
	err := d.until(ctx, d.onSwitch("show running-config"), func(out string) error {
		for _, line := range []string{"router bgp 65210", "neighbor 10.10.2.112", "neighbor 10.10.2.113", "neighbor 10.10.2.114", "maximum-paths 3"} {
			if !strings.Contains(out, line) {
				return fmt.Errorf("no %q", line)
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	plan := d.lab.Topology()
	err = d.until(ctx, d.in(lab.Switch, "ip -br -4 addr"), func(out string) error {
		for _, addr := range []string{plan.Switch.String() + "/24", plan.Gateway.String() + "/24"} {
			if !strings.Contains(out, addr) {
				return fmt.Errorf("no device has %s", addr)
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return "router bgp 65210, 3 neighbors, 2 ports", nil
}

// wrongSettings lists what was said of nodes' kernel settings, where operators
// look for it.
const wrongSettings = "kubectl get events -A --field-selector involvedObject.kind=Node,reason=sysctlWrong -o custom-columns=NODE:.involvedObject.name,MESSAGE:.message"

// reported checks that both settings of every node are told, how they were, and
// how to correct them.
func reported(events string, plan lab.Topology) error {
	for _, n := range plan.Nodes {
		for key, value := range map[string]string{"net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.conf.all.arp_announce": "2"} {
			told := false
			for line := range strings.Lines(events) {
				told = told || strings.HasPrefix(line, n.Name) && strings.Contains(line, key+" was 0") && strings.Contains(line, "sysctl -w "+key+"="+value)
			}
			if !told {
				return fmt.Errorf("nothing is said of %s on %s", key, n.Name)
			}
		}
	}
	return nil
}
