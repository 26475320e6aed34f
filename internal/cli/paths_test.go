package cli

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bfd/bfdtest"
)

// A set of paths that is refused when the ports are opened ends nothing: the next one
// counts.
func TestPathsOutliveABadSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := watchPaths(func(bfd.Change) {}, slog.New(slog.DiscardHandler))
		near, far := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		good := bfd.Config{Name: "a", Remote: far}
		bad := good
		bad.Name = "b"
		if err := p.Set([]bfd.Config{good, bad}); err != nil { // nobody checks yet
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.serve(ctx, bfdtest.NewNet().Host(near)) }()
		synctest.Wait()
		if err := p.Set([]bfd.Config{good}); err != nil {
			t.Error(err)
		}
		<-time.After(3 * time.Second) // on the fake clock
		if st := p.Status(); len(st) != 1 || st[0].Name != "a" || st[0].Sent == 0 {
			t.Errorf("%+v", st)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
