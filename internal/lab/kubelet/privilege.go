package kubelet

import (
	"errors"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/pharoslb/pharos/internal/linux/container"
)

// defaultCapabilities are what container engines leave a container.
var defaultCapabilities = []string{
	"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW",
	"SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}

// privileges is what a container's security context and its pod's allow. With
// rootless, the lab's root is an ordinary user: there is no other user to
// become, and the container stays root.
func privileges(pod *corev1.PodSecurityContext, c *corev1.SecurityContext, rootless bool) (container.Privileges, error) {
	if pod == nil {
		pod = &corev1.PodSecurityContext{}
	}
	if c == nil {
		c = &corev1.SecurityContext{}
	}
	var p container.Privileges
	uid := either(c.RunAsUser, pod.RunAsUser, 0)
	if either(c.RunAsNonRoot, pod.RunAsNonRoot, false) && uid == 0 {
		return p, errors.New("container has runAsNonRoot, and the lab's images run as root unless runAsUser says otherwise")
	}
	if !rootless {
		p.UID, p.GID = uint32(uid), uint32(either(c.RunAsGroup, pod.RunAsGroup, 0))
		for _, g := range pod.SupplementalGroups {
			p.Groups = append(p.Groups, uint32(g))
		}
		if pod.FSGroup != nil {
			p.Groups = append(p.Groups, uint32(*pod.FSGroup))
		}
	}
	p.NoNewPrivileges = !either(c.AllowPrivilegeEscalation, nil, true)
	p.Capabilities = defaultCapabilities
	if either(c.Privileged, nil, false) {
		p.Capabilities = container.AllCapabilities()
	} else if c.Capabilities != nil {
		p.Capabilities = adjust(defaultCapabilities, c.Capabilities)
	}
	return p, nil
}

// adjust takes capabilities from a set and adds others; names may have the
// prefix CAP_, and ALL is all.
func adjust(set []string, change *corev1.Capabilities) []string {
	name := func(c corev1.Capability) string {
		return strings.TrimPrefix(strings.ToUpper(string(c)), "CAP_")
	}
	set = slices.Clone(set)
	for _, c := range change.Drop {
		if name(c) == "ALL" {
			set = nil
		}
		set = slices.DeleteFunc(set, func(have string) bool { return have == name(c) })
	}
	for _, c := range change.Add {
		if name(c) == "ALL" {
			return container.AllCapabilities()
		}
		if !slices.Contains(set, name(c)) {
			set = append(set, name(c))
		}
	}
	return set
}

// either returns the container's setting, else the pod's, else the default.
func either[T any](container, pod *T, otherwise T) T {
	switch {
	case container != nil:
		return *container
	case pod != nil:
		return *pod
	}
	return otherwise
}
