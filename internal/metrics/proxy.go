package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pharoslb/pharos/proxy"
	"github.com/pharoslb/pharos/why"
)

// Proxy adds a proxy's metrics and makes its health the Set's.
func (s *Set) Proxy(summary func() proxy.Summary, healthy func() error) {
	c := &scrape{}
	ready := c.desc("pharos_proxy_ready", "Whether the data plane does what the newest state of the cluster asks for.")
	info := c.desc("pharos_proxy_info", "Always 1; the labels tell the driver that the data plane uses, and the mode of Services that ask for none.", "driver", "mode")
	services := c.desc("pharos_proxy_services", "Services that the data plane serves.")
	applied := c.desc("pharos_proxy_transactions_total", "Transactions with the kernel that changed something.")
	written := c.desc("pharos_proxy_objects_total", "Objects of the kernel written and removed.", "operation")
	repaired := c.desc("pharos_proxy_repairs_total", "Times that somebody else had changed the data plane.")
	failed := c.desc("pharos_proxy_errors_total", "Times that the kernel refused what was planned.")
	flushed := c.desc("pharos_proxy_flushed_connections_total", "Connections forgotten because their backend was gone.")
	last := c.desc("pharos_proxy_last_transaction_seconds", "How long the last transaction took.")
	sysctls := c.desc("pharos_proxy_wrong_sysctls", "Kernel settings that are not as they must be.")

	c.collect = func(emit func(*prometheus.Desc, prometheus.ValueType, float64, ...string)) {
		st := summary()
		wrong := 0
		for i := range st.Sysctls {
			if st.Sysctls[i].Reason.Code != why.OK {
				wrong++
			}
		}
		emit(ready, gauge, boolean(st.Ready))
		emit(info, gauge, 1, st.Driver.Driver, string(st.Mode))
		emit(services, gauge, float64(st.Services))
		emit(applied, counter, float64(st.Driver.Applied))
		emit(written, counter, float64(st.Driver.Added), "add")
		emit(written, counter, float64(st.Driver.Removed), "remove")
		emit(repaired, counter, float64(st.Driver.Repaired))
		emit(failed, counter, float64(st.Driver.Failed))
		emit(flushed, counter, float64(st.Driver.Flushed))
		emit(last, gauge, st.Driver.LastDuration.Seconds())
		emit(sysctls, gauge, float64(wrong))
	}
	s.registry.MustRegister(c)
	s.ready = healthy
}
