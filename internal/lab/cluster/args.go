package cluster

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
)

// layout is where a cluster keeps its files and listens: all that the
// components' flags depend on.
type layout struct {
	dir          string
	apiAddr      netip.AddrPort
	loopback     bool // API server on loopback: nothing else can reach it
	etcdClient   uint16
	etcdPeer     uint16
	serviceCIDR  netip.Prefix
	serviceCIDR6 netip.Prefix // not valid: none
	audit        bool
}

func (l layout) pki(name string) string        { return filepath.Join(l.dir, "pki", name) }
func (l layout) etc(name string) string        { return filepath.Join(l.dir, "etc", name) }
func (l layout) log(c Component) string        { return filepath.Join(l.dir, "log", string(c)+".log") }
func (l layout) auditLog() string              { return filepath.Join(l.dir, "log", "audit.log") }
func (l layout) kubeconfig(user string) string { return l.etc(user + ".kubeconfig") }

// serviceAddr is the cluster IP of the service "kubernetes", by convention of
// the API server the first one after the network's own.
func (l layout) serviceAddr() netip.AddrPort {
	return netip.AddrPortFrom(l.serviceCIDR.Addr().Next(), 443)
}

func loopbackURL(port uint16) string {
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))
}

// args are a component's flags.
func (l layout) args(c Component) []string {
	switch c {
	case Etcd:
		return []string{
			"--data-dir=" + filepath.Join(l.dir, "etcd"),
			"--listen-client-url=" + loopbackURL(l.etcdClient),
			"--listen-peer-url=" + loopbackURL(l.etcdPeer),
			"--unsafe-no-fsync",
		}
	case APIServer:
		return l.apiServerArgs()
	case ControllerManager:
		return []string{
			"--kubeconfig=" + l.kubeconfig(string(ControllerManager)),
			"--leader-elect=false",
			"--secure-port=0",
			"--use-service-account-credentials=true",
			"--service-account-private-key-file=" + l.pki("sa.key"),
			"--root-ca-file=" + l.pki("ca.crt"),
			"--cluster-name=pharos-lab",
			// The lab assigns the pod networks itself.
			"--controllers=*,-node-ipam-controller",
			"--allocate-node-cidrs=false",
			// A node that renews its lease every second is given up after
			// five: soon enough to watch, and five renewals late before a
			// busy machine is taken for a dead one.
			"--node-monitor-period=1s",
			"--node-monitor-grace-period=5s",
			// Thousands of Services at once are a benchmark's work, not an
			// attack: the default of 20 requests a second would be what it
			// measures.
			"--kube-api-qps=2000",
			"--kube-api-burst=4000",
			"--profiling=false",
		}
	case Scheduler:
		return []string{"--config=" + l.etc("scheduler.yaml"), "--secure-port=0"}
	}
	panic("cluster: no component " + string(c))
}

func (l layout) apiServerArgs() []string {
	services := l.serviceCIDR.String()
	if l.serviceCIDR6.IsValid() {
		services += "," + l.serviceCIDR6.String()
	}
	args := []string{
		"--etcd-servers=" + loopbackURL(l.etcdClient),
		"--secure-port=" + strconv.Itoa(int(l.apiAddr.Port())),
		"--tls-cert-file=" + l.pki("apiserver.crt"),
		"--tls-private-key-file=" + l.pki("apiserver.key"),
		"--client-ca-file=" + l.pki("ca.crt"),
		"--service-cluster-ip-range=" + services,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + l.pki("sa.key"),
		"--service-account-signing-key-file=" + l.pki("sa.key"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--kubelet-client-certificate=" + l.pki("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + l.pki("apiserver-kubelet-client.key"),
		"--kubelet-certificate-authority=" + l.pki("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP",
		"--profiling=false",
	}
	if l.loopback {
		// The API refuses an endpoint on loopback, so "kubernetes" gets none;
		// the advertised address (RFC 5737) then only fills the flag.
		args = append(args, "--bind-address="+l.apiAddr.Addr().String(),
			"--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none")
	} else {
		args = append(args, "--bind-address=0.0.0.0", "--advertise-address="+l.apiAddr.Addr().String())
	}
	if l.audit {
		args = append(args,
			"--audit-policy-file="+l.etc("audit-policy.yaml"),
			"--audit-log-path="+l.auditLog(),
			"--audit-log-mode=batch",
			"--audit-log-maxsize=0", // one file, however long
		)
	}
	return args
}

// schedulerConfig raises the scheduler's client limits, for which it has no
// flags.
func (l layout) schedulerConfig() []byte {
	return fmt.Appendf(nil, `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
enableProfiling: false
leaderElection:
  leaderElect: false
clientConnection:
  kubeconfig: %q
  qps: 1000
  burst: 2000
`, l.kubeconfig(string(Scheduler)))
}
