package kubelet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pharoslb/pharos/internal/linux/container"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

// volumes are one pod's, as directories of the machine.
type volumes struct {
	api    *api
	around surroundings
	dir    string              // the pod's own
	host   func(string) string // where a path of the node lies on the machine

	mu    sync.Mutex           // held while files are written
	renew map[string]time.Time // token files: when 80% of their time is over
}

// place is the directory or file of the machine that a volume is.
func (v *volumes) place(volume corev1.Volume) string {
	if volume.HostPath != nil {
		return v.host(volume.HostPath.Path)
	}
	return filepath.Join(v.dir, "volumes", volume.Name)
}

// make makes all volumes that containers mount.
func (v *volumes) make(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, volume := range v.around.pod.Spec.Volumes {
		var err error
		switch {
		case volume.EmptyDir != nil:
			if err = os.MkdirAll(v.place(volume), 0o777); err == nil {
				err = v.give(v.place(volume), 0o777|fs.ModeSetgid)
			}
		case volume.HostPath != nil:
			err = makeHostPath(v.place(volume), volume.HostPath)
		default:
			err = v.project(ctx, volume)
		}
		if err != nil {
			return fmt.Errorf("volume %q: %w", volume.Name, err)
		}
	}
	return nil
}

// refresh brings the volumes that follow API objects up to date. What can't be
// read now stays as it is.
func (v *volumes) refresh(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	var errs []error
	for _, volume := range v.around.pod.Spec.Volumes {
		if volume.EmptyDir == nil && volume.HostPath == nil {
			if err := v.project(ctx, volume); err != nil {
				errs = append(errs, fmt.Errorf("volume %q: %w", volume.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// file is one of a projected volume.
type file struct {
	path string
	data []byte
	mode fs.FileMode
}

// project writes a volume that shows API objects.
func (v *volumes) project(ctx context.Context, volume corev1.Volume) error {
	var sources []corev1.VolumeProjection
	mode := int32(corev1.ConfigMapVolumeSourceDefaultMode)
	set := func(m *int32, source corev1.VolumeProjection) {
		sources = append(sources, source)
		if m != nil {
			mode = *m
		}
	}
	switch {
	case volume.Secret != nil:
		set(volume.Secret.DefaultMode, corev1.VolumeProjection{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: volume.Secret.SecretName},
			Items:                volume.Secret.Items, Optional: volume.Secret.Optional}})
	case volume.ConfigMap != nil:
		set(volume.ConfigMap.DefaultMode, corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: volume.ConfigMap.LocalObjectReference,
			Items:                volume.ConfigMap.Items, Optional: volume.ConfigMap.Optional}})
	case volume.DownwardAPI != nil:
		set(volume.DownwardAPI.DefaultMode, corev1.VolumeProjection{DownwardAPI: &corev1.DownwardAPIProjection{Items: volume.DownwardAPI.Items}})
	case volume.Projected != nil:
		for _, source := range volume.Projected.Sources {
			set(volume.Projected.DefaultMode, source)
		}
	default:
		return errors.New("this kubelet knows no volumes of its kind")
	}
	var files []file
	for _, source := range sources {
		some, err := v.projection(ctx, volume.Name, source, fs.FileMode(mode))
		if err != nil {
			return err
		}
		files = append(files, some...)
	}
	return writeAtomically(v.place(volume), files, v.give)
}

// give sets the mode of a file or directory of a volume, and its group if the
// pod names one for its volumes (fsGroup), which may then read it.
func (v *volumes) give(path string, mode fs.FileMode) error {
	if sc := v.around.pod.Spec.SecurityContext; sc != nil && sc.FSGroup != nil && !sandbox.Rootless() {
		if err := os.Chown(path, -1, int(*sc.FSGroup)); err != nil {
			return err
		}
		mode |= 0o440
	}
	return os.Chmod(path, mode)
}

func (v *volumes) projection(ctx context.Context, volume string, p corev1.VolumeProjection, mode fs.FileMode) ([]file, error) {
	from := reader{v.api, ctx}
	namespace := v.around.pod.Namespace
	switch {
	case p.Secret != nil:
		data, err := from.secret(namespace, p.Secret.Name)
		return keys(data, err, p.Secret.Items, p.Secret.Optional, mode)
	case p.ConfigMap != nil:
		data, err := from.configMap(namespace, p.ConfigMap.Name)
		return keys(data, err, p.ConfigMap.Items, p.ConfigMap.Optional, mode)
	case p.DownwardAPI != nil:
		var files []file
		for _, item := range p.DownwardAPI.Items {
			if item.FieldRef == nil {
				return nil, fmt.Errorf("item %s: this kubelet projects fields alone", item.Path)
			}
			value, err := v.around.field(item.FieldRef.FieldPath)
			if err != nil {
				return nil, err
			}
			files = append(files, file{item.Path, []byte(value), itemMode(item.Mode, mode)})
		}
		return files, nil
	case p.ServiceAccountToken != nil:
		token, err := v.token(ctx, volume, p.ServiceAccountToken)
		return []file{{p.ServiceAccountToken.Path, token, mode}}, err
	}
	return nil, errors.New("this kubelet knows no projections of its kind")
}

// token returns the token that is there while it is fresh, else a new one.
func (v *volumes) token(ctx context.Context, volume string, p *corev1.ServiceAccountTokenProjection) ([]byte, error) {
	path := filepath.Join(v.dir, "volumes", volume, p.Path)
	if time.Now().Before(v.renew[path]) {
		return os.ReadFile(path)
	}
	seconds := int64(3600)
	if p.ExpirationSeconds != nil {
		seconds = *p.ExpirationSeconds
	}
	asked := time.Now()
	status, err := v.api.token(ctx, v.around.pod, p.Audience, seconds)
	if err != nil {
		return nil, fmt.Errorf("token of service account %s: %w", v.around.pod.Spec.ServiceAccountName, err)
	}
	// The API server may stretch the token's life for old clients' sake; the
	// file is renewed as if it had not.
	life := min(status.ExpirationTimestamp.Sub(asked), time.Duration(seconds)*time.Second)
	if v.renew == nil {
		v.renew = map[string]time.Time{}
	}
	v.renew[path] = asked.Add(life * 8 / 10)
	return []byte(status.Token), nil
}

// keys picks an object's keys as files.
func keys(data map[string][]byte, err error, items []corev1.KeyToPath, optional *bool, mode fs.FileMode) ([]file, error) {
	mayMiss := optional != nil && *optional
	if err != nil {
		if isMissing(err) && mayMiss {
			return nil, nil
		}
		return nil, err
	}
	var files []file
	if items == nil {
		for key, value := range data {
			files = append(files, file{key, value, mode})
		}
		return files, nil
	}
	for _, item := range items {
		value, ok := data[item.Key]
		if !ok && !mayMiss {
			return nil, missing{fmt.Sprintf("key %q", item.Key)}
		}
		if ok {
			files = append(files, file{item.Path, value, itemMode(item.Mode, mode)})
		}
	}
	return files, nil
}

func itemMode(mode *int32, otherwise fs.FileMode) fs.FileMode {
	if mode != nil {
		return fs.FileMode(*mode)
	}
	return otherwise
}

// writeAtomically makes dir hold exactly files, and lets readers see either all
// old or all new ones: the files are in a directory of their own, behind the
// symlink ..data, which is swapped.
func writeAtomically(dir string, files []file, give func(string, fs.FileMode) error) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	const link = "..data"
	old, err := os.Readlink(filepath.Join(dir, link))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && same(filepath.Join(dir, old), files) {
		return nil
	}
	fresh, err := os.MkdirTemp(dir, "..")
	if err != nil {
		return err
	}
	if err := os.Chmod(fresh, 0o755); err != nil {
		return err
	}
	tops := map[string]bool{}
	for _, f := range files {
		path := filepath.Join(fresh, f.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.data, 0o600); err != nil {
			return err
		}
		if err := give(path, f.mode); err != nil {
			return err
		}
		top, _, _ := strings.Cut(filepath.Clean(f.path), "/")
		tops[top] = true
	}
	swap := filepath.Join(dir, "..swap")
	if err := os.Symlink(filepath.Base(fresh), swap); err != nil {
		return err
	}
	if err := os.Rename(swap, filepath.Join(dir, link)); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case name == link || name == filepath.Base(fresh) || tops[name]:
			delete(tops, name)
		default:
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	for top := range tops {
		if err := os.Symlink(filepath.Join(link, top), filepath.Join(dir, top)); err != nil {
			return err
		}
	}
	return nil
}

// same tells whether a directory holds files and nothing else.
func same(dir string, files []file) bool {
	count := 0
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			count++
		}
		return err
	})
	return err == nil && count == len(files) && !slices.ContainsFunc(files, func(f file) bool {
		data, err := os.ReadFile(filepath.Join(dir, f.path))
		return err != nil || !bytes.Equal(data, f.data)
	})
}

