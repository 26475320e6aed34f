package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"sync/atomic"

	"github.com/pharoslb/pharos/controller"
	"github.com/pharoslb/pharos/internal/kube"
	"github.com/pharoslb/pharos/internal/task"
)

// leaseName names the Lease of the one controller that works.
const leaseName = "pharos-controller"

// identity names this controller among others. A pod's name stays over a restart
// of its container, so that the Lease is its own at once; a host's may be that of
// several processes.
func (f *controllerFlags) identity() string {
	if f.pod.Name != "" {
		return f.pod.Name
	}
	host, _ := os.Hostname()
	return host + "-" + rand.Text()[:8]
}

// leader is a controller while this process has the Lease, and a standby while
// it has not. Each term begins from nothing, so that what is given out is decided
// upon a list that is younger than the Lease.
type leader struct {
	lease *kube.Lease // nil: this process always works
	lead  func() (*controller.Controller, []task.Part)
	role  atomic.Pointer[controller.Controller]
}

// Run works or stands by until ctx ends.
func (l *leader) Run(ctx context.Context) error {
	term := func(ctx context.Context) error {
		role, parts := l.lead()
		l.role.Store(role)
		defer l.role.Store(nil)
		return task.Run(ctx, parts...)
	}
	if l.lease == nil {
		return term(ctx)
	}
	return l.lease.Run(ctx, term)
}

// Status returns the controller's, or a standby's.
func (l *leader) Status() controller.Status {
	if role := l.role.Load(); role != nil {
		return role.Status()
	}
	if l.lease == nil {
		return controller.Status{Standby: "not started yet"}
	}
	switch st := l.lease.Status(); {
	case st.Error != "":
		return controller.Status{Standby: st.Error}
	case st.Holder == "" || st.Holder == st.Identity:
		return controller.Status{Standby: "about to begin"}
	default:
		return controller.Status{Standby: st.Holder + " has the lease"}
	}
}

// Healthy returns why the process can't do its work yet, or nil: a standby's is
// to see the Lease.
func (l *leader) Healthy() error {
	if role := l.role.Load(); role != nil {
		return role.Healthy()
	}
	if l.lease != nil {
		switch st := l.lease.Status(); {
		case st.Error != "":
			return errors.New(st.Error)
		case st.Holder == "":
			return errors.New("the lease has not been seen yet")
		}
	}
	return nil
}
