package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/proxy"
	"github.com/pharoslb/pharos/why"
)

// mostMeasured is how many Services have metrics of their own, the first ones by
// name: whoever makes Services shall not fill the memory of who scrapes.
const mostMeasured = 1000

// Proxy adds a proxy's metrics and makes its health the Set's.
func (s *Set) Proxy(summary func() proxy.Summary, carried func() proxy.Carried, healthy func() error) {
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

	packets := c.desc("pharos_proxy_service_packets_total", "Packets of clients carried to pods of this node in mode direct.", "namespace", "service")
	bytes := c.desc("pharos_proxy_service_bytes_total", "Bytes of them, from the network header on.", "namespace", "service")
	connections := c.desc("pharos_proxy_service_connections_total", "Connections that clients began with pods of this node in mode direct.", "namespace", "service")
	unmeasured := c.desc("pharos_proxy_unmeasured_services", "Services in mode direct that have no metrics of their own, as there are too many.")
	events := c.desc("pharos_proxy_packets_total", "Packets in mode direct by what became of them: forwarded to the owner's node, a secondChance to another, reset, refused by source ranges, astray as nodes disagreed, lost without a way, tooBig, untracked as no memory was left, failed.", "outcome")

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

		direct := carried()
		services, left := byService(direct.Traffic)
		for _, t := range services {
			emit(packets, counter, float64(t.Packets), t.Service.Namespace, t.Service.Name)
			emit(bytes, counter, float64(t.Bytes), t.Service.Namespace, t.Service.Name)
			emit(connections, counter, float64(t.Connections), t.Service.Namespace, t.Service.Name)
		}
		emit(unmeasured, gauge, float64(left))
		if e := direct.Events; e != nil {
			for outcome, n := range map[string]uint64{
				"forwarded": e.Forwarded, "secondChance": e.SecondChance, "reset": e.Reset, "refused": e.Refused, "astray": e.Astray,
				"lost": e.Lost, "tooBig": e.TooBig, "untracked": e.Untracked, "failed": e.Failed,
			} {
				emit(events, counter, float64(n), outcome)
			}
		}
	}
	s.registry.MustRegister(c)
	s.ready = healthy
}

// byService sums the frontends of each Service up, which follow one another. It
// returns the first ones, and how many more there are.
func byService(all []dataplane.Traffic) (services []dataplane.Traffic, left int) {
	var last pharos.Name
	for _, t := range all {
		n := len(services)
		switch {
		case n > 0 && services[n-1].Service == t.Service:
			s := &services[n-1]
			s.Packets, s.Bytes, s.Connections = s.Packets+t.Packets, s.Bytes+t.Bytes, s.Connections+t.Connections
		case n < mostMeasured:
			services = append(services, t)
		case last != t.Service:
			left++
		}
		last = t.Service
	}
	return services, left
}
