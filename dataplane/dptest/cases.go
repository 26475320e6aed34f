package dptest

import (
	"net/netip"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// targetPort is where pods listen, nodePort the node port of web.
const (
	targetPort = 8080
	nodePort   = 30080
)

type option func(*pharos.Service)

// web returns a Service's options: port 80, a node port, and what is given.
func web(options ...option) []option { return options }

func newCluster() *cluster {
	return &cluster{services: map[pharos.Name]*pharos.Service{}, endpoints: map[pharos.Name]*pharos.Endpoints{}}
}

// add adds Service default/web with the ready pods as its endpoints. It has the
// first ClusterIP, the first VIP as its load balancer's address and the second
// as external IP.
func (c *cluster) add(f *Family, protocol pharos.Protocol, options []option, pods ...Place) *cluster {
	name := pharos.Name{Namespace: "default", Name: "web"}
	s := &pharos.Service{
		Name: name, Type: pharos.LoadBalancer, Created: time.Unix(1000, 0),
		ClusterIPs:  []netip.Addr{f.ClusterIP(1)},
		Ingress:     []netip.Addr{f.VIP(1)},
		ExternalIPs: []netip.Addr{f.VIP(2)},
		Ports:       []pharos.ServicePort{{Name: "http", Protocol: protocol, Port: 80, NodePort: nodePort}},
	}
	for _, o := range options {
		o(s)
	}
	c.services[name] = s
	c.endpoints[name] = &pharos.Endpoints{}
	for _, p := range pods {
		c.endpoint(f, protocol, p, ready)
	}
	return c
}

// ready, notReady and draining are states of endpoints.
func ready(b *pharos.Backend)    { b.Ready, b.Serving = true, true }
func notReady(*pharos.Backend)   {}
func draining(b *pharos.Backend) { b.Serving, b.Terminating = true, true }

// endpoint adds an endpoint to default/web.
func (c *cluster) endpoint(f *Family, protocol pharos.Protocol, p Place, state func(*pharos.Backend)) *cluster {
	b := pharos.Backend{Addr: f.Addrs[p], Node: NodeName, Ports: []pharos.BackendPort{{Name: "http", Protocol: protocol, Port: targetPort}}}
	if p == Pod3 {
		b.Node = OtherNode
	}
	state(&b)
	e := c.endpoints[pharos.Name{Namespace: "default", Name: "web"}]
	e.Backends = append(e.Backends, b)
	return c
}

type scenario struct {
	name  string
	steps []step
}

func externalLocal(s *pharos.Service) { s.ExternalLocal = true }
func internalLocal(s *pharos.Service) { s.InternalLocal = true }

// cases are what kube-proxy does, and what has to be true of any driver.
func cases(f *Family, protocol pharos.Protocol) []scenario {
	cip, vip, ext, node := f.ClusterIP(1), f.VIP(1), f.VIP(2), f.Addrs[Node1]
	all, here, there := []Place{Pod1, Pod2, Pod3}, []Place{Pod1, Pod2}, []Place{Pod3}
	with := func(options []option, pods ...Place) *cluster { return newCluster().add(f, protocol, options, pods...) }
	accept := func(from Place, to netip.Addr, port uint16, any []Place, s source) probe {
		return probe{from, to, port, dataplane.Accept, any, s}
	}
	refuse := func(action dataplane.Action, from Place, to netip.Addr, port uint16) probe {
		return probe{from: from, to: to, port: port, action: action}
	}
	admit := func(p ...netip.Prefix) option { return func(s *pharos.Service) { s.SourceRanges = p } }
	one := func(p Place) netip.Prefix { return netip.PrefixFrom(f.Addrs[p], f.Addrs[p].BitLen()) }
	return []scenario{
		{"cluster IP", []step{{with(web(), all...), []probe{
			accept(Pod1, cip, 80, all, kept),
			accept(Node1, cip, 80, all, kept),
			accept(Client, cip, 80, all, masked),
			accept(Pod3, cip, 80, all, masked),
			refuse(dataplane.Reject, Pod1, cip, 81),
			refuse(dataplane.Reject, Node1, cip, 81),
			refuse(dataplane.Reject, Client, cip, 81),
		}}}},
		{"external policy Cluster", []step{{with(web(), all...), []probe{
			accept(Client, vip, 80, all, masked),
			accept(Client, ext, 80, all, masked),
			accept(Client, node, nodePort, all, masked),
			accept(Pod1, vip, 80, all, masked),
			accept(Pod1, node, nodePort, all, masked),
			accept(Node1, vip, 80, all, masked),
			accept(Node1, node, nodePort, all, masked),
			accept(Pod3, vip, 80, all, masked),
			refuse(dataplane.Reject, Client, vip, 81),
			refuse(dataplane.Reject, Client, ext, 81),
			refuse(dataplane.Pass, Client, vip, nodePort),
		}}}},
		{"external policy Local", []step{{with(web(externalLocal), all...), []probe{
			accept(Client, vip, 80, here, kept),
			accept(Client, ext, 80, here, kept),
			accept(Client, node, nodePort, here, kept),
			accept(Pod1, vip, 80, all, kept),
			accept(Pod1, node, nodePort, all, kept),
			accept(Node1, vip, 80, all, masked),
			accept(Node1, node, nodePort, all, masked),
			accept(Client, cip, 80, all, masked), // the internal policy is its own
		}}, {with(web(externalLocal), there...), []probe{
			refuse(dataplane.Drop, Client, vip, 80),
			refuse(dataplane.Drop, Client, node, nodePort),
			accept(Pod1, vip, 80, there, kept),
			accept(Node1, vip, 80, there, masked),
			accept(Node1, node, nodePort, there, masked),
		}}, {with(web(externalLocal)), []probe{
			refuse(dataplane.Reject, Client, vip, 80),
			refuse(dataplane.Reject, Client, node, nodePort),
			refuse(dataplane.Reject, Pod1, vip, 80),
			refuse(dataplane.Reject, Node1, node, nodePort),
		}}, {with(web(externalLocal), Pod2), []probe{
			accept(Client, vip, 80, []Place{Pod2}, kept),
			accept(Pod1, node, nodePort, []Place{Pod2}, kept),
		}}}},
		{"internal policy Local", []step{{with(web(internalLocal), all...), []probe{
			accept(Pod1, cip, 80, here, kept),
			accept(Node1, cip, 80, here, masked),
			accept(Client, vip, 80, all, masked), // the external policy is its own
		}}, {with(web(internalLocal), there...), []probe{
			refuse(dataplane.Drop, Pod1, cip, 80),
			refuse(dataplane.Drop, Node1, cip, 80),
			accept(Client, vip, 80, there, masked),
		}}, {with(web(internalLocal)), []probe{
			refuse(dataplane.Reject, Pod1, cip, 80),
		}}}},
		{"no endpoints", []step{{with(web()), []probe{
			refuse(dataplane.Reject, Client, cip, 80),
			refuse(dataplane.Reject, Client, vip, 80),
			refuse(dataplane.Reject, Client, ext, 80),
			refuse(dataplane.Reject, Client, node, nodePort),
			refuse(dataplane.Reject, Pod1, cip, 80),
			refuse(dataplane.Reject, Pod1, node, nodePort),
			refuse(dataplane.Reject, Node1, cip, 80),
			refuse(dataplane.Reject, Node1, vip, 80),
		}}, {with(web(), Pod3), []probe{
			accept(Client, cip, 80, there, masked),
			accept(Pod1, cip, 80, there, kept),
		}}}},
		{"endpoints that are not ready", []step{
			{with(web(), Pod1).endpoint(f, protocol, Pod2, notReady).endpoint(f, protocol, Pod3, draining), []probe{
				accept(Client, cip, 80, []Place{Pod1}, masked),
			}},
			{with(web()).endpoint(f, protocol, Pod2, notReady).endpoint(f, protocol, Pod3, draining), []probe{
				accept(Client, cip, 80, there, masked), // better than nobody
			}},
			{with(web(externalLocal), Pod3).endpoint(f, protocol, Pod2, draining), []probe{
				accept(Client, vip, 80, []Place{Pod2}, kept),
				accept(Pod1, vip, 80, there, kept),
			}},
			{with(web()).endpoint(f, protocol, Pod2, notReady), []probe{
				refuse(dataplane.Reject, Client, cip, 80),
			}},
		}},
		{"source ranges", []step{{with(web(admit(one(Client), f.PodNets[1])), all...), []probe{
			accept(Client, vip, 80, all, masked),
			accept(Pod3, vip, 80, all, masked),
			refuse(dataplane.Drop, Client2, vip, 80),
			refuse(dataplane.Drop, Pod1, vip, 80),
			accept(Client2, ext, 80, all, masked),
			accept(Client2, node, nodePort, all, masked),
			accept(Client2, cip, 80, all, masked),
		}}, {with(web(admit(one(Client2), one(Node1))), all...), []probe{
			refuse(dataplane.Drop, Client, vip, 80),
			accept(Client2, vip, 80, all, masked),
			accept(Node1, vip, 80, all, masked),
		}}, {with(web(), all...), []probe{
			accept(Client, vip, 80, all, masked),
		}}}},
		{"a pod reaches itself", []step{{with(web(), Pod1), []probe{
			accept(Pod1, cip, 80, []Place{Pod1}, masked),
			accept(Pod1, vip, 80, []Place{Pod1}, masked),
			accept(Pod1, node, nodePort, []Place{Pod1}, masked),
		}}, {with(web(externalLocal), Pod1), []probe{
			accept(Pod1, vip, 80, []Place{Pod1}, masked),
			accept(Pod2, vip, 80, []Place{Pod1}, kept),
		}}}},
		{"the node is an endpoint", []step{{with(web(), Node1), []probe{
			accept(Pod1, cip, 80, []Place{Node1}, kept),
			accept(Node1, cip, 80, []Place{Node1}, kept),
			accept(Client, node, nodePort, []Place{Node1}, masked),
		}}}},
		{"ports of one address", []step{{
			with(web(func(s *pharos.Service) {
				s.Ports = append(s.Ports,
					pharos.ServicePort{Name: "admin", Protocol: protocol, Port: 81},
					pharos.ServicePort{Name: "http", Protocol: other(protocol), Port: 80})
			}), Pod1).ports(f, protocol, Pod2, pharos.BackendPort{Name: "admin", Protocol: protocol, Port: targetPort}), []probe{
				accept(Client, cip, 80, []Place{Pod1}, masked),
				accept(Client, vip, 81, []Place{Pod2}, masked),
				refuse(dataplane.Reject, Client, vip, 82),
			}}}},
		{"two Services want one address", []step{{
			with(web(), Pod1).second(f, protocol, time.Unix(2000, 0), Pod2), []probe{
				accept(Client, vip, 80, []Place{Pod1}, masked),
				accept(Client, f.ClusterIP(2), 80, []Place{Pod2}, masked),
			}}, {
			with(web(), Pod1).second(f, protocol, time.Unix(500, 0), Pod2), []probe{
				accept(Client, vip, 80, []Place{Pod2}, masked),
				accept(Client, cip, 80, []Place{Pod1}, masked),
			}}}},
		{"services come and go", []step{{newCluster(), []probe{
			refuse(dataplane.Pass, Client, cip, 80),
			refuse(dataplane.Pass, Client, node, nodePort),
		}}, {with(web(), all...), []probe{
			accept(Client, cip, 80, all, masked),
		}}, {with(web(func(s *pharos.Service) { s.Type, s.Ports[0].NodePort = pharos.ClusterIP, 0 }), Pod1), []probe{
			accept(Client, cip, 80, []Place{Pod1}, masked),
			refuse(dataplane.Pass, Client, node, nodePort),
			refuse(dataplane.Pass, Client, vip, 80),
		}}, {with(web(func(s *pharos.Service) {
			s.Labels = map[string]string{"service.kubernetes.io/service-proxy-name": "other"}
		}), Pod1), []probe{
			refuse(dataplane.Pass, Client, cip, 80),
		}}}},
	}
}

func other(p pharos.Protocol) pharos.Protocol {
	if p == pharos.TCP {
		return pharos.UDP
	}
	return pharos.TCP
}

// ports adds a ready endpoint with other ports to default/web.
func (c *cluster) ports(f *Family, protocol pharos.Protocol, p Place, ports ...pharos.BackendPort) *cluster {
	c.endpoint(f, protocol, p, ready)
	e := c.endpoints[pharos.Name{Namespace: "default", Name: "web"}]
	e.Backends[len(e.Backends)-1].Ports = ports
	return c
}

// second adds Service default/rival, which wants default/web's VIP too.
func (c *cluster) second(f *Family, protocol pharos.Protocol, created time.Time, p Place) *cluster {
	name := pharos.Name{Namespace: "default", Name: "rival"}
	c.services[name] = &pharos.Service{
		Name: name, Type: pharos.LoadBalancer, Created: created,
		ClusterIPs: []netip.Addr{f.ClusterIP(2)}, Ingress: []netip.Addr{f.VIP(1)},
		Ports: []pharos.ServicePort{{Name: "http", Protocol: protocol, Port: 80}},
	}
	c.endpoints[name] = &pharos.Endpoints{Backends: []pharos.Backend{{
		Addr: f.Addrs[p], Node: NodeName, Ready: true, Ports: []pharos.BackendPort{{Name: "http", Protocol: protocol, Port: targetPort}}}}}
	return c
}
