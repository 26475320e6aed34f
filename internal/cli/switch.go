package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptcp"
	"github.com/pharoslb/pharos/internal/linux/fib"
	"github.com/pharoslb/pharos/internal/linux/port"
	"github.com/pharoslb/pharos/internal/localapi"
	"github.com/pharoslb/pharos/internal/nxos"
	"github.com/pharoslb/pharos/internal/task"
	"github.com/pharoslb/pharos/internal/version"
	"github.com/pharoslb/pharos/router"
)

const (
	// maxConfig is the largest configuration file that is read, in octets.
	maxConfig = 8 << 20
	// maxCommand is the longest command that the socket takes, in octets.
	maxCommand = 4096
)

// switchFlags are those of pharos switch run.
type switchFlags struct {
	config     string
	socket     string
	logLevel   string
	interfaces map[string]string
	keepRoutes bool
	listen     string
}

func newSwitch() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "switch",
		Short: "A layer-3 switch that speaks BGP, with the command line of NX-OS",
		Long: `A layer-3 switch in software: it takes routes from BGP neighbors, chooses among
them as NX-OS does, and has the kernel of this machine (or network namespace)
forward by them, over several next hops at once where maximum-paths says so.`,
	}
	cmd.AddCommand(newSwitchRun(), newSwitchExec())
	return cmd
}

func newSwitchRun() *cobra.Command {
	var f switchFlags
	cmd := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Be the switch that a configuration file describes",
		Long: `Reads a configuration in the syntax of NX-OS, gives the interfaces their
addresses, and routes until it is told to end. SIGHUP reads the file again:
sessions that it does not change are not touched, and a file with errors changes
nothing.

Neighbors may be named by address, by prefix (all hosts of it that connect), or by
interface (the one found there by router advertisements, which needs no addresses);
bfd under a neighbor has the path to it watched.

An interface is the device of its name with dashes for slashes (Ethernet1/1 is
Ethernet1-1), or the one whose alias is the name, or the one that --interface
names.`,
		Example: "  pharos switch run --config switch.conf\n  pharos switch run --config switch.conf --interface Ethernet1/1=eth1 --interface Ethernet1/2=eth2",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runSwitch(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "the configuration's `FILE`")
	flags.StringVar(&f.socket, "socket", filepath.Join(socketDir, "switch.sock"), "path of the socket that serves the command line")
	flags.StringToStringVar(&f.interfaces, "interface", nil, "`NAME=DEVICE`: the device of an interface, may be repeated")
	flags.Lookup("interface").DefValue = "" // help would show it as []
	flags.BoolVar(&f.keepRoutes, "keep-routes", false, "leave the routes in the kernel at the end; the next run takes them over")
	flags.StringVar(&f.listen, "listen-port", "179", "TCP port on which neighbors are listened for")
	flags.StringVar(&f.logLevel, "log-level", "info", "all, debug, info, warn, error or none")
	cmd.MarkFlagRequired("config")
	return cmd
}

// layer3 is the running switch: the configuration in force, and what it is made of.
type layer3 struct {
	flags  switchFlags
	log    *slog.Logger
	ports  *port.Ports
	router *router.Router
	config atomic.Pointer[nxos.Config]
	names  atomic.Pointer[map[string]string] // of interfaces, by device
}

func runSwitch(ctx context.Context, f switchFlags) error {
	thrift()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	log, err := (&daemon{logLevel: f.logLevel}).logger(os.Stderr)
	if err != nil {
		return err
	}
	if f.interfaces, err = interfaceNames(f.interfaces); err != nil {
		return err
	}
	config, err := readSwitchConfig(f.config)
	if err != nil {
		return err
	}
	listen, err := listenAddrs(f.listen)
	if err != nil {
		return err
	}
	if err := free(ctx, listen); err != nil {
		return err
	}
	if err := fib.Tune(); err != nil {
		log.Warn("the kernel is not set up as a router should be", "err", err)
	}
	table, err := fib.Open()
	if err != nil {
		return err
	}
	defer table.Close()
	s := &layer3{flags: f, log: log}
	if s.ports, err = port.Open(); err != nil {
		return err
	}
	var sessions *linkSpeaker
	paths := watchPaths(func(c bfd.Change) { sessions.StateChanged(c) }, log)
	s.router, err = router.New(router.Options{
		NewSpeaker: func(h bgp.Handler) (router.Speaker, error) {
			var err error
			sessions, err = newLinkSpeaker(bgp.Options{
				Dialer: bgptcp.Dialer{}, Listener: bgptcp.Listen, ListenAddrs: listen, Handler: h, Detector: paths, Log: log,
			})
			return sessions, err
		},
		FIB: table, Links: s.ports, KeepRoutes: f.keepRoutes, Log: log,
	})
	if err != nil {
		return err
	}
	if err := s.apply(config); err != nil {
		return err
	}
	log.Info("switch runs", "config", f.config, "hostname", config.Name(), "socket", f.socket)
	return task.Run(ctx,
		s.ports.Run,
		s.router.Run,
		paths.Run,
		func(ctx context.Context) error { return localapi.Serve(ctx, f.socket, s.api()) },
		func(ctx context.Context) error {
			for {
				select {
				case <-ctx.Done():
					return nil
				case <-hangup:
					s.reload()
				}
			}
		},
	)
}

