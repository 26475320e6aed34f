package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bfd/bfdtest"
	"github.com/pharoslb/pharos/bfd/bfdudp"
)

const ms = time.Millisecond

// detector is our BFD on a node.
type detector struct {
	l *lab
	*bfd.Server
	*bfdtest.Recorder
	stop func()
}

func (l *lab) detect(m machine, sessions ...bfd.Config) *detector {
	l.t.Helper()
	var x *bfdudp.Transport
	l.must(m.Do(func() (err error) {
		x, err = bfdudp.Open()
		return err
	}))
	d := &detector{l: l, Recorder: bfdtest.NewRecorder()}
	var err error
	d.Server, err = bfd.NewServer(bfd.Options{Transport: x, Handler: d.Recorder})
	l.must(err, d.Set(sessions))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	d.stop = func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
		done <- nil
	}
	l.t.Cleanup(func() {
		d.stop()
		x.Close()
	})
	return d
}

// status waits for a session's status to be as check wants it.
func (d *detector) status(name string, check func(bfd.SessionStatus) bool) (st bfd.SessionStatus) {
	d.l.t.Helper()
	d.l.eventually("session "+name, func() error {
		for _, st = range d.Status() {
			if st.Name == name && check(st) {
				return nil
			}
		}
		return fmt.Errorf("%+v", d.Status())
	})
	return st
}

// agreed waits for a session to be Up with this interval in both directions, and the peer
// to have acknowledged ours.
func (d *detector) agreed(name string, interval time.Duration) bfd.SessionStatus {
	d.l.t.Helper()
	return d.status(name, func(st bfd.SessionStatus) bool {
		return st.State == bfd.Up && st.RemoteState == bfd.Up && !st.Polling && st.TransmitInterval == interval && st.ReceiveInterval == interval &&
			st.DetectionTime == multiplier*interval
	})
}

// multiplier is everybody's: with 50 ms sessions fall after 1.5 s, and not because the
// machine had something else to do.
const multiplier = 30

// watched is a session with the switch.
func watched(name string, remote netip.Addr, interval time.Duration, edit ...func(*bfd.Config)) bfd.Config {
	c := bfd.Config{Name: name, Remote: remote}
	c.ReceiveInterval, c.TransmitInterval, c.DetectMultiplier = interval, interval, multiplier
	for _, f := range edit {
		f(&c)
	}
	return c
}

func multihop(c *bfd.Config) { c.Multihop = true }

// watcher is another implementation of BFD on the switch.
type watcher interface {
	// start runs it; its sessions are four, 50 ms × multiplier: with the node over IPv4 and
	// IPv6, one hop and several.
	start(l *lab, node machine)
	// state is the state of its session with an address, in the RFC's word.
	state(l *lab, remote netip.Addr, multihop bool) (string, error)
	// interval changes both intervals of all sessions.
	interval(l *lab, d time.Duration)
	// shut ends the single-hop session of IPv4, or no more; says tells if it does so by
	// AdminDown.
	shut(l *lab, down bool) (says bool)
	// pid names the process.
	pid(l *lab) int
}

