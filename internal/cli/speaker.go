package cli

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptcp"
	"github.com/pharoslb/pharos/internal/configmap"
	"github.com/pharoslb/pharos/internal/gossip"
	"github.com/pharoslb/pharos/internal/kube"
	"github.com/pharoslb/pharos/internal/localapi"
	"github.com/pharoslb/pharos/internal/metrics"
	"github.com/pharoslb/pharos/internal/task"
	"github.com/pharoslb/pharos/internal/version"
	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/speaker"
	"github.com/pharoslb/pharos/why"
)

// speakerFlags are the speaker's own.
type speakerFlags struct {
	daemon
	probes        probes
	former        formerFlags
	node          string
	namespace     string
	configMap     string
	class         string
	ignoreExclude bool
	bindAddr      string
	bindPort      string
	secretPath    string
	pod           kube.Pod
	secret        string // environment alone: arguments can be read by others
	segment       segmentFlags
	gate          string
	proxySocket   string
	drainTime     time.Duration
	nodeDrainTime time.Duration
}

func newSpeaker() *cobra.Command {
	var f speakerFlags
	cmd := &cobra.Command{
		Use:   "speaker",
		Short: "Announce Services' addresses from this node",
		Long: `Announces the addresses of Services of type LoadBalancer, over BGP and by ARP and
Neighbor Discovery, from the node it runs on. One runs on every node, as
deploy/pharos.yaml starts it. Where a flag has an environment variable, the flag
goes before it.` + formerHelp("speaker"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSpeaker(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	f.bind(flags, "speaker", metricsPort)
	bindPod(flags, &f.pod)
	f.probes.bind(flags)
	flags.StringVar(&f.node, "node-name", env("METALLB_NODE_NAME", ""), "name of the own node [METALLB_NODE_NAME]")
	bindNamespace(flags, &f.namespace, ownNamespace)
	flags.StringVar(&f.configMap, "config", "config", "name of the ConfigMap with the configuration")
	flags.StringVar(&f.class, "lb-class", "", "loadBalancerClass to serve; empty serves Services that name none")
	flags.BoolVar(&f.ignoreExclude, "ignore-exclude-lb", false, "announce from nodes labeled "+pharos.ExcludeLabel+" too")
	flags.StringVar(&f.bindAddr, "ml-bindaddr", env("METALLB_ML_BIND_ADDR", ""), "address of the membership; empty is the node's own [METALLB_ML_BIND_ADDR]")
	flags.StringVar(&f.bindPort, "ml-bindport", env("METALLB_ML_BIND_PORT", "7946"), "TCP and UDP port of the membership; 0 has none [METALLB_ML_BIND_PORT]")
	flags.StringVar(&f.secretPath, "ml-secret-key-path", env("METALLB_ML_SECRET_KEY_PATH", ""), "file with the membership's secret, or directory with file secretkey [METALLB_ML_SECRET_KEY_PATH]")
	f.segment.bind(flags)
	flags.StringVar(&f.gate, "gate", "auto", "announce what the node's pharos proxy serves alone: auto (where there is one), on or off")
	flags.StringVar(&f.proxySocket, "proxy-socket", filepath.Join(socketDir, "proxy.sock"), "path of the proxy's socket")
	flags.DurationVar(&f.drainTime, "drain-time", time.Second, "how long routes are marked GRACEFUL_SHUTDOWN (RFC 8326) before the speaker ends; 0: not at all")
	flags.DurationVar(&f.nodeDrainTime, "node-drain-time", speaker.DrainTime, "how long a node that is cordoned and has the annotation "+pharos.DrainAnnotation+"=true announces as the last resort")
	f.secret = env("METALLB_ML_SECRET_KEY", "")
	f.former = bindFormer(flags, "speaker")
	return cmd
}

// membership makes the membership, or nil where it is turned off.
func (f *speakerFlags) membership(paths *paths, log *slog.Logger, report func(why.Reason)) (*gossip.Cluster, error) {
	tuning, err := f.segment.tuning()
	if err != nil {
		return nil, err
	}
	profile, watched, err := f.segment.profile()
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(f.bindPort, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("--ml-bindport %q is not a port", f.bindPort)
	}
	if port == 0 {
		return nil, nil
	}
	var addr netip.Addr
	if f.bindAddr != "" {
		if addr, err = netip.ParseAddr(f.bindAddr); err != nil {
			return nil, fmt.Errorf("--ml-bindaddr: %w", err)
		}
	}
	opt := gossip.Options{Name: f.node, BindAddr: addr, BindPort: uint16(port), Secret: f.readSecret, Tuning: tuning, Profile: profile, Report: report, Log: log}
	if watched {
		opt.Paths = paths.members()
	}
	return gossip.New(opt), nil
}

// readSecret reads the membership's secret anew: a pod may be started before
// the Secret that is mounted into it is made.
func (f *speakerFlags) readSecret() (string, error) {
	if f.secret != "" {
		return f.secret, nil
	}
	if f.secretPath == "" {
		return "", fs.ErrNotExist
	}
	text, err := os.ReadFile(f.secretPath)
	if info, statErr := os.Stat(f.secretPath); statErr == nil && info.IsDir() {
		text, err = os.ReadFile(filepath.Join(f.secretPath, "secretkey"))
	}
	return string(text), err
}

func runSpeaker(ctx context.Context, f speakerFlags) error {
	thrift()
	log, err := f.logger(os.Stderr)
	if err != nil {
		return err
	}
	client, err := kube.Connect(kube.Access{Kubeconfig: f.kubeconfig, Server: f.server, Component: "speaker"})
	if err != nil {
		return err
	}
	source := kube.NewSource(kube.Options{
		Client:    client,
		Kinds:     kube.Services | kube.Endpoints | kube.Nodes | kube.Config,
		ConfigMap: pharos.Name{Namespace: f.namespace, Name: f.configMap},
		Parse:     configmap.Parse,
		Passwords: true,
		Log:       log,
	})
	recorder := kube.NewRecorder(kube.RecorderOptions{Client: client, Source: source, Component: "metallb-speaker", Host: f.node, Problems: onlySpeakersKnow, Log: log})
	policy, err := f.segment.policy()
	if err != nil {
		return err
	}
	var sessions *linkSpeaker
	var members *gossip.Cluster
	paths := watchPaths(func(c bfd.Change) {
		if strings.HasPrefix(c.Name, gossip.PathPrefix) {
			members.StateChanged(c)
		} else {
			sessions.StateChanged(c)
		}
	}, log)
	sessions, err = newLinkSpeaker(bgp.Options{Dialer: vrfDialer{bgptcp.Dialer{}}, Detector: paths, Incomplete: true, Log: log})
	if err != nil {
		return err
	}
	var role *speaker.Speaker
	links, err := f.segment.announcer(func(c layer2.Conflict) bool { return role.Conflict(c) }, log)
	if err != nil {
		return err
	}
	edge := speaker.Edge{Source: source, Recorder: recorder, Sessions: sessions, Layer2: links, Log: log}
	parts := []task.Part{source.Run, recorder.Run}
	late := []task.Part{sessions.Run, paths.Run, task.Keep(log, "layer 2", again, links.Run)} // until others have taken over
	members, err = f.membership(paths, log, func(r why.Reason) {
		if r.Code != why.OK {
			recorder.Node(f.node, r)
		}
	})
	if err != nil {
		return err
	}
	if members != nil {
		edge.Membership = members
		late = append(late, members.Run)
	}
	opt := speaker.Options{
		Node: f.node, Class: f.class, IgnoreExcludeLabel: f.ignoreExclude, Policy: policy, FenceAfter: f.segment.fenceAfter,
		DrainTime: f.drainTime, NodeDrainTime: f.nodeDrainTime,
	}
	if up, err := uptime(uptimeFile); err != nil {
		log.Warn("a reboot of the node cannot be told from a restart of the speaker", "err", err)
	} else {
		// Peers that kept routes for longer have dropped them by now.
		opt.ForwardingLost = up < speaker.RestartTime
	}
	kernel, err := newKernelLink(f.gate, f.proxySocket, opt.ForwardingLost)
	if err != nil {
		return err
	}
	if kernel != nil {
		edge.DataPlane = kernel
		parts = append(parts, kernel.Run)
	}
	role, err = speaker.New(opt, edge)
	if err != nil {
		return err
	}
	set := metrics.New(version.Version)
	set.Speaker(role.Status, role.Healthy)
	publisher := kube.NewPublisher(kube.PublisherOptions{
		Client: client, Source: source, Node: f.node, Pod: f.pod, Log: log,
		Report: func() kube.Report { return kube.SpeakerReport(role.Status(), source.Snapshot().Problems) },
	})
	parts = append(parts, publisher.Run)
	parts = append(parts, outlive(role.Run, late...)...)
	parts = append(parts, f.serve(log, set, localapi.JSON(role.Status), endpoint{explainPath, explainer(role.Explain)})...)
	parts = append(parts, f.probes.parts(log, set)...)
	f.former.tell(log)
	log.Info("speaker started", "version", version.Version, "node", f.node)
	return task.Run(ctx, parts...)
}

// onlySpeakersKnow chooses what speakers record of the configuration's problems:
// the controller, which records the others, reads no password.
func onlySpeakersKnow(p pharos.Problem) bool { return p.Reason.Code == why.SecretMissing }
