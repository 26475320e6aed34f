package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pharoslb/pharos/controller"
)

// Controller adds a controller's metrics and makes its health the Set's.
func (s *Set) Controller(status func() controller.Status, healthy func() error) {
	c := &scrape{}
	total := c.desc("metallb_allocator_addresses_total", "Addresses that the pool can give out.", "pool")
	used := c.desc("metallb_allocator_addresses_in_use_total", "Addresses of the pool in use.", "pool")
	total4 := c.desc("metallb_allocator_ipv4_addresses_total", "IPv4 addresses that the pool can give out.", "pool")
	used4 := c.desc("metallb_allocator_ipv4_addresses_in_use_total", "IPv4 addresses of the pool in use.", "pool")
	total6 := c.desc("metallb_allocator_ipv6_addresses_total", "IPv6 addresses that the pool can give out.", "pool")
	used6 := c.desc("metallb_allocator_ipv6_addresses_in_use_total", "IPv6 addresses of the pool in use.", "pool")
	services := c.desc("metallb_allocator_services_allocated_total", "Services that have an address of the pool.", "pool")
	free := c.desc("pharos_pool_addresses_free", "Addresses of the pool that the next Service could get.", "pool", "family")
	reserved := c.desc("pharos_pool_addresses_reserved", "Addresses of the pool that are kept for a Service and not in use.", "pool", "family")
	cooling := c.desc("pharos_pool_addresses_cooling", "Addresses of the pool that were given back and cool down.", "pool", "family")
	waiting := c.desc("pharos_controller_services_without_address", "Services of type LoadBalancer without an address, by reason.", "reason")
	queued := c.desc("pharos_controller_queued_statuses", "Statuses of Services that are yet to be written.")
	written := c.desc("pharos_controller_written_statuses_total", "Statuses of Services written.")
	failed := c.desc("pharos_controller_failed_statuses_total", "Attempts to write a Service's status that failed.")
	leader := c.desc("pharos_controller_leader", "Whether this controller is the one that works; others tell nothing else.")
	client := newClient(c)

	c.collect = func(emit func(*prometheus.Desc, prometheus.ValueType, float64, ...string)) {
		st := status()
		emit(leader, gauge, boolean(st.Standby == ""))
		if st.Standby != "" {
			return // what it does not know would look like alarms
		}
		reasons := map[string]int{}
		for i := range st.Services {
			if svc := &st.Services[i]; len(svc.Addresses) == 0 {
				reasons[svc.Reason.Code.String()]++
			}
		}
		for _, p := range st.Pools {
			emit(total, gauge, float64(p.IPv4.Total)+float64(p.IPv6.Total), p.Pool)
			emit(used, gauge, float64(p.IPv4.Used)+float64(p.IPv6.Used), p.Pool)
			emit(total4, gauge, float64(p.IPv4.Total), p.Pool)
			emit(used4, gauge, float64(p.IPv4.Used), p.Pool)
			emit(total6, gauge, float64(p.IPv6.Total), p.Pool)
			emit(used6, gauge, float64(p.IPv6.Used), p.Pool)
			emit(services, gauge, float64(p.Services), p.Pool)
			emit(free, gauge, float64(p.IPv4.Free), p.Pool, "ipv4")
			emit(free, gauge, float64(p.IPv6.Free), p.Pool, "ipv6")
			emit(reserved, gauge, float64(p.IPv4.Reserved), p.Pool, "ipv4")
			emit(reserved, gauge, float64(p.IPv6.Reserved), p.Pool, "ipv6")
			emit(cooling, gauge, float64(p.IPv4.Cooling), p.Pool, "ipv4")
			emit(cooling, gauge, float64(p.IPv6.Cooling), p.Pool, "ipv6")
		}
		for reason, n := range reasons {
			emit(waiting, gauge, float64(n), reason)
		}
		emit(queued, gauge, float64(st.Writes.Queued))
		emit(written, counter, float64(st.Writes.Written))
		emit(failed, counter, float64(st.Writes.Failed))
		client.emit(emit, st.Updates, st.UpdateErrors, st.Config.Loaded, st.Config.Stale)
	}
	s.registry.MustRegister(c)
	s.ready = healthy
}
