package main

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

func TestMain(m *testing.M) {
	if os.Getenv(nodeMark) != "" {
		exit(node())
	}
	os.Exit(sandbox.Main(m.Run))
}

// Whatever becomes of its owner, an address finds another node that answers.
func TestAddressFindsAnotherNode(t *testing.T) {
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	for _, r := range []row{
		{"power, memberlist", 0, syscall.SIGKILL, true},
		{"power, BFD", 300 * time.Millisecond, syscall.SIGKILL, true},
		{"end", 0, syscall.SIGTERM, false},
	} {
		t.Run(r.name, func(t *testing.T) {
			took, gap, err := measure(options{nodes: 3, vips: 5, settle: 4 * time.Second}, r)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("another node answered after %v; nobody answered for %v before", took, gap)
		})
	}
}
