package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pharoslb/pharos/internal/linux/nsenter"
)

// goodbye is how long a program may take to end when asked to.
const goodbye = 5 * time.Second

// SwitchSocket is where the switch's command line is served.
func (s State) SwitchSocket() string { return s.path("switch.sock") }

// SwitchSocket is State.SwitchSocket.
func (l *Lab) SwitchSocket() string { return State{l.opts.Dir}.SwitchSocket() }

func (l *Lab) switchLog() string { return filepath.Join(l.opts.Dir, "log", "switch.log") }

// StartSwitch starts the switch with a configuration file, empty for the
// input's, and returns when its command line answers.
func (l *Lab) StartSwitch(ctx context.Context, config string) error {
	if config == "" {
		config = l.Input("switch.conf")
	}
	l.opts.Progress("switch", "pharos switch run --config "+filepath.Base(config))
	out, err := os.OpenFile(l.switchLog(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	begin, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	cmd := exec.Command(l.opts.Pharos, "switch", "run", "--config", config, "--socket", l.SwitchSocket())
	cmd.Stdout, cmd.Stderr = out, out
	if l.switchRuns() {
		return errors.New("the switch runs already")
	}
	j, err := l.start(nsenter.View{Net: l.network.sw, Hostname: Switch}, "", cmd)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.sw = j
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	for {
		_, err := l.SwitchExec(ctx, "show running-config")
		if err == nil {
			return nil
		}
		select {
		case <-j.done:
			l.StopSwitch()
			return fmt.Errorf("the switch ended (%v): %s", j.err, tail(l.switchLog(), begin))
		case <-ctx.Done():
			l.StopSwitch()
			return fmt.Errorf("the switch does not answer: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (l *Lab) switchRuns() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sw != nil
}

// StopSwitch ends the switch, which says goodbye to its neighbors.
func (l *Lab) StopSwitch() {
	l.mu.Lock()
	sw := l.sw
	l.sw = nil
	l.mu.Unlock()
	if sw != nil {
		sw.stop(syscall.SIGTERM)
	}
}

// SwitchExec runs one command on the switch's command line.
func (l *Lab) SwitchExec(ctx context.Context, line string) (string, error) {
	cmd := exec.Command(l.opts.Pharos, "switch", "exec", "--socket", l.SwitchSocket(), line)
	out, err := l.output(ctx, nsenter.View{Net: l.network.sw}, "", cmd)
	if err != nil {
		return out, fmt.Errorf("switch: %s: %w", line, err)
	}
	return out, nil
}

// tail returns the last lines of a log, from an offset.
func tail(path string, from int64) string {
	const most = 4 << 10
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	data = data[min(from, int64(len(data))):]
	if len(data) > most {
		data = data[len(data)-most:]
	}
	return strings.TrimSpace(string(data))
}
