package lab

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/pharoslb/pharos/internal/lab/cluster"
)

// EnsureControlPlane builds pharos-controlplane from the module that dir is in
// unless there is one, and returns its file. It is called outside a sandbox,
// where modules can be fetched.
func EnsureControlPlane(ctx context.Context, dir string, progress func(phase, detail string)) (string, error) {
	binary, missing := cluster.Binary()
	if missing == nil {
		return binary, nil
	}
	root, err := ModuleRoot(dir)
	if err != nil {
		return "", missing
	}
	source := filepath.Join(root, "controlplane")
	if _, err := os.Stat(source); err != nil {
		return "", missing
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		return "", fmt.Errorf("%w (and there is no Go here: %w)", missing, err)
	}
	const phase = "control plane"
	progress(phase, "building it, which takes some ten minutes the first time")
	version, err := kubernetesVersion(filepath.Join(source, "go.mod"))
	if err != nil {
		return "", err
	}
	all, err := exec.CommandContext(ctx, goTool, "-C", source, "list", "-deps", ".").Output()
	if err != nil {
		return "", fmt.Errorf("list the control plane's packages: %w", err)
	}
	total := bytes.Count(all, []byte("\n"))
	binary = filepath.Join(root, "bin", "pharos-controlplane")
	// -v names each package on standard error as it is compiled.
	build := exec.CommandContext(ctx, goTool, "-C", source, "build", "-v", "-trimpath", "-o", binary, "-ldflags",
		"-s -w -X k8s.io/component-base/version.gitVersion="+version+" -X k8s.io/client-go/pkg/version.gitVersion="+version, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := build.Start(); err != nil {
		return "", fmt.Errorf("build the control plane: %w", err)
	}
	var complaints []string
	compiled := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		if strings.ContainsAny(line, " #") { // not a package's path
			complaints = append(complaints, line)
			continue
		}
		if compiled++; compiled%50 == 0 {
			progress(phase, fmt.Sprintf("compiled %d packages of at most %d", compiled, total))
		}
	}
	if err := build.Wait(); err != nil {
		return "", fmt.Errorf("build the control plane: %w\n%s", err, strings.Join(complaints, "\n"))
	}
	return binary, nil
}

var requirement = regexp.MustCompile(`(?m)^\s*(?:require )?k8s\.io/kubernetes (v[0-9.]+)$`)

func kubernetesVersion(mod string) (string, error) {
	data, err := os.ReadFile(mod)
	if err != nil {
		return "", err
	}
	m := requirement.FindSubmatch(data)
	if m == nil {
		return "", fmt.Errorf("%s does not require k8s.io/kubernetes", mod)
	}
	return string(m[1]), nil
}
