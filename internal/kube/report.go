package kube

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/api/v1beta1"
	"github.com/pharoslb/pharos/controller"
	"github.com/pharoslb/pharos/speaker"
	"github.com/pharoslb/pharos/why"
)

// Report is what a role says in status objects.
type Report struct {
	// Synced says that the role knows what it says; nothing is published before.
	Synced bool

	Config   []why.Reason // why the configuration is not in force as it is written
	Pools    []PoolReport
	Services []ServiceReport
	Sessions []SessionReport
	Peers    map[string]bool // by name: whether the session is Established

	hasPools bool // the role judges pools
}

// PoolReport counts a pool's addresses.
type PoolReport struct {
	Pool string
	v1beta1.IPAddressPoolStatus
}

// ServiceReport says how the node announces a Service.
type ServiceReport struct {
	Service    pharos.Name
	BGP        []string // the peers that have it, sorted
	Routed     bool     // it is announced over BGP, whoever has it
	Layer2     bool
	Interfaces []string // that are answered on, sorted; none: all
}

// SessionReport is one BGP session of the node.
type SessionReport struct {
	Peer string // address, or interface, or name where it has neither
	VRF  string
	BGP  string // as RFC 4271 names the state
	BFD  string // up, down, init or N/A
}

// ControllerReport makes a controller's Report.
func ControllerReport(st controller.Status, problems []pharos.Problem) Report {
	r := Report{Synced: st.Synced, Config: reasons(st.Config.Reason, problems), hasPools: true}
	for _, p := range st.Pools {
		r.Pools = append(r.Pools, PoolReport{p.Pool, v1beta1.IPAddressPoolStatus{
			AssignedIPv4: p.IPv4.Used, AssignedIPv6: p.IPv6.Used,
			AvailableIPv4: p.IPv4.Free, AvailableIPv6: p.IPv6.Free,
		}})
	}
	return r
}

// SpeakerReport makes a speaker's Report.
func SpeakerReport(st speaker.Status, problems []pharos.Problem) Report {
	r := Report{Synced: st.Synced, Config: append(reasons(st.Config.Reason, problems), st.Config.Problems...)}
	for i := range st.Services {
		s := &st.Services[i]
		report := ServiceReport{Service: s.Name, BGP: s.Peers()}
		all := false
		for _, a := range s.Addresses {
			report.Routed = report.Routed || slices.Contains(a.Protocols, pharos.BGP)
			if slices.Contains(a.Protocols, pharos.Layer2) {
				report.Layer2 = true
				all = all || len(a.Interfaces) == 0
				report.Interfaces = append(report.Interfaces, a.Interfaces...)
			}
		}
		slices.Sort(report.Interfaces)
		if report.Interfaces = slices.Compact(report.Interfaces); all {
			report.Interfaces = nil
		}
		if report.Layer2 || report.Routed || len(report.BGP) > 0 {
			r.Services = append(r.Services, report)
		}
	}
	r.Peers = make(map[string]bool, len(st.Sessions))
	for i := range st.Sessions {
		s := &st.Sessions[i]
		r.Peers[s.Peer] = s.Reason.Code == why.OK
		report := SessionReport{Peer: s.Interface, VRF: s.VRF, BGP: sessionWord(s), BFD: "N/A"}
		switch {
		case report.Peer != "":
		case s.Addr.IsValid():
			report.Peer = s.Addr.Addr().String()
		default:
			report.Peer = s.Peer
		}
		if s.BFD != nil {
			report.BFD = bfdWord(s.BFD.State)
		}
		if !slices.ContainsFunc(r.Sessions, func(other SessionReport) bool { return other.Peer == report.Peer && other.VRF == report.VRF }) {
			r.Sessions = append(r.Sessions, report)
		}
	}
	return r
}

// sessionWord names a session's state. A session that is down goes through Idle,
// Connect and Active every few seconds, which nobody wants written as often.
func sessionWord(s *speaker.Session) string {
	switch {
	case s.Reason.Code == why.OK:
		return s.State
	case s.Reason.Code == why.SessionDown:
		return "Active"
	}
	return "Idle" // it is not attempted
}

