package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/pharoslb/pharos/internal/lab/kubelet"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
	"github.com/pharoslb/pharos/internal/linux/uml"
)

// The test binary plays the program `pharos` too: supervisor and caller.
const (
	actVar  = "PHAROS_LAB_TEST_ACT"
	dirVar  = "PHAROS_LAB_TEST_DIR"
	callVar = "PHAROS_LAB_TEST_CALL" // a Request
	initVar = "PHAROS_LAB_TEST_INIT" // this binary, as a guest can run it
)

func TestMain(m *testing.M) {
	kubelet.Init()
	if uml.Inside() {
		uml.Guest(func() int {
			if err := (State{"/run/lab"}).Guest(context.Background(), Options{Until: StageNetwork}, GuestLine); err != nil {
				return 1
			}
			return 0
		})
	}
	switch os.Getenv(actVar) {
	case "supervise":
		s := State{os.Getenv(dirVar)}
		if err := s.Supervise(context.Background(), Options{Until: StageNetwork}); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	case "boot":
		machine := uml.Machine{Init: os.Getenv(initVar), Env: []string{sandbox.Fresh}, Modules: []string{"veth", "bridge"}}
		if err := (State{os.Getenv(dirVar)}).SuperviseKernel(context.Background(), machine); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	case "call":
		var r Request
		if err := json.Unmarshal([]byte(os.Getenv(callVar)), &r); err != nil {
			panic(err)
		}
		status, err := State{os.Getenv(dirVar)}.Call(r)
		if err != nil {
			fmt.Fprintln(os.Stderr, "Error:", err)
		}
		os.Exit(status)
	}
	os.Exit(sandbox.Main(m.Run))
}

// newLab is a lab without a control plane, whose switch has its addresses by
// the test's hand.
func newLab(t *testing.T) *Lab {
	t.Helper()
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	l, err := Start(t.Context(), Options{Dir: t.TempDir(), Until: StageNetwork})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	sw, err := l.NS(Switch)
	must(t, err)
	plan := l.Topology()
	must(t,
		sw.Sysctl("net.ipv4.ip_forward", "1"),
		sw.AddAddr(SegmentPort, netip.PrefixFrom(plan.Switch, plan.Segment.Bits())),
		sw.AddAddr(ClientPort, netip.PrefixFrom(plan.Gateway, plan.Client.Bits())),
	)
	return l
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// buffer is a bytes.Buffer for the output of one process.
type buffer = bytes.Buffer
