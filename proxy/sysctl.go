package proxy

import (
	"errors"
	"io/fs"
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos/why"
)

// setting is a kernel setting that the data plane depends on.
type setting struct {
	key  string
	want string   // what it is set to
	also []string // values that do as well

	// report has the proxy leave the setting even where it may set others: it is
	// the operator's to decide.
	report bool

	// each device has the setting as well, and the kernel takes the greater of that
	// and of this one: want is right whatever the devices have, also is not.
	each bool

	// ipv6 settings matter where the node has pods with IPv6 addresses.
	ipv6 bool

	reason string // what goes wrong otherwise
}

// settings are documented in the kernel's Documentation/networking/ip-sysctl
// and, for the bridge's, in its br_netfilter.
var settings = []setting{
	{key: "net.ipv4.conf.all.arp_ignore", want: "1", also: []string{"2"},
		reason: "the node answers ARP for addresses of other interfaces, service addresses among them"},
	{key: "net.ipv4.conf.all.arp_announce", want: "2",
		reason: "the node may announce a service address as its own when it asks by ARP"},
	{key: "net.ipv4.ip_forward", want: "1",
		reason: "packets to services don't reach pods"},
	// A forwarding node ignores router advertisements unless it is told not to,
	// and may lose its own default route.
	{key: "net.ipv6.conf.all.forwarding", want: "1", report: true, ipv6: true,
		reason: "packets to services don't reach pods over IPv6 (where the node learns its routes from router advertisements, set accept_ra to 2 first)"},
	{key: "net.bridge.bridge-nf-call-iptables", want: "1",
		reason: "answers of a pod on the same bridge bypass the translation"},
	{key: "net.bridge.bridge-nf-call-ip6tables", want: "1", ipv6: true,
		reason: "answers of a pod on the same bridge bypass the translation over IPv6"},
	{key: "net.ipv4.conf.all.rp_filter", want: "2", also: []string{"0"}, report: true, each: true,
		reason: "clients are lost whose packets come in by another interface than answers go out (RFC 3704, strict)"},
}

// sysctls checks the settings, sets those that it may, and reports what is
// wrong. A key that the kernel does not have needs no setting.
func (p *Proxy) sysctls() {
	p.mu.Lock()
	before := slices.Clone(p.status.Sysctls)
	ipv6 := hasIPv6(p.state.Node.PodCIDRs)
	p.mu.Unlock()
	var found []Sysctl
	for _, s := range settings {
		if s.ipv6 && !ipv6 {
			continue
		}
		if now, ok := p.check(s); ok {
			i := slices.IndexFunc(before, func(b Sysctl) bool { return b.Key == s.key })
			if i >= 0 && now.Reason == (why.Reason{}) && !now.Set {
				now.Found, now.Set = before[i].Found, before[i].Set // still as it was set
			} else if i < 0 || before[i].Reason != now.Reason || now.Set {
				p.tell(s, now)
			}
			found = append(found, now)
		}
	}
	p.mu.Lock()
	p.status.Sysctls = found
	p.mu.Unlock()
}

func hasIPv6(networks []netip.Prefix) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Addr().Is6() })
}

// check looks at one setting. It returns false where the kernel has none such.
func (p *Proxy) check(s setting) (Sysctl, bool) {
	value, err := p.edge.Kernel.Sysctl(s.key)
	if errors.Is(err, fs.ErrNotExist) {
		return Sysctl{}, false
	}
	result := Sysctl{Key: s.key, Want: s.want, Found: value}
	switch {
	case err != nil:
		result.Reason = why.New(why.SysctlWrong, "%s can't be read: %v", s.key, err)
		return result, true
	case value == s.want:
		return result, true
	case slices.Contains(s.also, value):
		if s.each {
			result.Reason = p.checkDevices(s, value)
		}
		return result, true
	case !p.opts.Check && !s.report:
		if err = p.edge.Kernel.SetSysctl(s.key, s.want); err == nil {
			result.Set = true
			return result, true
		}
	}
	result.Reason = why.New(why.SysctlWrong, "%s is %s: %s; correct it with: sysctl -w %s=%s", s.key, value, s.reason, s.key, s.want)
	if err != nil {
		result.Reason.Detail += " (" + err.Error() + ")"
	}
	return result, true
}

// tell logs and records what is or was wrong with a setting.
func (p *Proxy) tell(s setting, now Sysctl) {
	reason := now.Reason
	switch {
	case now.Set:
		reason = why.New(why.SysctlWrong, "%s was %s: %s; it was corrected as by: sysctl -w %s=%s", s.key, now.Found, s.reason, s.key, s.want)
		p.log.Info("kernel setting was wrong and is corrected", "key", s.key, "was", now.Found, "is", now.Want)
	case reason.Code == why.OK:
		return
	default:
		p.log.Warn("kernel setting is wrong", "key", s.key, "reason", reason.String())
	}
	if p.edge.Recorder != nil {
		p.edge.Recorder.Node(p.opts.Node, reason)
	}
}
