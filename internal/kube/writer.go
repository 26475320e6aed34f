package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/types"

	"github.com/pharoslb/pharos"
)

// ErrSuperseded says that the Service changed since the decision that was to be
// written: a newer Snapshot is here or on its way.
var ErrSuperseded = errors.New("the Service has changed since")

var errNotHeld = errors.New("the lease was not renewed in time; another may have it")

// Writer writes Services' statuses. Its methods may be called from any
// goroutine; each request is one call, so that the caller bounds them.
type Writer struct {
	client *Client
	source *Source
	lease  *Lease

	written, failed atomic.Uint64
}

// NewWriter makes a Writer of Services that source watches. It writes only while
// the Lease is held; a nil one always is.
func NewWriter(client *Client, source *Source, lease *Lease) *Writer {
	return &Writer{client: client, source: source, lease: lease}
}

// WriterStatus counts what a Writer did.
type WriterStatus struct {
	Written uint64 `json:"written"` // statuses
	Failed  uint64 `json:"failed"`  // requests that were refused or got no answer
}

// Status returns the present counts.
func (w *Writer) Status() WriterStatus {
	return WriterStatus{Written: w.written.Load(), Failed: w.failed.Load()}
}

// WriteStatus sets a Service's status.loadBalancer.ingress and the annotation of
// the pool that it is from, in one request; both are removed where ingress is
// empty. It writes only on top of the version of the Service that svc was
// converted from: where that is outdated the error is ErrSuperseded, and
// ErrNotFound where the Service is gone. An error that has a method Unreachable
// says nothing about the request.
func (w *Writer) WriteStatus(ctx context.Context, svc *pharos.Service, ingress []netip.Addr, pool string) error {
	version, ok := w.source.version(svc)
	if !ok {
		return ErrSuperseded
	}
	body, err := statusPatch(version, ingress, pool)
	if err != nil {
		return fmt.Errorf("encode status of %s: %w", svc.Name, err)
	}
	patience := requestTimeout
	if w.lease != nil {
		if patience = min(patience, w.lease.Left()); patience <= 0 {
			w.failed.Add(1)
			return fmt.Errorf("write status of %s: %w", svc.Name, unreachable{errNotHeld})
		}
	}
	w.client.statuses.enter()
	defer w.client.statuses.leave()
	ctx, cancel := context.WithTimeout(quiet(ctx), patience)
	defer cancel()
	// Services' strategy for the status subresource lets metadata through: this
	// is why one request is enough, and why services/status is the only right to
	// write that it needs.
	err = w.client.core.Patch(types.MergePatchType).Namespace(svc.Name.Namespace).Resource("services").
		Name(svc.Name.Name).SubResource("status").MaxRetries(0).Body(body).Do(ctx).Error()
	if err != nil {
		w.failed.Add(1)
		return fmt.Errorf("write status of %s: %w", svc.Name, requestError(err))
	}
	w.written.Add(1)
	return nil
}

// version returns the object's version that a noun stands for, and whether the
// noun is the newest.
func (s *Source) version(svc *pharos.Service) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ref := s.services[svc.Name]
	return ref.version, ref.noun == svc
}

type ingressIP struct {
	IP string `json:"ip"`
}

// statusPatch is a JSON merge patch (RFC 7396): null removes.
func statusPatch(version string, ingress []netip.Addr, pool string) ([]byte, error) {
	var patch struct {
		Metadata struct {
			ResourceVersion string             `json:"resourceVersion"`
			Annotations     map[string]*string `json:"annotations"`
		} `json:"metadata"`
		Status struct {
			LoadBalancer struct {
				Ingress []ingressIP `json:"ingress"`
			} `json:"loadBalancer"`
		} `json:"status"`
	}
	patch.Metadata.ResourceVersion = version
	patch.Metadata.Annotations = map[string]*string{prefix + allocatedFromPool: nil}
	for _, a := range ingress {
		patch.Status.LoadBalancer.Ingress = append(patch.Status.LoadBalancer.Ingress, ingressIP{a.String()})
	}
	if len(ingress) > 0 && pool != "" {
		patch.Metadata.Annotations[prefix+allocatedFromPool] = &pool
	}
	return json.Marshal(patch)
}