// makeHostPath checks or makes what a hostPath's type asks for.
func makeHostPath(path string, source *corev1.HostPathVolumeSource) error {
	kind := corev1.HostPathUnset
	if source.Type != nil {
		kind = *source.Type
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		switch kind {
		case corev1.HostPathUnset, corev1.HostPathDirectoryOrCreate:
			return os.MkdirAll(path, 0o755)
		case corev1.HostPathFileOrCreate:
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			return os.WriteFile(path, nil, 0o644)
		}
	}
	if err != nil {
		return fmt.Errorf("hostPath %s: %w", source.Path, err)
	}
	right := true
	switch kind {
	case corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate:
		right = info.IsDir()
	case corev1.HostPathFile, corev1.HostPathFileOrCreate:
		right = info.Mode().IsRegular()
	case corev1.HostPathSocket:
		right = info.Mode()&fs.ModeSocket != 0
	}
	if !right {
		return fmt.Errorf("hostPath %s is no %s", source.Path, kind)
	}
	return nil
}

// mounts are a container's, its volumes in place.
func (v *volumes) mounts(c *corev1.Container) ([]container.Mount, error) {
	var all []container.Mount
	for _, m := range c.VolumeMounts {
		i := slices.IndexFunc(v.around.pod.Spec.Volumes, func(volume corev1.Volume) bool { return volume.Name == m.Name })
		if i < 0 {
			return nil, missing{fmt.Sprintf("volume %q", m.Name)}
		}
		volume := v.around.pod.Spec.Volumes[i]
		source := v.place(volume)
		if m.SubPath != "" {
			source = filepath.Join(source, m.SubPath)
			if _, err := os.Stat(source); errors.Is(err, fs.ErrNotExist) && (volume.EmptyDir != nil || volume.HostPath != nil) {
				if err := os.MkdirAll(source, 0o755); err != nil {
					return nil, err
				}
			}
		}
		source, err := filepath.EvalSymlinks(source)
		if err != nil {
			return nil, err
		}
		// Volumes that show API objects are never the container's to write.
		readOnly := m.ReadOnly || volume.EmptyDir == nil && volume.HostPath == nil
		all = append(all, container.Mount{Source: source, Target: m.MountPath, ReadOnly: readOnly})
	}
	return all, nil
}
