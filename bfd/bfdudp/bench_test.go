package bfdudp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bfd/bfdtest"
	"github.com/pharoslb/pharos/bfd/bfdudp"
)

const (
	benchSessions = 1000
	benchTime     = 5 * time.Second
	benchRole     = "sessions"
)

// benchAddr is the address of the i-th peer.
func benchAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}) }

// BenchmarkSessions runs 1,000 sessions of 50 ms × 3 over a cable, ours in a process of
// its own that begins with one P, the peers in this one. It reports of ours: CPU seconds per second,
// in the process and in the kernel on its behalf; packets per second, both directions;
// and sessions that went down though nothing failed, on both sides.
func BenchmarkSessions(b *testing.B) {
	near, far := hosts(b, false)
	// By a route, so that the kernel need not know a thousand neighbours.
	must(b, near.AddRoute(netip.MustParsePrefix("10.1.0.0/16"), far.v4))
	var peers []bfd.Config
	for i := range benchSessions {
		must(b, far.AddAddr("lo", netip.PrefixFrom(benchAddr(i), 32)))
		peers = append(peers, config(near.v4, func(c *bfd.Config) { c.Name, c.Local, c.DetectMultiplier = fmt.Sprint(i), benchAddr(i), 3 }))
	}
	there := start(b, far, peers...)
	for b.Loop() {
		self, err := os.Executable()
		must(b, err)
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), roleEnv+"="+benchRole, "GOMAXPROCS=1")
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		must(b, err)
		out, err := cmd.StdoutPipe()
		must(b, err)
		must(b, near.Start(cmd))
		lines := bufio.NewScanner(out)
		expect := func(format string, args ...any) {
			b.Helper()
			if !lines.Scan() {
				b.Fatal("the process ended early")
			}
			if _, err := fmt.Sscanf(lines.Text(), format, args...); err != nil {
				b.Fatalf("%q: %v", lines.Text(), err)
			}
		}
		expect("up") // all of them, timers negotiated
		downs := func() (n uint64) {
			for _, st := range there.Status() {
				n += st.Downs
			}
			return n
		}
		before := downs()
		io.WriteString(in, "go\n")
		var cpu, seconds, packets float64
		var down uint64
		expect("%f %f %f %d", &cpu, &seconds, &packets, &down)
		b.ReportMetric(cpu/seconds, "cpu-s/s")
		b.ReportMetric(packets/seconds, "packets/s")
		b.ReportMetric(float64(down+downs()-before), "false-downs")
		b.ReportMetric(0, "ns/op")
		in.Close()
		must(b, cmd.Wait())
	}
}

// playSessions is our side of the benchmark.
func playSessions() error {
	t, err := bfdudp.Open()
	if err != nil {
		return err
	}
	heard := bfdtest.NewRecorder()
	s, err := bfd.NewServer(bfd.Options{Transport: t, Handler: heard})
	if err != nil {
		return err
	}
	var sessions []bfd.Config
	for i := range benchSessions {
		sessions = append(sessions, config(benchAddr(i), func(c *bfd.Config) { c.Name, c.DetectMultiplier = fmt.Sprint(i), 3 }))
	}
	if err := s.Set(sessions); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	tick := time.NewTicker(50 * ms)
	defer tick.Stop()
	for up := 0; up < benchSessions; {
		<-tick.C
		up = 0
		for _, st := range s.Status() {
			if st.State == bfd.Up && !st.Polling && st.DetectionTime == 150*ms {
				up++
			}
		}
	}
	count := func() (packets, downs uint64) {
		for _, st := range s.Status() {
			packets += st.Sent + st.Received
			downs += st.Downs
		}
		return packets, downs
	}
	fmt.Println("up")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	packets, downs := count()
	begin, used := time.Now(), cpu()
	<-time.After(benchTime)
	used, seconds := cpu()-used, time.Since(begin).Seconds()
	p, d := count()
	fmt.Println(used.Seconds(), seconds, p-packets, d-downs)
	io.Copy(io.Discard, os.Stdin)
	cancel()
	return <-done
}

func cpu() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
