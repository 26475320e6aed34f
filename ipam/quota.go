package ipam

import (
	"fmt"
	"net/netip"

	"github.com/pharoslb/pharos"
)

// quota returns how many addresses of the pool a namespace's Services may hold,
// and whether that is limited.
func (s *stock) quota(namespace string) (int, bool) {
	n, ok := s.pool.Quota[namespace]
	if !ok {
		n, ok = s.pool.Quota[pharos.AnyNamespace]
	}
	return n, ok
}

// full reports whether a Service's namespace may have no further address of the
// pool, once it has so many more.
func (s *stock) full(svc *pharos.Service, taking int) bool {
	most, limited := s.quota(svc.Name.Namespace)
	return limited && len(s.usedBy[svc.Name.Namespace])+taking >= most
}

// costs reports whether an address counts against the quota of a Service's
// namespace if the Service gets it: it does unless the namespace has it already.
func (s *stock) costs(svc *pharos.Service, addr netip.Addr) bool {
	return s.usedBy[svc.Name.Namespace][addr] == 0
}

// taking counts those of the addresses that are the pool's and cost.
func (s *stock) taking(svc *pharos.Service, addrs []netip.Addr) int {
	n := 0
	for _, addr := range addrs {
		if s.pool.Contains(addr) && s.costs(svc, addr) {
			n++
		}
	}
	return n
}

func (s *stock) exhausted(svc *pharos.Service) string {
	most, _ := s.quota(svc.Name.Namespace)
	return fmt.Sprintf("namespace %s has used up its quota of %s, %d", svc.Name.Namespace, s, most)
}

func (s *stock) use(namespace string, addr netip.Addr) {
	if len(s.pool.Quota) == 0 {
		return
	}
	if s.usedBy[namespace] == nil {
		s.usedBy[namespace] = map[netip.Addr]int{}
	}
	s.usedBy[namespace][addr]++
}

func (s *stock) unuse(namespace string, addr netip.Addr) {
	used := s.usedBy[namespace]
	if used == nil {
		return
	}
	if used[addr]--; used[addr] <= 0 {
		delete(used, addr)
	}
	if len(used) == 0 {
		delete(s.usedBy, namespace)
	}
}