func bfdWord(state string) string {
	if word := strings.ToLower(state); word == "up" || word == "init" {
		return word
	}
	return "down"
}

// reasons returns every problem, or what a role says where there is none.
func reasons(role why.Reason, problems []pharos.Problem) []why.Reason {
	var list []why.Reason
	for _, p := range problems {
		list = append(list, why.Reason{Code: p.Reason.Code, Detail: p.String()})
	}
	if role.Code == why.ConfigOrphans || role.Code != why.OK && len(list) == 0 {
		list = append(list, role)
	}
	return list
}

// Bounds of ConfigurationState's texts.
const (
	maxSummaryLines = 32
	maxSummary      = 8 << 10 // bytes
)

// states says who reports, and since when its conditions are what they are.
type states struct {
	node  string // empty: the controller
	owner *metav1.OwnerReference
}

// configuration makes the ConfigurationState's record. Of the status before, a
// condition's time is kept as long as its verdict is the same.
func (s states) configuration(r Report, before map[string]any, now time.Time) record {
	out := record{name: "controller", owner: s.owner, labels: map[string]string{v1beta1.ComponentTypeLabel: "controller"}}
	if s.node != "" {
		out.name = objectName("speaker-" + s.node)
		out.labels = map[string]string{v1beta1.ComponentTypeLabel: "speaker", v1beta1.NodeNameLabel: labelValue(s.node)}
	}
	out.id = out.name
	st := v1beta1.ConfigurationStateStatus{Result: v1beta1.ConfigurationValid, ErrorSummary: firstOf(r.Config)}
	if len(r.Config) > 0 {
		st.Result = v1beta1.ConfigurationInvalid
	}
	types := []string{v1beta1.ConfigReconcilerValid}
	if r.hasPools {
		types = append(types, v1beta1.PoolReconcilerValid)
	}
	for _, t := range types {
		relevant := r.Config
		if t == v1beta1.PoolReconcilerValid {
			relevant = slices.DeleteFunc(slices.Clone(relevant), func(r why.Reason) bool { return !concernsPools(r) })
		}
		st.Conditions = append(st.Conditions, condition(t, relevant, before, now))
	}
	out.status = asJSON(st)
	return out
}

func concernsPools(r why.Reason) bool {
	return r.Code == why.ConfigOrphans || r.Code == why.ConfigMissing ||
		strings.HasPrefix(r.Detail, pools.kind+" ") || strings.HasPrefix(r.Detail, "ConfigMap ")
}

func condition(kind string, wrong []why.Reason, before map[string]any, now time.Time) metav1.Condition {
	c := metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: v1beta1.ReasonReconciled, LastTransitionTime: metav1.NewTime(now.UTC().Truncate(time.Second))}
	if len(wrong) > 0 {
		c.Status, c.Message, c.Reason = metav1.ConditionFalse, summarize(wrong), v1beta1.ReasonInfraError
		for _, r := range wrong {
			if !awaited(r.Code) {
				c.Reason = v1beta1.ReasonConfigurationError
			}
		}
	}
	list, _ := before["conditions"].([]any)
	for _, was := range list {
		was, _ := was.(map[string]any)
		if was["type"] == kind && was["status"] == string(c.Status) {
			if at, err := time.Parse(time.RFC3339, fmt.Sprint(was["lastTransitionTime"])); err == nil {
				c.LastTransitionTime = metav1.NewTime(at)
			}
		}
	}
	return c
}

// awaited reports whether a reason is gone by itself once something else is there.
func awaited(c why.Code) bool {
	switch c {
	case why.SecretMissing, why.ReferenceMissing, why.ConfigMissing, why.APIUnreachable, why.NotSynced:
		return true
	}
	return false
}

