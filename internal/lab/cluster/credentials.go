package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// kubeletClientUser is the API server's name towards kubelets.
const kubeletClientUser = "kube-apiserver-kubelet-client"

// NodeCredentials are one node's.
type NodeCredentials struct {
	// Config is the kubelet's way in, as system:node:NAME of group
	// system:nodes. It has no dialer of its own and no rate limit.
	Config *rest.Config
	// Serving is the kubelet's serving certificate, for the node's name and
	// addresses.
	Serving tls.Certificate
	// ClientCA verifies clients of the kubelet; the API server is one.
	ClientCA *x509.CertPool
}

// Node issues credentials for a node's kubelet.
func (c *Cluster) Node(name string, addrs ...netip.Addr) (NodeCredentials, error) {
	client, err := c.ca.client("system:node:"+name, "system:nodes")
	if err != nil {
		return NodeCredentials{}, fmt.Errorf("cluster: node %s: %w", name, err)
	}
	server, err := c.ca.server("system:node:"+name, []string{name}, addrs)
	if err != nil {
		return NodeCredentials{}, fmt.Errorf("cluster: node %s: %w", name, err)
	}
	serving, err := server.tls()
	if err != nil {
		return NodeCredentials{}, fmt.Errorf("cluster: node %s: %w", name, err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c.ca.cert)
	return NodeCredentials{Config: c.restConfig(client), Serving: serving, ClientCA: pool}, nil
}

// Config returns the administrator's way in (group system:masters), dialled
// from inside Options.NS. Client-side rate limits are off. The caller may
// change it.
func (c *Cluster) Config() *rest.Config {
	cfg := c.restConfig(c.admin)
	if c.opts.NS != nil {
		cfg.Dial = c.opts.NS.DialContext
	}
	return cfg
}

func (c *Cluster) restConfig(user keyPair) *rest.Config {
	return &rest.Config{
		Host:            c.url(),
		TLSClientConfig: rest.TLSClientConfig{CAData: c.ca.pem, CertData: user.cert, KeyData: user.key},
		QPS:             -1,
		// The lab's addresses mean nothing to a proxy of the machine's.
		Proxy: func(*http.Request) (*url.URL, error) { return nil, nil },
	}
}

func (c *Cluster) url() string { return "https://" + c.layout.apiAddr.String() }

// kubeconfig encodes a way in as a file for programs.
func (c *Cluster) kubeconfig(user keyPair) ([]byte, error) {
	cfg := clientcmdapi.NewConfig()
	const name = "pharos-lab"
	cfg.Clusters[name] = &clientcmdapi.Cluster{Server: c.url(), CertificateAuthorityData: c.ca.pem}
	cfg.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: user.cert, ClientKeyData: user.key}
	cfg.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	cfg.CurrentContext = name
	return clientcmd.Write(*cfg)
}

// writeFiles makes every key, certificate and configuration file anew.
func (c *Cluster) writeFiles() error {
	l := c.layout
	server, err := c.ca.server("kube-apiserver",
		[]string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		[]netip.Addr{l.apiAddr.Addr(), l.serviceAddr().Addr(), netip.AddrFrom4([4]byte{127, 0, 0, 1})})
	if err != nil {
		return err
	}
	kubelet, err := c.ca.client(kubeletClientUser)
	if err != nil {
		return err
	}
	saKey, err := newKey()
	if err != nil {
		return err
	}
	if err := writePrivate(l.pki(""), map[string][]byte{
		"ca.crt":        c.ca.pem,
		"apiserver.crt": server.cert, "apiserver.key": server.key,
		"apiserver-kubelet-client.crt": kubelet.cert, "apiserver-kubelet-client.key": kubelet.key,
		"sa.key": saKey,
	}); err != nil {
		return err
	}
	etc := map[string][]byte{"scheduler.yaml": l.schedulerConfig()}
	if l.audit {
		etc["audit-policy.yaml"] = c.opts.AuditPolicy
	}
	if etc["admin.kubeconfig"], err = c.kubeconfig(c.admin); err != nil {
		return err
	}
	for _, name := range []string{string(ControllerManager), string(Scheduler), kubeProxyUser} {
		user, err := c.ca.client("system:" + name)
		if err != nil {
			return err
		}
		if etc[name+".kubeconfig"], err = c.kubeconfig(user); err != nil {
			return err
		}
	}
	return writePrivate(l.etc(""), etc)
}
