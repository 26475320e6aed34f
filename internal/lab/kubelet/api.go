package kubelet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"github.com/pharoslb/pharos/internal/linux/netns"
)

// deadAfter is how long data may stay unacknowledged before a connection to
// the API server is given up (TCP_USER_TIMEOUT): a node whose link was cut and
// came back dials anew instead of waiting for TCP's own backoff.
const deadAfter = 4 * time.Second

// api is the few requests a kubelet makes. The full clientset would register
// every kind there is in every program that holds the lab.
type api struct {
	core, leases rest.Interface
	params       runtime.ParameterCodec

	mu    sync.Mutex
	conns map[*conn]bool               // open ones
	read  map[string]map[string][]byte // ConfigMaps and Secrets as last read, by path
}

// conn is a connection that can be found again to be closed.
type conn struct {
	net.Conn
	api *api
}

func (c *conn) Close() error {
	c.api.mu.Lock()
	delete(c.api.conns, c)
	c.api.mu.Unlock()
	return c.Conn.Close()
}

// close closes every connection, so that none holds on to its namespace. No
// request may be under way.
func (a *api) close() {
	a.mu.Lock()
	open := slices.Collect(maps.Keys(a.conns))
	a.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

// newAPI makes a client that dials from inside a namespace.
func newAPI(cfg *rest.Config, ns *netns.NS) (*api, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, coordinationv1.AddToScheme, authenticationv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	cfg = rest.CopyConfig(cfg)
	cfg.UserAgent = "pharos-lab-kubelet"
	cfg.ContentType = runtime.ContentTypeProtobuf
	cfg.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	a := &api{params: runtime.NewParameterCodec(scheme), conns: map[*conn]bool{}, read: map[string]map[string][]byte{}}
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c := &conn{api: a}
		err := ns.Do(func() error {
			var err error
			dialer := net.Dialer{Control: userTimeout}
			c.Conn, err = dialer.DialContext(ctx, network, address)
			return err
		})
		if err != nil {
			return nil, err
		}
		a.mu.Lock()
		a.conns[c] = true
		a.mu.Unlock()
		return c, nil
	}
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, err
	}
	forGroup := func(gv schema.GroupVersion, path string) (rest.Interface, error) {
		cfg := rest.CopyConfig(cfg)
		cfg.GroupVersion, cfg.APIPath = &gv, path
		return rest.RESTClientForConfigAndClient(cfg, client)
	}
	if a.core, err = forGroup(corev1.SchemeGroupVersion, "/api"); err != nil {
		return nil, err
	}
	a.leases, err = forGroup(coordinationv1.SchemeGroupVersion, "/apis")
	return a, err
}

func userTimeout(_, _ string, raw syscall.RawConn) error {
	const tcpUserTimeout = 18 // tcp(7); package syscall does not name it
	var err error
	control := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(deadAfter.Milliseconds()))
	})
	return errors.Join(control, err)
}

// serverVersion is the API server's own.
func (a *api) serverVersion(ctx context.Context) (string, error) {
	raw, err := a.core.Get().AbsPath("/version").SetHeader("Accept", runtime.ContentTypeJSON).Do(ctx).Raw()
	if err != nil {
		return "", err
	}
	var info version.Info
	if err := json.Unmarshal(raw, &info); err != nil {
		return "", fmt.Errorf("decode the API server's version: %w", err)
	}
	return info.GitVersion, nil
}

func (a *api) node(ctx context.Context, name string) (*corev1.Node, error) {
	node := new(corev1.Node)
	return node, a.core.Get().Resource("nodes").Name(name).Do(ctx).Into(node)
}

func (a *api) createNode(ctx context.Context, node *corev1.Node) (*corev1.Node, error) {
	created := new(corev1.Node)
	return created, a.core.Post().Resource("nodes").Body(node).Do(ctx).Into(created)
}

func (a *api) updateNode(ctx context.Context, node *corev1.Node) (*corev1.Node, error) {
	updated := new(corev1.Node)
	return updated, a.core.Put().Resource("nodes").Name(node.Name).Body(node).Do(ctx).Into(updated)
}

func (a *api) updateNodeStatus(ctx context.Context, node *corev1.Node) (*corev1.Node, error) {
	updated := new(corev1.Node)
	return updated, a.core.Put().Resource("nodes").Name(node.Name).SubResource("status").Body(node).Do(ctx).Into(updated)
}

