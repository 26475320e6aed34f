package cli

import (
	"context"
	"crypto/rand"
	"os"

	"github.com/spf13/cobra"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/controller"
	"github.com/pharoslb/pharos/internal/configmap"
	"github.com/pharoslb/pharos/internal/kube"
	"github.com/pharoslb/pharos/internal/localapi"
	"github.com/pharoslb/pharos/internal/metrics"
	"github.com/pharoslb/pharos/internal/task"
	"github.com/pharoslb/pharos/internal/version"
)

// controllerFlags are the controller's own.
type controllerFlags struct {
	daemon
	probes    probes
	former    formerFlags
	namespace string
	configMap string
	class     string
	pod       kube.Pod
	elect     bool
	secret    string
}

func newController() *cobra.Command {
	var f controllerFlags
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Give Services their addresses",
		Long: `Gives every Service of type LoadBalancer an address from the configured pools,
and writes it into its status. One works in a cluster, as deploy/pharos.yaml
starts it; others stand by. Where a flag has an environment variable, the flag
goes before it.` + formerHelp("controller"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runController(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	f.bind(flags, "controller", metricsPort)
	bindNamespace(flags, &f.namespace, ownNamespace)
	flags.StringVar(&f.configMap, "config", "config", "name of the ConfigMap with the configuration")
	flags.StringVar(&f.class, "lb-class", "", "loadBalancerClass to serve; empty serves Services that name none")
	bindPod(flags, &f.pod)
	f.probes.bind(flags)
	flags.StringVar(&f.secret, "ml-secret-name", env("METALLB_ML_SECRET_NAME", ""), "name of the Secret of the speakers' membership, which is made where it is not there; empty makes none [METALLB_ML_SECRET_NAME]")
	flags.BoolVar(&f.elect, "leader-elect", true, "work only while holding the Lease "+leaseName+"; without it, nothing keeps a second controller from working too")
	f.former = bindFormer(flags, "controller")
	return cmd
}

func runController(ctx context.Context, f controllerFlags) error {
	thrift()
	log, err := f.logger(os.Stderr)
	if err != nil {
		return err
	}
	client, err := kube.Connect(kube.Access{Kubeconfig: f.kubeconfig, Server: f.server, Component: "controller"})
	if err != nil {
		return err
	}
	var lease *kube.Lease
	if f.elect {
		lease = kube.NewLease(kube.LeaseOptions{
			Client: client, Name: pharos.Name{Namespace: f.namespace, Name: leaseName}, Identity: f.identity(), Log: log,
		})
	}
	role := &leader{lease: lease, lead: func() (*controller.Controller, []task.Part) {
		source := kube.NewSource(kube.Options{
			Client:    client,
			Kinds:     kube.Services | kube.Namespaces | kube.Config,
			ConfigMap: pharos.Name{Namespace: f.namespace, Name: f.configMap},
			Parse:     configmap.Parse,
			Extras:    true,
			Log:       log,
		})
		recorder := kube.NewRecorder(kube.RecorderOptions{Client: client, Source: source, Component: "metallb-controller", Problems: func(pharos.Problem) bool { return true }, Log: log})
		role := controller.New(controller.Options{Class: f.class}, controller.Edge{
			Source: source, Writer: kube.NewWriter(client, source, lease), Recorder: recorder, Log: log,
		})
		publisher := kube.NewPublisher(kube.PublisherOptions{
			Client: client, Source: source, Pod: f.pod, Lease: lease, Log: log,
			Report: func() kube.Report { return kube.ControllerReport(role.Status(), source.Snapshot().Problems) },
		})
		return role, []task.Part{source.Run, recorder.Run, publisher.Run, role.Run}
	}}
	set := metrics.New(version.Version)
	set.Controller(role.Status, role.Healthy)
	parts := append(f.serve(log, set, localapi.JSON(role.Status)), role.Run)
	if f.secret != "" {
		parts = append(parts, task.Keep(log, "membership's secret", again, func(ctx context.Context) error {
			// Two of rand.Text hold 256 bits of randomness.
			return client.EnsureSecret(ctx, pharos.Name{Namespace: f.namespace, Name: f.secret}, "secretkey", pharos.Secret(rand.Text()+rand.Text()))
		}))
	}
	parts = append(parts, f.probes.parts(log, set)...)
	f.former.tell(log)
	log.Info("controller started", "version", version.Version)
	return task.Run(ctx, parts...)
}