// firstOf makes one line of reasons, as kubectl get makes a column as wide as all lines
// together: the first one, and how many more the conditions have.
func firstOf(list []why.Reason) string {
	if len(list) == 0 {
		return ""
	}
	more := len(list) - 1
	first, rest, _ := strings.Cut(list[0].String(), "\n")
	if rest != "" { // a ConfigMap's problems are the lines of one reason
		more += strings.Count(rest, "\n") + 1
	}
	if more > 0 {
		first += fmt.Sprintf(", and %d more", more)
	}
	return first
}

// summarize makes one text of reasons, a line each.
func summarize(list []why.Reason) string {
	var lines []string
	size := 0
	for i, r := range list {
		line := r.String()
		if size += len(line) + 1; i == maxSummaryLines || size > maxSummary {
			lines = append(lines, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// services makes the records of one kind of Services' statuses.
func (s states) services(kind *statusKind, r Report) []record {
	var list []record
	for _, svc := range r.Services {
		name := svc.Service
		out := record{id: name.String(), owner: s.owner, labels: map[string]string{
			v1beta1.NodeLabel: labelValue(s.node), v1beta1.ServiceNameLabel: name.Name, v1beta1.ServiceNamespaceLabel: name.Namespace,
		}}
		switch {
		case kind == serviceL2Statuses && svc.Layer2:
			st := v1beta1.ServiceL2StatusStatus{Node: s.node, ServiceName: name.Name, ServiceNamespace: name.Namespace}
			for _, i := range svc.Interfaces {
				st.Interfaces = append(st.Interfaces, v1beta1.InterfaceInfo{Name: i})
			}
			out.name, out.status = "l2-"+short(s.node, out.id), asJSON(st)
		case kind == serviceBGPStatuses && len(svc.BGP) > 0:
			out.name, out.status = "bgp-"+short(s.node, out.id), asJSON(v1beta1.ServiceBGPStatusStatus{
				Node: s.node, ServiceName: name.Name, ServiceNamespace: name.Namespace, Peers: svc.BGP,
			})
		default:
			continue
		}
		list = append(list, out)
	}
	return list
}

// sessions makes the records of the BGP sessions.
func (s states) sessions(r Report) []record {
	var list []record
	for _, ses := range r.Sessions {
		labels := map[string]string{v1beta1.NodeLabel: labelValue(s.node), peerLabel: labelValue(ses.Peer)}
		if ses.VRF != "" {
			labels[vrfLabel] = labelValue(ses.VRF)
		}
		id := sessionID(labels[peerLabel], labels[vrfLabel])
		list = append(list, record{id: id, name: "session-" + short(s.node, id), labels: labels, owner: s.owner, status: asJSON(v1beta1.BGPSessionStateStatus{
			BGPStatus: ses.BGP, BFDStatus: ses.BFD, Node: s.node, Peer: ses.Peer, VRF: ses.VRF,
		})})
	}
	return list
}

// pools makes the records of the pools that are objects, by identity.
func (s states) pools(r Report, uid func(pool string) string) []record {
	var list []record
	for _, p := range r.Pools {
		if id := uid(p.Pool); id != "" {
			list = append(list, record{id: poolID(p.Pool, id), name: p.Pool, status: asJSON(p.IPAddressPoolStatus)})
		}
	}
	return list
}

// Bounds of the API server's, in bytes. A node's name may be longer than a label's
// value.
const (
	maxLabel = 63
	maxName  = 253
)

// labelValue makes a label's value of an address, an interface or a node: letters,
// digits and -._ alone, the first and the last one no sign.
func labelValue(text string) string {
	value := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '.' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, text)
	if strings.Trim(value, "-._") != value { // such as ::1
		value = "x" + value + "x"
	}
	return bounded(value, text, maxLabel)
}

// objectName makes an object's name of one that may be too long.
func objectName(name string) string { return bounded(name, name, maxName) }

// bounded cuts a text to the most that it may have, and tells it from others that
// begin alike by what it is about.
func bounded(text, about string, most int) string {
	if len(text) <= most {
		return text
	}
	end := "-" + short(about)
	return text[:most-len(end)] + end
}

// short makes the end of an object's name of what it is about, always the same.
func short(parts ...string) string {
	h := fnv.New64a()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return fmt.Sprintf("%016x", h.Sum64())
}
