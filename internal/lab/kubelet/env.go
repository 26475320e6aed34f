package kubelet

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// defaultPath is what a program without a PATH of its own gets.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// source reads what environments and volumes refer to.
type source interface {
	secret(namespace, name string) (map[string][]byte, error)
	configMap(namespace, name string) (map[string][]byte, error)
}

// missing is the error for an object or key that does not exist.
type missing struct{ what string }

func (m missing) Error() string { return m.what + " not found" }

// surroundings is what a container's environment depends on besides its spec.
type surroundings struct {
	pod         *corev1.Pod
	hostname    string
	serviceAddr netip.AddrPort
	podAddrs    []netip.Addr
	hostAddrs   []netip.Addr
	allocatable corev1.ResourceList
	source      source
}

// environment is a container's variables, in order of definition, each once.
type environment struct {
	names  []string
	values map[string]string
}

func (e *environment) set(name, value string) {
	if _, ok := e.values[name]; !ok {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

func (e *environment) list() []string {
	var all []string
	for _, name := range e.names {
		all = append(all, name+"="+e.values[name])
	}
	return all
}

// environment builds a container's variables: the kubelet's, those of the
// service "kubernetes", envFrom, then env, later ones winning.
func (s surroundings) environment(c *corev1.Container) (*environment, error) {
	e := &environment{values: map[string]string{}}
	e.set("PATH", defaultPath)
	e.set("HOSTNAME", s.hostname)
	e.set("HOME", "/root")
	host, port := s.serviceAddr.Addr().String(), strconv.Itoa(int(s.serviceAddr.Port()))
	url := "tcp://" + net.JoinHostPort(host, port)
	e.set("KUBERNETES_SERVICE_HOST", host)
	e.set("KUBERNETES_SERVICE_PORT", port)
	e.set("KUBERNETES_SERVICE_PORT_HTTPS", port)
	e.set("KUBERNETES_PORT", url)
	e.set("KUBERNETES_PORT_"+port+"_TCP", url)
	e.set("KUBERNETES_PORT_"+port+"_TCP_ADDR", host)
	e.set("KUBERNETES_PORT_"+port+"_TCP_PORT", port)
	e.set("KUBERNETES_PORT_"+port+"_TCP_PROTO", "tcp")
	for _, from := range c.EnvFrom {
		if err := s.envFrom(e, from); err != nil {
			return nil, err
		}
	}
	for _, v := range c.Env {
		if v.ValueFrom == nil {
			e.set(v.Name, expand(v.Value, e.values))
			continue
		}
		value, ok, err := s.valueFrom(c, v.ValueFrom)
		if err != nil {
			return nil, fmt.Errorf("env %s: %w", v.Name, err)
		}
		if ok {
			e.set(v.Name, value)
		}
	}
	return e, nil
}

func (s surroundings) envFrom(e *environment, from corev1.EnvFromSource) error {
	var data map[string][]byte
	var err error
	var optional *bool
	switch {
	case from.ConfigMapRef != nil:
		data, err = s.source.configMap(s.pod.Namespace, from.ConfigMapRef.Name)
		optional = from.ConfigMapRef.Optional
	case from.SecretRef != nil:
		data, err = s.source.secret(s.pod.Namespace, from.SecretRef.Name)
		optional = from.SecretRef.Optional
	}
	if err != nil {
		if isMissing(err) && optional != nil && *optional {
			return nil
		}
		return fmt.Errorf("envFrom: %w", err)
	}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		e.set(from.Prefix+key, string(data[key]))
	}
	return nil
}

// valueFrom resolves a reference; false means an optional one without target.
func (s surroundings) valueFrom(c *corev1.Container, from *corev1.EnvVarSource) (string, bool, error) {
	pick := func(data map[string][]byte, err error, what, name, key string, optional *bool) (string, bool, error) {
		if err == nil {
			if value, ok := data[key]; ok {
				return string(value), true, nil
			}
			err = missing{fmt.Sprintf("key %q of %s %q", key, what, name)}
		}
		if isMissing(err) && optional != nil && *optional {
			return "", false, nil
		}
		return "", false, err
	}
	switch {
	case from.FieldRef != nil:
		value, err := s.field(from.FieldRef.FieldPath)
		return value, true, err
	case from.ResourceFieldRef != nil:
		value, err := s.resource(c, from.ResourceFieldRef)
		return value, true, err
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		data, err := s.source.secret(s.pod.Namespace, ref.Name)
		return pick(data, err, "secret", ref.Name, ref.Key, ref.Optional)
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		data, err := s.source.configMap(s.pod.Namespace, ref.Name)
		return pick(data, err, "configmap", ref.Name, ref.Key, ref.Optional)
	}
	return "", false, fmt.Errorf("this kubelet knows no such source of a value")
}

// field resolves a downward API path.
func (s surroundings) field(path string) (string, error) {
	pod := s.pod
	if name, key, ok := strings.Cut(strings.TrimSuffix(path, "']"), "['"); ok {
		switch name {
		case "metadata.labels":
			return pod.Labels[key], nil
		case "metadata.annotations":
			return pod.Annotations[key], nil
		}
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "metadata.labels":
		return formatMap(pod.Labels), nil
	case "metadata.annotations":
		return formatMap(pod.Annotations), nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.podIP":
		return first(s.podAddrs), nil
	case "status.podIPs":
		return join(s.podAddrs), nil
	case "status.hostIP":
		return first(s.hostAddrs), nil
	case "status.hostIPs":
		return join(s.hostAddrs), nil
	}
	return "", fmt.Errorf("this kubelet knows no field %q", path)
}

// resource resolves a limit or request, in units of the reference's divisor,
// rounded up. A limit that is not set is what the node has.
func (s surroundings) resource(c *corev1.Container, ref *corev1.ResourceFieldSelector) (string, error) {
	if ref.ContainerName != "" && ref.ContainerName != c.Name {
		return "", fmt.Errorf("resource of another container (%s)", ref.ContainerName)
	}
	kind, name, _ := strings.Cut(ref.Resource, ".")
	var quantity resource.Quantity
	switch kind {
	case "limits":
		var ok bool
		if quantity, ok = c.Resources.Limits[corev1.ResourceName(name)]; !ok {
			quantity = s.allocatable[corev1.ResourceName(name)]
		}
	case "requests":
		quantity = c.Resources.Requests[corev1.ResourceName(name)]
	default:
		return "", fmt.Errorf("this kubelet knows no resource %q", ref.Resource)
	}
	divisor := ref.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	milli, by := quantity.MilliValue(), divisor.MilliValue()
	return strconv.FormatInt((milli+by-1)/by, 10), nil
}

// expand replaces $(NAME) by the variable's value; unknown ones stay as they
// are, and $$ is a dollar sign.
func expand(text string, values map[string]string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(text, "$")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		switch {
		case strings.HasPrefix(after, "$"):
			b.WriteByte('$')
			text = after[1:]
			continue
		case strings.HasPrefix(after, "("):
			if name, rest, closed := strings.Cut(after[1:], ")"); closed {
				if value, known := values[name]; known {
					b.WriteString(value)
				} else {
					b.WriteString("$(" + name + ")")
				}
				text = rest
				continue
			}
		}
		b.WriteByte('$')
		text = after
	}
}

func expandAll(texts []string, values map[string]string) []string {
	var all []string
	for _, text := range texts {
		all = append(all, expand(text, values))
	}
	return all
}

// formatMap writes labels or annotations as the downward API does.
func formatMap(m map[string]string) string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		lines = append(lines, key+"="+strconv.Quote(m[key]))
	}
	return strings.Join(lines, "\n")
}

func first(addrs []netip.Addr) string {
	if len(addrs) == 0 {
		return ""
	}
	return addrs[0].String()
}

func join(addrs []netip.Addr) string {
	var all []string
	for _, a := range addrs {
		all = append(all, a.String())
	}
	return strings.Join(all, ",")
}
