package container

import (
	"strings"
	"testing"

	"github.com/pharoslb/pharos/internal/linux/netns"
)

// A program that does not call Init must not be started again: it would do
// everything twice, and so on.
func TestNothingStartsWithoutInit(t *testing.T) {
	called.Store(false)
	defer called.Store(true)
	if _, err := Start(new(netns.NS), Spec{Args: []string{"true"}}, nil); err == nil || !strings.Contains(err.Error(), "container.Init") {
		t.Errorf("Start returned %v, want an error that names Init", err)
	}
}
