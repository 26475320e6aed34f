package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pharoslb/pharos"
)

// EnsureSecret makes a Secret with one key, unless one of its name exists, which
// it neither reads nor changes.
func (c *Client) EnsureSecret(ctx context.Context, name pharos.Name, key string, value pharos.Secret) error {
	ctx, cancel := context.WithTimeout(quiet(ctx), requestTimeout)
	defer cancel()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name},
		Data:       map[string][]byte{key: []byte(value)},
	}
	err := c.core.Post().Namespace(name.Namespace).Resource("secrets").Body(secret).Do(ctx).Error()
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make secret %s: %w", name, err)
	}
	return nil
}
