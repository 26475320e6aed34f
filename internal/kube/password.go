package kube

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/api/v1beta2"
	"github.com/pharoslb/pharos/internal/crd"
)

// Secrets are read one by one, by the names that peers give, so that the right to
// get is enough: whoever has no right to list or watch learns nothing that it
// cannot name. What is there is read again every secretRefresh, which is when a
// new password is noticed; what is not as it should be first after minSecretRetry, then
// after twice as long each time, up to maxSecretRetry.
const (
	secretRefresh  = time.Minute
	minSecretRetry = 2 * time.Second
	maxSecretRetry = 30 * time.Second

	// maxSecretReads is how many are read at a time.
	maxSecretReads = 4

	// passwordKey is where a Secret of type kubernetes.io/basic-auth has it.
	passwordKey = corev1.BasicAuthPasswordKey
)

// secret is a Secret as last read.
type secret struct {
	value  *crd.Secret // nil: it does not exist, or may not be read
	due    time.Time   // no read before
	retry  time.Duration
	failed string // the error that is logged
}

// passwords returns the Secrets that peers name, as far as they are known. The
// lock is held.
func (s *Source) passwords(peers []*v1beta2.BGPPeer) map[string]crd.Secret {
	names := s.config.parser.SecretNames(s.opts.ConfigMap.Namespace, peers)
	found := make(map[string]crd.Secret, len(names))
	for _, name := range names {
		if !s.opts.Passwords {
			unknown := pharos.Secret("unknown")
			found[name] = crd.Secret{Type: string(corev1.SecretTypeBasicAuth), Password: &unknown}
		} else if known := s.config.secrets[name]; known != nil && known.value != nil {
			found[name] = *known.value
		}
	}
	return found
}

// secretPause returns how long no Secret has to be read.
func (s *Source) secretPause(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait := time.Hour
	for _, known := range s.config.secrets {
		wait = min(wait, known.due.Sub(now))
	}
	return max(wait, 0)
}

// dueSecrets returns the Secrets to read now, and forgets those that nobody names
// any more. The lock is held.
func (s *Source) dueSecrets(now time.Time) []string {
	if !s.opts.Passwords {
		return nil
	}
	named := map[string]bool{}
	var due []string
	for _, name := range s.config.parser.SecretNames(s.opts.ConfigMap.Namespace, collect[*v1beta2.BGPPeer](s.config.objects[&peers])) {
		named[name] = true
		if known := s.config.secrets[name]; known == nil || !now.Before(known.due) {
			due = append(due, name)
		}
	}
	for name := range s.config.secrets {
		if !named[name] {
			delete(s.config.secrets, name)
		}
	}
	return due
}

// readSecrets reads Secrets, some at a time.
func (s *Source) readSecrets(ctx context.Context, due []string) {
	slots := make(chan struct{}, maxSecretReads)
	var all sync.WaitGroup
	for _, name := range due {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			value, err := s.opts.Client.password(ctx, pharos.Name{Namespace: s.opts.ConfigMap.Namespace, Name: name})
			s.keepSecret(name, value, err, time.Now())
		})
	}
	all.Wait()
}

// keepSecret takes in what a read of a Secret brought. One that could not be read
// because the API server did not answer stays as it was.
func (s *Source) keepSecret(name string, value *crd.Secret, err error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.config.secrets[name]
	if known == nil {
		known = &secret{}
		s.config.secrets[name] = known
	}
	if err == nil && value.Type == string(corev1.SecretTypeBasicAuth) && value.Password != nil {
		*known = secret{value: value, due: now.Add(secretRefresh)}
		return
	}
	if !errors.As(err, new(unreachable)) {
		known.value = value // none, or one that is not as it should be
	}
	known.retry = min(max(2*known.retry, minSecretRetry), maxSecretRetry)
	known.due = now.Add(known.retry)
	if err == nil {
		known.failed = "" // what is wrong with it, the configuration's problems tell
	} else if text := err.Error(); known.failed != text {
		s.errors++
		s.log.Warn("secret not read", "secret", name, "error", text)
		known.failed = text
	}
}

// password reads what a peer's password is in.
func (c *Client) password(ctx context.Context, name pharos.Name) (*crd.Secret, error) {
	kind, data, err := c.secret(ctx, name)
	if err != nil {
		return nil, err
	}
	out := &crd.Secret{Type: kind}
	if value, ok := data[passwordKey]; ok {
		out.Password = &value
	}
	return out, nil
}
