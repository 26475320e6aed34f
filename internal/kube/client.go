package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/internal/version"
)

// ErrNotFound says that the object does not exist.
var ErrNotFound = errors.New("not found")

// requestTimeout bounds each request that is not a watch.
const requestTimeout = 15 * time.Second

// Access says how to reach the API server. The zero Access is a pod's: the
// service account's token, which is read again as it is renewed, and its
// certificate authority.
type Access struct {
	Kubeconfig string // file; empty: as a pod
	Server     string // URL in place of the one found, such as https://10.10.2.100:6443; may be empty
	Component  string // for the User-Agent, such as controller
}

// Client holds connections to one API server. It may be used from any
// goroutine.
type Client struct {
	core         rest.Interface
	discovery    rest.Interface
	coordination rest.Interface
	dynamic      dynamic.Interface // kinds of group metallb.io
	params       runtime.ParameterCodec
	statuses     gate // status writes under way: events wait for them
}

// Connect makes a Client; nothing is sent yet.
func Connect(a Access) (*Client, error) {
	var cfg *rest.Config
	var err error
	if a.Kubeconfig == "" {
		cfg, err = rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			err = fmt.Errorf("%w: run as a pod, or name a kubeconfig", err)
		}
	} else {
		cfg, err = clientcmd.BuildConfigFromFlags("", a.Kubeconfig)
	}
	if err != nil {
		return nil, fmt.Errorf("find the API server: %w", err)
	}
	if a.Server != "" {
		cfg.Host = a.Server
	}
	return NewClient(cfg, a.Component)
}

// NewClient makes a Client of a configuration, which is not changed; component
// goes into the User-Agent.
func NewClient(cfg *rest.Config, component string) (*Client, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.UserAgent = "pharos-" + component + "/" + version.Version
	cfg.QPS = -1 // requests are bounded by the number of workers
	cfg.DisableCompression = true
	cfg.WarningHandler = rest.NoWarnings{}
	cfg.ContentType = runtime.ContentTypeProtobuf
	cfg.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	if cfg.Dial == nil {
		cfg.Dial = dial
	}

	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, discoveryv1.AddToScheme, coordinationv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register API types: %w", err)
		}
	}
	codecs := serializer.NewCodecFactory(scheme).WithoutConversion()
	httpClient, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("credentials of the API server: %w", err)
	}
	group := func(path string, gv schema.GroupVersion) (rest.Interface, error) {
		c := rest.CopyConfig(cfg)
		c.APIPath, c.GroupVersion, c.NegotiatedSerializer = path, &gv, codecs
		return rest.RESTClientForConfigAndClient(c, httpClient)
	}
	c := &Client{params: runtime.NewParameterCodec(scheme)}
	if c.core, err = group("/api", corev1.SchemeGroupVersion); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if c.discovery, err = group("/apis", discoveryv1.SchemeGroupVersion); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if c.coordination, err = group("/apis", coordinationv1.SchemeGroupVersion); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	plain := rest.CopyConfig(cfg)
	plain.ContentConfig = rest.ContentConfig{} // custom resources are JSON
	if c.dynamic, err = dynamic.NewForConfigAndClient(plain, httpClient); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return c, nil
}

// Secret reads one Secret's data. The error is ErrNotFound where it does not
// exist. What it returns is never logged here.
func (c *Client) Secret(ctx context.Context, name pharos.Name) (map[string]pharos.Secret, error) {
	_, data, err := c.secret(ctx, name)
	return data, err
}

// secret reads one Secret's type and data.
func (c *Client) secret(ctx context.Context, name pharos.Name) (kind string, data map[string]pharos.Secret, err error) {
	ctx, cancel := context.WithTimeout(quiet(ctx), requestTimeout)
	defer cancel()
	var secret corev1.Secret
	err = requestError(c.core.Get().Namespace(name.Namespace).Resource("secrets").Name(name.Name).Do(ctx).Into(&secret))
	if err != nil {
		return "", nil, fmt.Errorf("read secret %s: %w", name, err)
	}
	data = make(map[string]pharos.Secret, len(secret.Data))
	for key, value := range secret.Data {
		data[key] = pharos.Secret(value)
	}
	return string(secret.Type), data, nil
}

// unreachable is an error that says nothing about the request: the API server
// did not answer it.
type unreachable struct{ error }

// Unreachable tells the error from a refusal.
func (unreachable) Unreachable() bool { return true }

func (e unreachable) Unwrap() error { return e.error }

// requestError marks an error as unreachable unless the API server answered,
// and names the refusals that callers tell apart. An overloaded or failing
// server counts as one that did not answer.
func requestError(err error) error {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return nil
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return ErrSuperseded
	case apierrors.IsNotFound(err):
		return ErrNotFound
	case errors.As(err, &status) && status.Status().Code < 500 && !apierrors.IsTooManyRequests(err):
		return err
	}
	return unreachable{err}
}