func (l *lab) pidFile(name string) int {
	l.t.Helper()
	b, err := os.ReadFile(filepath.Join(l.dir, name))
	l.must(err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	l.must(err)
	return pid
}

// TestBFD tells one story with each implementation.
func TestBFD(t *testing.T) {
	t.Run("FRR", func(t *testing.T) {
		need(t, "vtysh", frrLib+"/bfdd", "dumpcap", "tshark")
		bfdStory(t, &frrBFD{})
	})
	t.Run("BIRD", func(t *testing.T) {
		need(t, "bird", "birdc", "dumpcap", "tshark")
		bfdStory(t, &birdBFD{every: 50 * ms})
	})
}

func bfdStory(t *testing.T, w watcher) {
	l := newLab(t, 1)
	node := l.nodes[0]
	all := func(d time.Duration, edit ...func(*bfd.Config)) []bfd.Config {
		// BIRD sends over several hops with time to live 64.
		far := append([]func(*bfd.Config){multihop, func(c *bfd.Config) { c.MinimumTTL = 60 }}, edit...)
		return []bfd.Config{
			watched("v4", switch4, d, edit...), watched("v6", switch6, d, edit...),
			watched("far4", switch4, d, far...), watched("far6", switch6, d, far...),
		}
	}
	names := []string{"v4", "v6", "far4", "far6"}
	c := l.capture(onSegment)
	want := func(remote netip.Addr, multihop bool, state string) {
		t.Helper()
		l.eventually("the peer's session with "+remote.String(), func() error {
			got, err := w.state(l, remote, multihop)
			if err == nil && !strings.EqualFold(got, state) {
				err = fmt.Errorf("state %q, want %q", got, state)
			}
			return err
		})
	}
	d := l.detect(node, all(50*ms)...)
	w.start(l, node)
	for _, name := range names {
		d.agreed(name, 50*ms)
	}
	for _, m := range []bool{false, true} {
		want(node.v4, m, "Up")
		want(node.v6, m, "Up")
	}
	downs := func() (n uint64) {
		for _, st := range d.Status() {
			n += st.Downs
		}
		return n
	}
	before := downs()

	// Both ends change their intervals, up and down.
	l.must(d.Set(all(200 * ms)))
	for _, name := range names {
		d.agreed(name, 200*ms)
	}
	l.must(d.Set(all(50 * ms)))
	for _, name := range names {
		d.agreed(name, 50*ms)
	}
	w.interval(l, 300*ms)
	for _, name := range names {
		d.agreed(name, 300*ms)
	}
	w.interval(l, 50*ms)
	for _, name := range names {
		d.agreed(name, 50*ms)
	}
	if n := downs() - before; n != 0 {
		t.Errorf("%d sessions flapped: %+v", n, d.Status())
	}
	for _, st := range d.Status() {
		if n := st.Discarded.Total(); n != 0 {
			t.Errorf("%s: %d packets discarded: %v", st.Name, n, st.Discarded)
		}
	}

	// We shut a session; the peer does. Neither is a failure.
	shut := all(50 * ms)
	shut[0].Disabled = true
	l.must(d.Set(shut))
	want(node.v4, false, "Down")
	d.WaitState(t, "v4", bfd.AdminDown)
	l.must(d.Set(all(50 * ms)))
	d.WaitState(t, "v4", bfd.Up)
	want(node.v4, false, "Up")
	reason := bfd.ReasonDetectionExpired
	if w.shut(l, true) {
		reason = bfd.ReasonPeerAdminDown
	}
	if c := d.WaitState(t, "v4", bfd.Down); c.Reason != reason || c.Failed() != (reason == bfd.ReasonDetectionExpired) {
		t.Errorf("%+v", c)
	}
	w.shut(l, false)
	d.WaitState(t, "v4", bfd.Up)

	// The peer's process is frozen, and goes on.
	for _, name := range names {
		d.agreed(name, 50*ms)
	}
	l.must(syscall.Kill(w.pid(l), syscall.SIGSTOP))
	for _, name := range names {
		if c := d.WaitState(t, name, bfd.Down); c.Reason != bfd.ReasonDetectionExpired || !c.Failed() {
			t.Errorf("%+v", c)
		}
	}
	l.must(syscall.Kill(w.pid(l), syscall.SIGCONT))
	for _, name := range names {
		d.WaitState(t, name, bfd.Up)
	}

	// We are passive; we say goodbye.
	l.must(d.Set(nil))
	want(node.v4, false, "Down")
	l.must(d.Set(all(50*ms, func(c *bfd.Config) { c.Passive = true })))
	for _, name := range names {
		d.agreed(name, 50*ms)
	}
	d.stop()
	want(node.v4, false, "Down")
	want(node.v6, true, "Down")
	c.check("bfd")
}

// frrBFD is FRR's bfdd.
type frrBFD struct{ node machine }

func (l *lab) bfdd(conf string) {
	l.t.Helper()
	u, err := user.Lookup("frr")
	l.must(err)
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	l.must(os.Chmod(l.dir, 0o755), os.Chown(l.dir, uid, gid))
	start := func(name, conf string, args ...string) {
		l.run(filepath.Join(frrLib, name), append(args, "-f", l.file(name+".conf", conf),
			"-i", filepath.Join(l.dir, name+".pid"), "--vty_socket", l.dir, "-P", "0",
			"-z", filepath.Join(l.dir, "zserv.api"), "--log", "stdout", "--log-level", "warnings")...)
	}
	start("zebra", "hostname switch\n")
	l.eventually("zebra's socket", func() error {
		_, err := os.Stat(filepath.Join(l.dir, "zserv.api"))
		return err
	})
	start("bfdd", conf, "--bfdctl", filepath.Join(l.dir, "bfdd.sock"))
	l.eventually("bfdd's terminal", func() error {
		_, err := l.bfdVTY("show version")
		return err
	})
}

func (l *lab) bfdVTY(commands ...string) (string, error) {
	args := []string{"--vty_socket", l.dir, "-d", "bfdd"}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	return l.ask("vtysh", args...)
}

// peers are the lines that open FRR's four sessions.
func (w *frrBFD) peers() []string {
	return []string{
		fmt.Sprintf("peer %v local-address %v interface eth0", w.node.v4, switch4),
		fmt.Sprintf("peer %v local-address %v interface eth0", w.node.v6, switch6),
		fmt.Sprintf("peer %v multihop local-address %v", w.node.v4, switch4),
		fmt.Sprintf("peer %v multihop local-address %v", w.node.v6, switch6),
	}
}

func (w *frrBFD) start(l *lab, node machine) {
	w.node = node
	conf := fmt.Sprintf("bfd\n profile p\n  receive-interval 50\n  transmit-interval 50\n  detect-multiplier %d\n exit\n", multiplier)
	for _, p := range w.peers() {
		conf += " " + p + "\n  profile p\n  no shutdown\n exit\n"
	}
	l.bfdd(conf)
}

func (w *frrBFD) state(l *lab, remote netip.Addr, multihop bool) (string, error) {
	out, err := l.bfdVTY("show bfd peers json")
	if err != nil {
		return "", err
	}
	var peers []struct {
		Peer, Status string
		Multihop     bool
	}
	if err := json.Unmarshal([]byte(out), &peers); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	for _, p := range peers {
		if p.Peer == remote.String() && p.Multihop == multihop {
			return p.Status, nil
		}
	}
	return "", errors.New("no such session")
}

func (w *frrBFD) interval(l *lab, d time.Duration) {
	l.t.Helper()
	n := d.Milliseconds()
	_, err := l.bfdVTY("configure terminal", "bfd", "profile p", fmt.Sprint("receive-interval ", n), fmt.Sprint("transmit-interval ", n))
	l.must(err)
}

func (w *frrBFD) shut(l *lab, down bool) (says bool) {
	l.t.Helper()
	command := "no shutdown"
	if down {
		command = "shutdown"
	}
	_, err := l.bfdVTY("configure terminal", "bfd", w.peers()[0], command)
	l.must(err)
	return true
}

func (w *frrBFD) pid(l *lab) int { return l.pidFile("bfdd.pid") }

// FRR and we send each other echoes, through each other's forwarding.
func TestBFDEchoWithFRR(t *testing.T) {
	need(t, "vtysh", frrLib+"/bfdd", "dumpcap", "tshark")
	l := newLab(t, 1)
	defer l.capture(onSegment).check("bfd")
	node := l.nodes[0]
	for _, m := range []machine{node, l.sw} {
		l.must(m.Sysctl("net.ipv4.ip_forward", "1"))
	}
	l.bfdd(fmt.Sprintf(`bfd
 peer %v local-address %v interface eth0
  receive-interval 50
  transmit-interval 50
  detect-multiplier %d
  echo-mode
  echo transmit-interval 50
  echo receive-interval 50
  no shutdown
`, node.v4, switch4, multiplier))
	d := l.detect(node, watched("v4", switch4, 50*ms, func(c *bfd.Config) { c.EchoMode = true }))
	d.WaitState(t, "v4", bfd.Up)
	first := d.status("v4", func(st bfd.SessionStatus) bool { return st.State == bfd.Up && st.EchoesReceived > 20 })
	d.status("v4", func(st bfd.SessionStatus) bool {
		return st.EchoesReceived > first.EchoesReceived+60 && st.Downs == first.Downs
	})
	l.eventually("echoes of FRR's that come back", func() error {
		out, err := l.bfdVTY("show bfd peers counters json")
		if err != nil {
			return err
		}
		var peers []struct {
			In  int `json:"echo-packet-input"`
			Out int `json:"echo-packet-output"`
		}
		if err := json.Unmarshal([]byte(out), &peers); err != nil || len(peers) != 1 || peers[0].In < 20 {
			return fmt.Errorf("%v: %s", err, out)
		}
		return nil
	})
	if st := d.status("v4", func(bfd.SessionStatus) bool { return true }); st.Downs != first.Downs {
		t.Errorf("%+v", st.LastDown)
	}
	// FRR's host forwards no more.
	l.must(l.sw.Sysctl("net.ipv4.ip_forward", "0"))
	d.status("v4", func(st bfd.SessionStatus) bool { return st.LastDown.Reason == bfd.ReasonEchoFailed })
}

// birdBFD is BIRD's.
type birdBFD struct {
	node     machine
	every    time.Duration
	shutDown bool
	options  string // of every session
}

func (w *birdBFD) conf() string {
	options := fmt.Sprintf("min rx interval %d ms; min tx interval %d ms; idle tx interval 1000 ms; multiplier %d; %s",
		w.every.Milliseconds(), w.every.Milliseconds(), multiplier, w.options)
	v4 := fmt.Sprintf("neighbor %v dev \"eth0\" local %v;", w.node.v4, switch4)
	if w.shutDown {
		v4 = ""
	}
	return fmt.Sprintf(`
router id 1.1.1.1;
protocol device {}
protocol bfd {
	interface "eth0" { %s };
	multihop { %s };
	%s
	neighbor %v dev "eth0" local %v;
	neighbor %v local %v multihop;
	neighbor %v local %v multihop;
}
`, options, options, v4, w.node.v6, switch6, w.node.v4, switch4, w.node.v6, switch6)
}

func (w *birdBFD) start(l *lab, node machine) {
	l.t.Helper()
	w.node = node
	l.run("bird", "-f", "-c", l.file("bird.conf", w.conf()), "-s", "bird.ctl", "-P", "bird.pid")
	l.eventually("BIRD's socket", func() error {
		_, err := l.birdc("show status")
		return err
	})
}

func (w *birdBFD) state(l *lab, remote netip.Addr, multihop bool) (string, error) {
	out, err := l.birdc("show bfd sessions")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) >= 3 && f[0] == remote.String() && (f[1] == "---") == multihop {
			return f[2], nil
		}
	}
	if w.shutDown {
		return "Down", nil
	}
	return "", fmt.Errorf("no such session:\n%s", out)
}

