package kubelet

import (
	"fmt"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/pharoslb/pharos/internal/linux/container"
)

// recipe is how a container's image is run here.
type recipe struct {
	// greet: no program; the built-in server answers on ports.
	greet bool
	ports []corev1.ContainerPort
	// args are the program's, mounts what it needs to be found.
	args   []string
	mounts []container.Mount
	// imageID names what stood in for the image.
	imageID string
}

// choose decides what stands in for a container's image. command and args are
// the container's, with variables expanded.
func choose(c *corev1.Container, command, args []string, images map[string]string) recipe {
	program, known := images[repository(c.Image)]
	if known {
		inside := "/" + path.Base(program)
		// An explicit command that names the image's own program, wherever
		// the image keeps it, means that program.
		if len(command) == 0 || path.Base(command[0]) == path.Base(program) {
			rest := args
			if len(command) > 0 {
				rest = append(command[1:len(command):len(command)], args...)
			}
			return recipe{
				args:    append([]string{inside}, rest...),
				mounts:  []container.Mount{{Source: program, Target: inside, ReadOnly: true}},
				imageID: "host://" + program,
			}
		}
	}
	if len(command) > 0 {
		r := recipe{args: append(command[:len(command):len(command)], args...), imageID: "host://" + command[0]}
		if hidden(command[0]) {
			r.mounts = []container.Mount{{Source: command[0], Target: command[0], ReadOnly: true}}
		}
		return r
	}
	r := recipe{greet: true, imageID: "builtin://hostname", ports: c.Ports}
	if len(r.ports) == 0 {
		r.ports = []corev1.ContainerPort{{ContainerPort: 80, Protocol: corev1.ProtocolTCP}}
	}
	return r
}

// repository is an image's name without registry default, tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		image = image[:i]
	}
	return strings.TrimPrefix(image, "docker.io/")
}

// hidden tells of a path that a container has a directory of its own for.
func hidden(file string) bool {
	return strings.HasPrefix(file, "/tmp/") || strings.HasPrefix(file, "/run/")
}

// unsupported tells what of a pod's spec can't be honoured here and would
// mislead if it were ignored.
func unsupported(pod *corev1.Pod, c *corev1.Container) error {
	if !pod.Spec.HostNetwork {
		for _, p := range c.Ports {
			if p.HostPort != 0 {
				return fmt.Errorf("hostPort %d: this kubelet forwards no ports of the node", p.HostPort)
			}
		}
	}
	for _, m := range c.VolumeMounts {
		if m.SubPathExpr != "" {
			return fmt.Errorf("volumeMount %s: subPathExpr is not supported by this kubelet", m.Name)
		}
	}
	if len(c.VolumeDevices) > 0 {
		return fmt.Errorf("volumeDevices are not supported by this kubelet")
	}
	for name, p := range map[string]*corev1.Probe{"readinessProbe": c.ReadinessProbe, "livenessProbe": c.LivenessProbe, "startupProbe": c.StartupProbe} {
		if p != nil && p.GRPC != nil {
			return fmt.Errorf("%s: grpc is not supported by this kubelet", name)
		}
	}
	return nil
}
