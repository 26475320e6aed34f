package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/pharoslb/pharos/internal/linux/nsenter"
)

// call is one caller's request, under way.
type call struct {
	lab *Lab
	Request
	files   files
	signals chan syscall.Signal
}

// do serves the call and returns its exit status.
func (c *call) do(ctx context.Context) (int, error) {
	switch c.Verb {
	case VerbStatus:
		return 0, c.status()
	case VerbExec:
		return c.exec(ctx)
	case VerbKubectl:
		return c.kubectl(ctx)
	case VerbReboot:
		return 0, c.reboot(ctx)
	case VerbPower:
		return 0, c.power()
	case VerbLogs:
		return c.logs(ctx)
	}
	return 0, fmt.Errorf("the lab that runs does not know %q: it is another version's", c.Verb)
}

func (c *call) printf(format string, args ...any) { fmt.Fprintf(c.files[1], format, args...) }

func (c *call) exec(ctx context.Context) (int, error) {
	if len(c.Args) == 0 {
		return 0, errors.New("no program given")
	}
	v, machine, err := c.lab.view(c.Place)
	if err != nil {
		return 0, err
	}
	cmd := command(c.Args)
	cmd.Dir, cmd.Env = c.Dir, c.Env
	if v.PID != 0 || c.hidden(v) {
		cmd.Dir = "/"
	}
	return c.run(ctx, v, machine, cmd)
}

// hidden tells whether the caller's directory is not seen from a place.
func (c *call) hidden(v nsenter.View) bool {
	for _, b := range v.Binds {
		if c.Dir == b.Target || strings.HasPrefix(c.Dir, b.Target+"/") {
			return true
		}
	}
	return false
}

func (c *call) kubectl(ctx context.Context) (int, error) {
	if c.lab.cluster == nil {
		return 0, errNoCluster
	}
	cmd := c.lab.cluster.Kubectl(context.WithoutCancel(ctx), c.Args...)
	cmd.Dir = c.Dir
	for _, name := range []string{"TERM", "EDITOR", "LANG"} {
		for _, value := range c.Env {
			if strings.HasPrefix(value, name+"=") {
				cmd.Env = append(cmd.Env, value)
			}
		}
	}
	return c.run(ctx, nsenter.View{Net: c.lab.network.control}, "", cmd)
}

// run runs a program on the caller's files, and passes its signals on.
func (c *call) run(ctx context.Context, v nsenter.View, machine string, cmd *exec.Cmd) (int, error) {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.files[0], c.files[1], c.files[2]
	j, err := c.lab.start(v, machine, cmd)
	if err != nil {
		return 127, err
	}
	for {
		select {
		case s := <-c.signals:
			j.signal(s)
			continue
		case <-j.done:
		case <-ctx.Done():
			j.stop(syscall.SIGHUP)
		}
		break
	}
	var exit *exec.ExitError
	if j.err != nil && !errors.As(j.err, &exit) {
		return 0, j.err
	}
	state := j.cmd.ProcessState
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return state.ExitCode(), nil
}

func (c *call) power() error {
	switch strings.Join(c.Args, " ") {
	case "off":
		if err := c.lab.PowerOff(c.Place); err != nil {
			return err
		}
		c.printf("%s is off\n", c.Place)
	case "on":
		if err := c.lab.PowerOn(c.Place); err != nil {
			return err
		}
		c.printf("%s is on\n", c.Place)
	default:
		return fmt.Errorf("power %s: either on or off, then the node", strings.Join(c.Args, " "))
	}
	return nil
}

func (c *call) reboot(ctx context.Context) error {
	begin := time.Now()
	step := func(format string, args ...any) {
		c.printf("%6.1f s  %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, args...))
	}
	if err := c.lab.PowerOff(c.Place); err != nil {
		return err
	}
	step("%s: link cut, every process killed; off for %s", c.Place, c.Pause)
	timer := time.NewTimer(c.Pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		step("%s stays off; bring it back with: pharos lab power on %s", c.Place, c.Place)
		return ctx.Err()
	}
	if err := c.lab.PowerOn(c.Place); err != nil {
		return err
	}
	step("%s: power on", c.Place)
	if c.lab.cluster == nil {
		return nil
	}
	if err := c.lab.Ready(ctx, c.Place); err != nil {
		return err
	}
	step("%s: Ready", c.Place)
	return nil
}

// logs prints what a part of the lab logged, with tail(1).
func (c *call) logs(ctx context.Context) (int, error) {
	file, err := c.lab.log(c.Place, c.Args)
	if err != nil {
		return 0, err
	}
	args := []string{"-n", "+1"}
	if c.Follow {
		args = append(args, "-F")
	}
	return c.run(ctx, nsenter.View{}, "", exec.Command("tail", append(args, file)...))
}

// log finds the log file of a part of the lab.
func (l *Lab) log(what string, container []string) (string, error) {
	logs := map[string]string{"lab": State{l.opts.Dir}.Log()}
	if _, err := os.Stat(l.switchLog()); err == nil {
		logs[Switch] = l.switchLog()
	}
	if l.cluster != nil {
		for _, s := range l.cluster.Status() {
			logs[string(s.Component)] = s.Log
		}
		for _, n := range l.nodes {
			if file := l.kubeProxyLog(n.plan.Name); l.opts.KubeProxy != "" {
				logs["kube-proxy-"+n.plan.Name] = file
			}
		}
	}
	if file := logs[what]; file != "" {
		return file, nil
	}
	return l.podLog(what, container, logs)
}

func (c *call) status() error {
	status := c.lab.Status()
	if len(c.Args) > 0 && c.Args[0] == "json" {
		enc := json.NewEncoder(c.files[1])
		enc.SetIndent("", "  ")
		return enc.Encode(status)
	}
	status.print(c.files[1])
	return nil
}