func (a *api) lease(ctx context.Context, name string) (*coordinationv1.Lease, error) {
	lease := new(coordinationv1.Lease)
	return lease, a.leases.Get().Namespace(corev1.NamespaceNodeLease).Resource("leases").Name(name).Do(ctx).Into(lease)
}

func (a *api) createLease(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	created := new(coordinationv1.Lease)
	return created, a.leases.Post().Namespace(lease.Namespace).Resource("leases").Body(lease).Do(ctx).Into(created)
}

func (a *api) updateLease(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	updated := new(coordinationv1.Lease)
	return updated, a.leases.Put().Namespace(lease.Namespace).Resource("leases").Name(lease.Name).Body(lease).Do(ctx).Into(updated)
}

// pods lists the pods bound to a node.
func (a *api) pods(ctx context.Context, node string) (*corev1.PodList, error) {
	list := new(corev1.PodList)
	opts := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node).String()}
	return list, a.core.Get().Resource("pods").VersionedParams(&opts, a.params).Do(ctx).Into(list)
}

// watch follows objects of a kind, those that a field selector picks, from a
// resource version on.
func (a *api) watch(ctx context.Context, kind, field, value, from string) (watch.Interface, error) {
	opts := metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(field, value).String(), ResourceVersion: from, Watch: true,
	}
	return a.core.Get().Resource(kind).VersionedParams(&opts, a.params).Watch(ctx)
}

func (a *api) pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	pod := new(corev1.Pod)
	return pod, a.core.Get().Namespace(namespace).Resource("pods").Name(name).Do(ctx).Into(pod)
}

func (a *api) updatePodStatus(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	updated := new(corev1.Pod)
	return updated, a.core.Put().Namespace(pod.Namespace).Resource("pods").Name(pod.Name).SubResource("status").Body(pod).Do(ctx).Into(updated)
}

// removePod deletes the pod's object for good, unless its name is another's by
// now.
func (a *api) removePod(ctx context.Context, namespace, name string, uid types.UID) error {
	zero := int64(0)
	opts := &metav1.DeleteOptions{GracePeriodSeconds: &zero, Preconditions: &metav1.Preconditions{UID: &uid}}
	return a.core.Delete().Namespace(namespace).Resource("pods").Name(name).Body(opts).Do(ctx).Error()
}

func (a *api) createEvent(ctx context.Context, event *corev1.Event) error {
	return a.core.Post().Namespace(event.Namespace).Resource("events").Body(event).Do(ctx).Error()
}

// token asks for a service account token bound to a pod.
func (a *api) token(ctx context.Context, pod *corev1.Pod, audience string, seconds int64) (*authenticationv1.TokenRequestStatus, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &seconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	if audience != "" {
		request.Spec.Audiences = []string{audience}
	}
	answer := new(authenticationv1.TokenRequest)
	err := a.core.Post().Namespace(pod.Namespace).Resource("serviceaccounts").Name(pod.Spec.ServiceAccountName).
		SubResource("token").Body(request).Do(ctx).Into(answer)
	return &answer.Status, err
}

// reader is a source for one pod's start.
type reader struct {
	*api
	ctx context.Context
}

func (r reader) secret(namespace, name string) (map[string][]byte, error) {
	secret := new(corev1.Secret)
	err := r.core.Get().Namespace(namespace).Resource("secrets").Name(name).Do(r.ctx).Into(secret)
	return r.remember("secret", namespace, name, secret.Data, err)
}

func (r reader) configMap(namespace, name string) (map[string][]byte, error) {
	cm := new(corev1.ConfigMap)
	err := r.core.Get().Namespace(namespace).Resource("configmaps").Name(name).Do(r.ctx).Into(cm)
	data := map[string][]byte{}
	for key, value := range cm.BinaryData {
		data[key] = value
	}
	for key, value := range cm.Data {
		data[key] = []byte(value)
	}
	return r.remember("configmap", namespace, name, data, err)
}

// remember returns what was read, or while the API server does not answer what
// was read before: a container starts again without it, as on any node.
func (r reader) remember(kind, namespace, name string, data map[string][]byte, err error) (map[string][]byte, error) {
	path := kind + "/" + namespace + "/" + name
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.read[path] = data
	case apierrors.IsNotFound(err):
		delete(r.read, path)
		return nil, missing{fmt.Sprintf("%s %q", kind, name)}
	case apierrors.ReasonForError(err) == metav1.StatusReasonUnknown && r.read[path] != nil:
		return r.read[path], nil
	default:
		return nil, err
	}
	return data, nil
}

func isMissing(err error) bool {
	var m missing
	return errors.As(err, &m)
}
