package gossip

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pharoslb/pharos/internal/linux/sandbox"
	"github.com/pharoslb/pharos/why"
)

// The nodes are addresses of a loopback interface that is the sandbox's own.
func TestMain(m *testing.M) { os.Exit(sandbox.Main(m.Run)) }

const port = 7946

func at(i byte) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, i}) }

type testNode struct {
	*Cluster
	stop func() error
}

// start runs a node that knows the addresses of all. It is stopped at the
// test's end at the latest.
func start(t *testing.T, name string, self byte, secret func() (string, error), log *slog.Logger, others ...byte) *testNode {
	t.Helper()
	c := New(Options{Name: name, BindPort: port, Secret: secret, Log: log})
	var addrs []netip.Addr
	for _, o := range others {
		addrs = append(addrs, at(o))
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	n := &testNode{c, sync.OnceValue(func() error { cancel(); return <-done })}
	t.Cleanup(func() {
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
	c.Set(at(self), addrs)
	return n
}

func is(text string) func() (string, error) { return func() (string, error) { return text, nil } }

func (n *testNode) names() string {
	var names []string
	for _, m := range n.Status().Members {
		names = append(names, m.Name)
	}
	return strings.Join(names, " ")
}

// until waits for a condition, and fails with what is when it waits in vain.
func until(t *testing.T, holds func() bool, is func() any) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain; it is %v", is())
		}
	}
}

// eventually waits until every node sees just these members.
func eventually(t *testing.T, want string, nodes ...*testNode) {
	t.Helper()
	for _, n := range nodes {
		until(t, func() bool { return n.names() == want }, func() any { return n.opt.Name + " sees " + n.names() })
	}
}

func needNamespaces(t *testing.T) {
	t.Helper()
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
}

func TestThreeNodesFindEachOtherAndOneLeaves(t *testing.T) {
	needNamespaces(t)
	secret := is("correct horse battery staple")
	n1 := start(t, "n1", 1, secret, nil, 2, 3)
	n2 := start(t, "n2", 2, secret, nil, 1, 3)
	n3 := start(t, "n3", 3, secret, nil, 1, 2)
	eventually(t, "n1 n2 n3", n1, n2, n3)
	for _, m := range n1.Status().Members {
		if want := at(m.Name[1] - '0'); m.Addr != want {
			t.Errorf("%s is at %s, want %s", m.Name, m.Addr, want)
		}
	}
	if err := n3.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "n1 n2", n1, n2)
	if left := n1.Status().Left; len(left) != 1 || left[0] != "n3" {
		t.Errorf("n1 knows that %v left", left)
	}

	// The same node comes back, with the address it had.
	back := start(t, "n3", 3, secret, nil, 1, 2)
	eventually(t, "n1 n2 n3", n1, n2, back)
}

func TestStrangerWithAnotherKeyIsNeverAMember(t *testing.T) {
	needNamespaces(t)
	var out lockedBuffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	n1 := start(t, "n1", 1, is("right"), log, 2, 3)
	n2 := start(t, "n2", 2, is("right"), nil, 1, 3)
	stranger := start(t, "n3", 3, is("wrong"), nil, 1, 2)
	eventually(t, "n1 n2", n1, n2)
	eventually(t, "n3", stranger)
	// The stranger's attempt was heard, and refused for its key.
	until(t, func() bool { return strings.Contains(out.String(), "level=WARN msg=memberlist") }, func() any { return out.String() })
	for name, n := range map[string]*testNode{"n1 n2": n1, "n3": stranger} {
		if got := n.names(); got != name {
			t.Errorf("%s sees %q", n.opt.Name, got)
		}
	}
	if text := out.String(); strings.Contains(text, "right") {
		t.Errorf("the secret is in the log:\n%s", text)
	}
}

func TestSecretThatComesLaterIsTakenUp(t *testing.T) {
	needNamespaces(t)
	var mu sync.Mutex
	text, err := "", error(fs.ErrNotExist)
	secret := func() (string, error) {
		mu.Lock()
		defer mu.Unlock()
		return text, err
	}
	n1 := start(t, "n1", 1, is("late"), nil, 2)
	n2 := start(t, "n2", 2, secret, nil, 1)
	reason := func(n *testNode, code why.Code) {
		until(t, func() bool { return n.Status().Reason.Code == code }, func() any { return n.Status().Reason })
	}
	reason(n2, why.SecretMissing)
	mu.Lock()
	text, err = "late", nil
	mu.Unlock()
	n2.Set(at(2), []netip.Addr{at(1)}) // as a change of nodes does
	eventually(t, "n1 n2", n1, n2)
	reason(n2, why.OK)
}

func TestPortInUseIsReported(t *testing.T) {
	needNamespaces(t)
	first := start(t, "n1", 1, is("x"), nil)
	eventually(t, "n1", first)
	second := start(t, "n2", 1, is("x"), nil)
	until(t, func() bool { return second.Status().Reason.Code == why.PortUnavailable }, func() any { return second.Status().Reason })
}

func TestReasonIsReportedOnce(t *testing.T) {
	var told []why.Reason
	c := New(Options{Name: "n1", Report: func(r why.Reason) { told = append(told, r) }, Secret: is(" \n")})
	c.Set(at(1), nil)
	for range 3 {
		_, err := c.open()
		c.explain(err)
	}
	c.opt.Secret = func() (string, error) { return "", errors.New("permission denied") }
	_, err := c.open()
	c.explain(err)
	if len(told) != 2 || told[0].Code != why.SecretMissing || !strings.Contains(told[1].Detail, "permission denied") {
		t.Errorf("told %v", told)
	}
}

func TestKeyIsOfTheWholeText(t *testing.T) {
	common := strings.Repeat("A", 64)
	a, errA := New(Options{Secret: is(common + "1")}).key()
	b, errB := New(Options{Secret: is(common + "2")}).key()
	if errA != nil || errB != nil || len(a) != 32 || bytes.Equal(a, b) {
		t.Errorf("keys of %d and %d octets, equal: %v (%v, %v)", len(a), len(b), bytes.Equal(a, b), errA, errB)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