// interfaceNames checks --interface and writes the names as configurations do.
func interfaceNames(in map[string]string) (map[string]string, error) {
	out := make(map[string]string, len(in))
	for name, device := range in {
		full, err := nxos.InterfaceName(name)
		if err != nil {
			return nil, fmt.Errorf("--interface %s=%s: %w", name, device, err)
		}
		out[full] = device
	}
	return out, nil
}

// listenAddrs are all addresses of the families that the kernel has.
func listenAddrs(tcpPort string) ([]netip.AddrPort, error) {
	v4, err := netip.ParseAddrPort("0.0.0.0:" + tcpPort)
	if err != nil {
		return nil, fmt.Errorf("--listen-port %s is not a port", tcpPort)
	}
	addrs := []netip.AddrPort{v4}
	if _, err := os.Stat("/proc/net/if_inet6"); err == nil {
		addrs = append(addrs, netip.AddrPortFrom(netip.IPv6Unspecified(), v4.Port()))
	}
	return addrs, nil
}

// free fails where another process listens for BGP, before anything of the kernel's is
// touched: a second switch would take the first one's routes over, and with its own end
// away.
func free(ctx context.Context, listen []netip.AddrPort) error {
	for _, addr := range listen {
		l, err := bgptcp.Listen(ctx, addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("another switch or BGP daemon runs in this network namespace, stop it first: %w", err)
		}
		if errors.Is(err, syscall.EACCES) {
			return fmt.Errorf("a switch is run as root, or with CAP_NET_ADMIN and CAP_NET_BIND_SERVICE: %w", err)
		}
		if err != nil {
			return err
		}
		l.Close()
	}
	return nil
}

func readSwitchConfig(path string) (*nxos.Config, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the switch's configuration: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err != nil {
		return nil, fmt.Errorf("read the switch's configuration: %w", err)
	}
	if len(text) > maxConfig {
		return nil, fmt.Errorf("the configuration %s is larger than %d MiB", path, maxConfig>>20)
	}
	c, err := nxos.Parse(filepath.Base(path), text)
	if err == nil && c.BGP == nil && len(c.Interfaces) == 0 {
		// More likely a file that is just being written than a wish.
		err = fmt.Errorf("%s: nothing is configured: a switch needs an interface or router bgp", filepath.Base(path))
	}
	return c, err
}

// apply puts a configuration in force: interfaces first, sessions depend on them.
func (s *layer3) apply(c *nxos.Config) error {
	var ports []port.Port
	names, devices := make(map[string]string), make(map[string]string)
	for _, i := range c.Interfaces {
		p := port.Port{Name: i.Name, Device: s.flags.interfaces[i.Name], Addrs: i.Addrs, Shutdown: i.Shutdown}
		ports = append(ports, p)
		device, err := s.ports.Device(p)
		if err != nil {
			return err
		}
		names[device], devices[i.Name] = i.Name, device
	}
	routing := c.Router(devices)
	if err := routing.Validate(); err != nil {
		return err
	}
	if err := s.ports.Apply(ports); err != nil {
		return err
	}
	for device := range names {
		if err := fib.TunePort(device); err != nil {
			s.log.Warn("dead neighbors will be noticed later than they could be", "device", device, "err", err)
		}
	}
	for _, n := range routing.Neighbors {
		if len(n.Families) == 0 {
			s.log.Warn("neighbor has no address-family and stays idle", "peer", n.Name())
		}
	}
	if err := s.router.Set(routing); err != nil {
		return err
	}
	s.config.Store(c)
	s.names.Store(&names)
	return nil
}

// reload reads the file again; errors leave what is in force.
func (s *layer3) reload() {
	c, err := readSwitchConfig(s.flags.config)
	if err == nil {
		err = s.apply(c)
	}
	if err != nil {
		s.log.Error("the new configuration is refused, the old one stays in force", "config", s.flags.config, "err", err)
		return
	}
	s.log.Info("configuration read again", "config", s.flags.config)
}

// api serves the status and the command line.
func (s *layer3) api() http.Handler {
	shell := &nxos.Shell{
		Source: s.router, Config: s.config.Load, Version: version.Version,
		Interfaces: func() map[string]string { return *s.names.Load() },
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/status", localapi.JSON(func() switchStatus { return newSwitchStatus(s.router) }))
	mux.HandleFunc("POST /v1/exec", func(w http.ResponseWriter, r *http.Request) {
		line, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCommand))
		if err != nil {
			http.Error(w, fmt.Sprintf("%% a command has at most %d octets", maxCommand), http.StatusBadRequest)
			return
		}
		out, err := shell.Exec(string(line))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		io.WriteString(w, out)
	})
	return mux
}

var errNotUnderstood = errors.New("the command is not understood")

// execSwitch has the switch behind the socket execute a line. What its grammar does
// not have is told without asking, with the marker below the line.
func execSwitch(ctx context.Context, socket, line string) (string, error) {
	if err := nxos.Check(line); err != nil {
		return "", fmt.Errorf("%w:\n%s\n%w", errNotUnderstood, line, err)
	}
	return localapi.Post(ctx, socket, "/v1/exec", strings.TrimSpace(line))
}
