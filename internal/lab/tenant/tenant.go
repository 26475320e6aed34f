// Package tenant is somebody who uses the cluster: it creates and deletes
// Services through the API, over several connections at once, and sees when each
// gets its address.
//
// It measures nothing and knows no role of the product.
//
//	Create, Delete ──connection 0…n──► API server ──watch──► Addresses
//
// Invariants: each connection is its own, so that n of them are n clients;
// waiting ends with its context and says how far things were.
//
// Start reading at Tenant.
package tenant

import (
	"context"
	"net"
	"net/http"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// namespace is where the tenant's Services are.
const namespace = "default"

// Tenant is one user with several connections. Its methods may be called from
// any goroutine.
type Tenant struct {
	clients []*kubernetes.Clientset
	seen    *Addresses
}

// New connects as the configuration says, and watches until ctx ends.
func New(ctx context.Context, config *rest.Config, connections int) (*Tenant, error) {
	t := &Tenant{}
	for range connections {
		client, err := connect(config)
		if err != nil {
			return nil, err
		}
		t.clients = append(t.clients, client)
	}
	var err error
	t.seen, err = watchAddresses(ctx, t.clients[0])
	return t, err
}

// connect returns a client with a connection of its own.
func connect(config *rest.Config) (*kubernetes.Clientset, error) {
	cfg := rest.CopyConfig(config)
	cfg.ContentType = "application/vnd.kubernetes.protobuf"
	// A dialer of its own keeps client-go from sharing one connection.
	dial := cfg.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return dial(ctx, network, address)
	}
	transport, err := rest.TransportFor(cfg)
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfigAndClient(cfg, &http.Client{Transport: transport})
}

// Addresses shows which Services have an address.
func (t *Tenant) Addresses() *Addresses { return t.seen }

// Create creates a Service of type LoadBalancer, port 80, for the pods of the
// walk-through (app: con-test), over one of the connections.
func (t *Tenant) Create(ctx context.Context, connection int, name string) error {
	_, err := t.clients[connection].CoreV1().Services(namespace).Create(ctx, service(name), metav1.CreateOptions{})
	return err
}

// Delete deletes a Service over one of the connections.
func (t *Tenant) Delete(ctx context.Context, connection int, name string) error {
	return t.clients[connection].CoreV1().Services(namespace).Delete(ctx, name, metav1.DeleteOptions{})
}

// Each calls do for every number below n, over all connections at once, each
// number once. It returns the first error, after which it begins nothing more.
func (t *Tenant) Each(ctx context.Context, n int, do func(connection, i int) error) error {
	numbers := make(chan int)
	errs := make(chan error, len(t.clients))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for connection := range t.clients {
		wg.Go(func() {
			for i := range numbers {
				if err := do(connection, i); err != nil {
					errs <- err
					cancel()
					return
				}
			}
		})
	}
	for i := range n {
		select {
		case numbers <- i:
		case <-ctx.Done():
		}
	}
	close(numbers)
	wg.Wait()
	close(errs)
	return <-errs
}

func service(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeLoadBalancer,
			Selector: map[string]string{"app": "con-test"},
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(80)}},
			// There are fewer node ports than a burst may have Services.
			AllocateLoadBalancerNodePorts: new(bool),
		},
	}
}
