package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pharoslb/pharos/speaker"
)

// Speaker adds a speaker's metrics and makes its health the Set's.
func (s *Set) Speaker(status func() speaker.Status, healthy func() error) {
	c := &scrape{}
	sessions := families(c)
	service := c.desc("metallb_speaker_announced", "Addresses of Services that this node announces.", "service", "protocol", "node", "ip")
	silent := c.desc("pharos_speaker_unannounced_addresses", "Addresses of Services that this node does not announce, by reason.", "reason")
	members := c.desc("pharos_speaker_members", "Speakers known to be alive, this one included.")
	heard := c.desc("pharos_speaker_data_plane_heard_bool", "Whether the node's proxy is heard and has told all that the kernel holds; only where announcements wait for it.")
	last := c.desc("pharos_speaker_last_resort_addresses", "Addresses that this node announces to be used only where no other node does (RFC 8326).")
	segments := newSegments(c)
	client := newClient(c)

	c.collect = func(emit func(*prometheus.Desc, prometheus.ValueType, float64, ...string)) {
		st := status()
		for _, f := range sessions {
			f.seen = map[string]bool{}
			for i := range st.Sessions {
				f.emit(emit, &st.Sessions[i])
			}
		}
		reasons, resorts := map[string]int{}, 0
		for i := range st.Services {
			svc := &st.Services[i]
			for _, a := range svc.Addresses {
				if a.LastResort {
					resorts++
				}
				for _, p := range a.Protocols {
					emit(service, gauge, 1, svc.Name.String(), string(p), st.Node, a.Addr.String())
				}
				if len(a.Protocols) == 0 {
					reasons[a.Reason.Code.String()]++
				}
			}
		}
		for reason, n := range reasons {
			emit(silent, gauge, float64(n), reason)
		}
		emit(last, gauge, float64(resorts))
		if d := st.DataPlane; d != nil && d.Gates {
			emit(heard, gauge, boolean(d.Silent.IsZero()))
		}
		emit(members, gauge, float64(len(st.Members.Members)))
		segments.emit(emit, st.Layer2)
		client.emit(emit, st.Updates, st.UpdateErrors, st.Config.Loaded, st.Config.Stale)
	}
	s.registry.MustRegister(c)
	s.ready = healthy
}

// client is what MetalLB tells of every daemon's view of Kubernetes.
type client struct{ updates, errors, loaded, stale *prometheus.Desc }

func newClient(c *scrape) client {
	return client{
		updates: c.desc("metallb_k8s_client_updates_total", "Changes of Kubernetes objects worked in."),
		errors:  c.desc("metallb_k8s_client_update_errors_total", "Changes of Kubernetes objects that could not be worked in."),
		loaded:  c.desc("metallb_k8s_client_config_loaded_bool", "Whether a configuration is in force."),
		stale:   c.desc("metallb_k8s_client_config_stale_bool", "Whether the configuration in force is not the newest."),
	}
}

func (c client) emit(emit func(*prometheus.Desc, prometheus.ValueType, float64, ...string), updates, errs uint64, loaded, stale bool) {
	emit(c.updates, counter, float64(updates))
	emit(c.errors, counter, float64(errs))
	emit(c.loaded, gauge, boolean(loaded))
	emit(c.stale, gauge, boolean(stale))
}
