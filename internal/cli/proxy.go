package cli

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/internal/kube"
	"github.com/pharoslb/pharos/internal/linux/rival"
	"github.com/pharoslb/pharos/internal/linux/sysctl"
	"github.com/pharoslb/pharos/internal/localapi"
	"github.com/pharoslb/pharos/internal/metrics"
	"github.com/pharoslb/pharos/internal/task"
	"github.com/pharoslb/pharos/internal/version"
	"github.com/pharoslb/pharos/proxy"
)

// proxyFlags are the proxy's own.
type proxyFlags struct {
	daemon
	node      string
	strictARP string
	podCIDRs  []string
	nodePorts []string
	verify    time.Duration
	cleanup   bool
	dataplane dataplaneFlags
}

func newProxy() *cobra.Command {
	var f proxyFlags
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "Carry connections to Services to their pods, in kube-proxy's place",
		Long: `Programs the node's kernel so that packets to Services reach pods: cluster IPs,
load balancer and external IPs, node ports. One runs on every node, as
deploy/pharos-proxy.yaml starts it. It reaches the API server at its own address,
because the cluster IP is there only once it is programmed. When it ends, the
kernel keeps what it has; --cleanup takes that away.

Mode nat translates a connection on the node that it reaches, as kube-proxy does.
Mode direct sends its packets on unchanged to the node of its pod: the pod sees
the client's address, and connections survive that they reach another node. A
Service chooses with the annotation pharoslb.io/dataplane-mode.`,
		Example: "  pharos proxy --mode direct\n  pharos proxy --mode direct --beside-kube-proxy --dataplane nft\n  pharos proxy --cleanup",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runProxy(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	f.bind(flags, "proxy", proxyMetricsPort)
	flags.StringVar(&f.node, "node-name", env("METALLB_NODE_NAME", env("NODE_NAME", "")), "name of the own node [METALLB_NODE_NAME, NODE_NAME]")
	flags.StringVar(&f.strictARP, "strict-arp", "set", "set: correct kernel settings that are wrong; check: report them only")
	flags.StringSliceVar(&f.podCIDRs, "cluster-cidr", nil, "networks of pods, where they are not those of the Node object: sources that reach cluster IPs without masquerading")
	flags.StringSliceVar(&f.nodePorts, "nodeport-addresses", nil, "networks of the node's addresses that serve node ports; none means all but loopback")
	flags.DurationVar(&f.verify, "verify-period", 500*time.Millisecond, "how often the kernel is compared with what it should hold")
	flags.BoolVar(&f.cleanup, "cleanup", false, "remove from the kernel what proxies left there, and end")
	f.dataplane.bind(flags)
	return cmd
}

func runProxy(ctx context.Context, f proxyFlags) error {
	if f.cleanup {
		return f.dataplane.remove(ctx)
	}
	thrift()
	log, err := f.logger(os.Stderr)
	if err != nil {
		return err
	}
	opts, err := f.options()
	if err != nil {
		return err
	}
	others, err := rival.Find()
	if err != nil {
		return err
	}
	if err := f.dataplane.meet(others, log); err != nil {
		return err
	}
	driver, former, chosen, err := f.dataplane.open()
	if err != nil {
		return err
	}
	opts.Chosen = chosen
	client, err := kube.Connect(kube.Access{Kubeconfig: f.kubeconfig, Server: f.server, Component: "proxy"})
	if err != nil {
		return err
	}
	source := kube.NewSource(kube.Options{Client: client, Kinds: kube.Services | kube.Endpoints | kube.Nodes, Log: log})
	recorder := kube.NewRecorder(kube.RecorderOptions{Client: client, Source: source, Component: "pharos-proxy", Host: f.node, Log: log})
	role, err := proxy.New(opts, proxy.Edge{Source: source, Driver: driver, Former: former, Kernel: sysctl.Dir(""), Recorder: recorder, Log: log})
	if err != nil {
		return err
	}
	set := metrics.New(version.Version)
	set.Proxy(role.Summary, role.Carried, role.Healthy)
	parts := []task.Part{source.Run, recorder.Run, role.Run}
	parts = append(parts, f.serve(log, set, localapi.JSON(role.Status), endpoint{servingPath, localapi.Stream(servingFollowers, role.Tell)},
		endpoint{servicePath, serviceHandler(role.Service)}, endpoint{tracePath, tracer(role.Trace)})...)
	log.Info("proxy started", "version", version.Version, "node", f.node, "driver", driver.Name(), "because", chosen.String(), "mode", opts.Mode, "beside", opts.Beside)
	return task.Run(ctx, parts...)
}

// options checks the flags.
func (f *proxyFlags) options() (proxy.Options, error) {
	opts := proxy.Options{Node: f.node, Check: f.strictARP == "check", Verify: f.verify}
	if f.strictARP != "set" && f.strictARP != "check" {
		return opts, fmt.Errorf("--strict-arp %q is neither set nor check", f.strictARP)
	}
	if err := f.dataplane.check(); err != nil {
		return opts, err
	}
	opts.Mode, opts.Beside = pharos.DataPlaneMode(f.dataplane.mode), f.dataplane.beside
	if f.node == "" {
		return opts, fmt.Errorf("the name of the own node is not set (--node-name, METALLB_NODE_NAME)")
	}
	var err error
	if opts.PodCIDRs, err = prefixes("cluster-cidr", f.podCIDRs); err != nil {
		return opts, err
	}
	opts.NodePorts, err = prefixes("nodeport-addresses", f.nodePorts)
	return opts, err
}

func prefixes(flag string, texts []string) ([]netip.Prefix, error) {
	var result []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", flag, err)
		}
		result = append(result, p.Masked())
	}
	return result, nil
}