func (w *birdBFD) configure(l *lab) {
	l.t.Helper()
	l.file("bird.conf", w.conf())
	_, err := l.birdc("configure")
	l.must(err)
}

func (w *birdBFD) interval(l *lab, d time.Duration) {
	l.t.Helper()
	w.every = d
	w.configure(l)
}

// shut removes the session: BIRD has no other way, and falls silent.
func (w *birdBFD) shut(l *lab, down bool) (says bool) {
	l.t.Helper()
	w.shutDown = down
	w.configure(l)
	return false
}

func (w *birdBFD) pid(l *lab) int { return l.pidFile("bird.pid") }

// Each kind of SHA-1 that BIRD has, and a key that is wrong.
func TestBFDAuthenticationWithBIRD(t *testing.T) {
	need(t, "bird", "birdc", "dumpcap", "tshark")
	for kind, words := range map[bfd.AuthType]string{bfd.AuthKeyedSHA1: "keyed sha1", bfd.AuthMeticulousSHA1: "meticulous keyed sha1"} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 1)
			with := func(key string) bfd.Config {
				return watched("v4", switch4, 50*ms, func(c *bfd.Config) { c.Auth = &bfd.Auth{Type: kind, KeyID: 7, Key: key} })
			}
			c := l.capture(onSegment)
			d := l.detect(l.nodes[0], with("correct-horse"))
			w := &birdBFD{every: 50 * ms, options: "authentication " + words + `; password "correct-horse" { id 7; };`}
			w.start(l, l.nodes[0])
			d.agreed("v4", 50*ms)
			l.must(d.Set([]bfd.Config{with("battery-staple")}))
			if c := d.WaitState(t, "v4", bfd.Down); c.Reason != bfd.ReasonDetectionExpired {
				t.Errorf("%+v", c)
			}
			d.status("v4", func(st bfd.SessionStatus) bool { return st.Discarded[bfd.DiscardAuthDigest] > 0 })
			l.must(d.Set([]bfd.Config{with("correct-horse")}))
			d.WaitState(t, "v4", bfd.Up)
			c.check("bfd")
		})
	}
}

// BIRD is passive, and we call.
func TestBFDWithPassiveBIRD(t *testing.T) {
	need(t, "bird", "birdc", "dumpcap", "tshark")
	l := newLab(t, 1)
	defer l.capture(onSegment).check("bfd")
	w := &birdBFD{every: 50 * ms, options: "passive;"}
	w.start(l, l.nodes[0])
	d := l.detect(l.nodes[0], watched("v4", switch4, 50*ms))
	d.agreed("v4", 50*ms)
}
