package ipvs

import (
	"fmt"

	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/internal/linux/sysctl"
)

// settings are the kernel's that IPVS has to have
// (Documentation/networking/ipvs-sysctl).
var settings = []string{
	"net.ipv4.vs.conntrack",                 // so that sources can be masqueraded
	"net.ipv4.vs.expire_nodest_conn",        // a connection whose pod is gone is reset, not ignored
	"net.ipv4.vs.expire_quiescent_template", // a client whose pod drains gets another one
}

// directSettings are needed where any node may get a connection's packets from its
// middle on: without them only the first packet makes a connection known.
var directSettings = []string{"net.ipv4.vs.sloppy_tcp", "net.ipv4.vs.sloppy_sctp"}

// tune switches the settings on, and reports whether one was off.
func (k *kernel) tune(state *dataplane.State) (changed bool, err error) {
	keys := settings
	if anyDirect(state) {
		keys = append(append([]string(nil), settings...), directSettings...)
	}
	err = k.inside(func() error {
		for _, key := range keys {
			value, err := sysctl.Dir("").Sysctl(key)
			if err == nil && value != "1" {
				changed = true
				err = sysctl.Dir("").SetSysctl(key, "1")
			}
			if err != nil {
				return fmt.Errorf("IPVS needs the setting: %w", err)
			}
		}
		return nil
	})
	return changed, err
}

// anyDirect reports whether a state has frontends in mode direct.
func anyDirect(state *dataplane.State) bool {
	for _, s := range state.Services.All() {
		for i := range s.Frontends {
			if f := &s.Frontends[i]; direct(f, &s.Groups[f.Outside]) {
				return true
			}
		}
	}
	return false
}
