package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// process is one of the product's, found in /proc.
type process struct {
	pid  int
	node string // of a speaker or proxy
}

// userHZ is the unit of the times in /proc/PID/stat (proc_pid_stat(5)).
const userHZ = 100

// processes finds the product's processes of one role.
func processes(role string) []process {
	var found []process
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		args := bytes.Split(cmdline, []byte{0})
		if len(args) < 2 || string(args[1]) != role || filepath.Base(string(args[0])) != "pharos" {
			continue
		}
		p := process{}
		p.pid, _ = strconv.Atoi(filepath.Base(dir))
		env, _ := os.ReadFile(filepath.Join(dir, "environ"))
		for _, kv := range bytes.Split(env, []byte{0}) {
			if name, ok := bytes.CutPrefix(kv, []byte("METALLB_NODE_NAME=")); ok {
				p.node = string(name)
			}
		}
		found = append(found, p)
	}
	return found
}

// cpu returns the processor time that the process has used.
func (p process) cpu() time.Duration {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	_, after, ok := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after)
	if !ok || len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * time.Second / userHZ
}

// memory returns the resident memory in MiB.
func (p process) memory() float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}

// usage is what the product's processes have used, by role.
type usage map[string][]time.Duration

var roles = []string{"controller", "speaker", "proxy"}

func cpuNow() usage {
	u := usage{}
	for _, role := range roles {
		for _, p := range processes(role) {
			u[role] = append(u[role], p.cpu())
		}
	}
	return u
}

// since returns the largest share that one process of each role has used since
// an earlier reading.
func (u usage) since(earlier usage) map[string]time.Duration {
	most := map[string]time.Duration{}
	for role := range u {
		for i := range u[role] {
			if i < len(earlier[role]) {
				most[role] = max(most[role], u[role][i]-earlier[role][i])
			}
		}
	}
	return most
}

// memoryNow returns the largest resident memory of each role's processes, MiB.
func memoryNow() map[string]float64 {
	most := map[string]float64{}
	for _, role := range roles {
		for _, p := range processes(role) {
			most[role] = max(most[role], p.memory())
		}
	}
	return most
}
