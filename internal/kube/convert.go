package kube

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	utilnet "k8s.io/utils/net"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// Annotations of Services, without their prefix.
const (
	prefix           = "metallb.io/"
	deprecatedPrefix = "metallb.universe.tf/"

	addressPool       = "address-pool"
	loadBalancerIPs   = "loadBalancerIPs"
	allowSharedIP     = "allow-shared-ip"
	allocatedFromPool = "ip-allocated-from-pool"

	// dataPlaneMode is of our own, with our prefix.
	dataPlaneMode = "pharoslb.io/dataplane-mode"
)

// service converts a Service. What the API server would not have accepted is
// left out.
func service(in *corev1.Service) *pharos.Service {
	s := &pharos.Service{
		Name:                pharos.Name{Namespace: in.Namespace, Name: in.Name},
		UID:                 string(in.UID),
		Type:                pharos.ServiceType(in.Spec.Type),
		Created:             in.CreationTimestamp.Time,
		ClusterIPs:          addrs(in.Spec.ClusterIPs),
		ExternalIPs:         addrs(in.Spec.ExternalIPs),
		ExternalLocal:       in.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,
		InternalLocal:       in.Spec.InternalTrafficPolicy != nil && *in.Spec.InternalTrafficPolicy == corev1.ServiceInternalTrafficPolicyLocal,
		HealthCheckNodePort: uint16(in.Spec.HealthCheckNodePort),
		Selector:            canonical(in.Spec.Selector),
		Labels:              in.Labels,
		AllocatedFrom:       in.Annotations[prefix+allocatedFromPool],
	}
	if len(s.ClusterIPs) == 0 {
		s.ClusterIPs = addrs([]string{in.Spec.ClusterIP})
	}
	if in.Spec.LoadBalancerClass != nil {
		s.Class = *in.Spec.LoadBalancerClass
	}
	for _, p := range in.Spec.Ports {
		s.Ports = append(s.Ports, pharos.ServicePort{
			Name: p.Name, Protocol: pharos.Protocol(p.Protocol), Port: uint16(p.Port), NodePort: uint16(p.NodePort),
		})
	}
	if in.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		seconds := int32(corev1.DefaultClientIPServiceAffinitySeconds)
		if c := in.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
			seconds = *c.ClientIP.TimeoutSeconds
		}
		s.Affinity = time.Duration(seconds) * time.Second
	}
	for _, text := range in.Spec.LoadBalancerSourceRanges {
		if p, ok := network(strings.TrimSpace(text)); ok {
			s.SourceRanges = append(s.SourceRanges, p)
		}
	}
	if p := in.Spec.IPFamilyPolicy; p != nil {
		s.DualStack = *p != corev1.IPFamilyPolicySingleStack
		s.RequireDualStack = *p == corev1.IPFamilyPolicyRequireDualStack
	}
	for _, ingress := range in.Status.LoadBalancer.Ingress {
		if ingress.IPMode != nil && *ingress.IPMode == corev1.LoadBalancerIPModeProxy {
			continue // packets to it have to reach the load balancer itself
		}
		s.Ingress = append(s.Ingress, addrs([]string{ingress.IP})...)
	}
	requests(s, in)
	if text, ok := in.Annotations[dataPlaneMode]; ok {
		if err := s.Mode.UnmarshalText([]byte(text)); err != nil {
			s.ModeRefused = why.New(why.DataPlaneModeInvalid, "the annotation %s: %v", dataPlaneMode, err)
		}
	}
	return s
}

// requests reads what a Service asks of the allocator. MetalLB's new prefix wins
// over its old one.
func requests(s *pharos.Service, in *corev1.Service) {
	annotation := func(key string) string {
		old, deprecated := in.Annotations[deprecatedPrefix+key]
		s.DeprecatedAnnotations = s.DeprecatedAnnotations || deprecated
		if value, ok := in.Annotations[prefix+key]; ok {
			return value
		}
		return old
	}
	s.RequestedPool = annotation(addressPool)
	s.SharingKey = annotation(allowSharedIP)
	wanted := annotation(loadBalancerIPs)

	refuse := func(format string, args ...any) {
		s.Requested, s.Refused = nil, why.New(why.LoadBalancerFailed, "invalid requested load balancer IPs: "+format, args...)
	}
	field := in.Spec.LoadBalancerIP
	if wanted != "" && field != "" {
		refuse("spec.loadBalancerIP (%s) and the annotation %s (%s) are both given, keep one", field, prefix+loadBalancerIPs, wanted)
		return
	}
	texts := strings.Split(wanted, ",")
	if field != "" {
		texts = []string{field}
	} else if wanted == "" {
		return
	}
	for _, text := range texts {
		a, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil || a.Zone() != "" {
			refuse("%q is not an IP address", strings.TrimSpace(text))
			return
		}
		a = a.Unmap()
		if i := slices.IndexFunc(s.Requested, func(b netip.Addr) bool { return a.Is4() == b.Is4() }); i >= 0 {
			refuse("%s and %s are of one family, ask for one address of each", s.Requested[i], a)
			return
		}
		s.Requested = append(s.Requested, a)
	}
}

// addrs parses addresses, leaving out what is none ("None", ""). Old objects may
// hold IPv4 addresses with leading zeros, which the API reads as decimal.
func addrs(texts []string) []netip.Addr {
	var out []netip.Addr
	for _, text := range texts {
		a, err := netip.ParseAddr(text)
		if err != nil {
			a, _ = netip.AddrFromSlice(utilnet.ParseIPSloppy(text))
		}
		if a.IsValid() && a.Zone() == "" {
			out = append(out, a.Unmap())
		}
	}
	return out
}

// network parses a CIDR as the API does. One that were left out of a Service's
// source ranges could admit everybody.
func network(text string) (netip.Prefix, bool) {
	_, n, err := utilnet.ParseCIDRSloppy(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	a, _ := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	if a.Is4In6() && bits >= 96 {
		a, bits = a.Unmap(), bits-96
	}
	return netip.PrefixFrom(a, bits), true
}

// canonical renders a pod selector so that equal ones have equal strings.
func canonical(selector map[string]string) string {
	parts := make([]string, 0, len(selector))
	for key, value := range selector {
		parts = append(parts, fmt.Sprintf("%s=%s", key, value))
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// node converts a Node.
func node(in *corev1.Node) *pharos.Node {
	n := &pharos.Node{Name: in.Name, Labels: in.Labels}
	for _, a := range in.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			n.Addresses = append(n.Addresses, addrs([]string{a.Address})...)
		}
	}
	cidrs := in.Spec.PodCIDRs
	if len(cidrs) == 0 && in.Spec.PodCIDR != "" {
		cidrs = []string{in.Spec.PodCIDR}
	}
	for _, text := range cidrs {
		if p, err := netip.ParsePrefix(text); err == nil {
			n.PodCIDRs = append(n.PodCIDRs, p.Masked())
		}
	}
	if text, ok := in.Annotations[pharos.DrainAnnotation]; ok && in.Spec.Unschedulable {
		n.Drain = pharos.ParseDrain(text)
	}
	for _, c := range in.Status.Conditions {
		switch c.Type {
		case corev1.NodeNetworkUnavailable:
			n.NetworkUnavailable = c.Status == corev1.ConditionTrue
		case corev1.NodeReady:
			n.NotReady = c.Status != corev1.ConditionTrue
		}
	}
	return n
}
