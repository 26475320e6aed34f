package crd

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/api/v1beta2"
	"github.com/pharoslb/pharos/internal/meant"
	"github.com/pharoslb/pharos/internal/rule"
	"github.com/pharoslb/pharos/why"
)

// peer is a BGP peer whose password may have to be read from a Secret.
type peer struct {
	pharos.Peer
	secret string // name, in our own namespace; empty: none
}

const bgpPort = 179

// maxPort is the highest TCP port that the schema of BGPPeer knows.
const maxPort = 16384

func (s *session) settlePeers() {
	list := drafts(s, "BGPPeer", s.Peers, s.past.peers, s.readPeer)
	ours := len(s.config.Peers)
	profiles := len(s.config.BFDProfiles)
	start := func() { s.config.Peers, s.config.BFDProfiles = s.config.Peers[:ours], s.config.BFDProfiles[:profiles] }
	s.past.peers = settle(s, list, start, func(d *draft[peer], v *peer, lastChance bool) (bool, faults) {
		wrong := s.twins(v)
		if len(wrong) > 0 {
			return false, wrong
		}
		p := v.Peer
		ready := s.watched(&p, &wrong)
		if p.Refused.Code == why.OK {
			ready = s.unlock(&p, v.secret, &wrong) && ready
		}
		// Who asks for a password where there was none does without the session
		// rather than without the password.
		safe := v.secret == "" || d.last != nil && (d.last.secret != "" || d.last.Password != "")
		if !ready && !lastChance && safe {
			wrong.inForceStays()
			return false, wrong
		}
		s.config.Peers = append(s.config.Peers, p)
		return true, wrong
	})
	for object := range s.past.profiles {
		if s.config.BFDProfile(object.Name) == nil {
			delete(s.past.profiles, object)
		}
	}
	sortByName(s.config.Peers[ours:], func(p pharos.Peer) string { return p.Name })
}

// twins tells of the peers in force that a peer can't be beside.
func (s *session) twins(v *peer) (wrong faults) {
	for i := range s.config.Peers {
		switch other := &s.config.Peers[i]; {
		case other.Name == v.Name: // the ConfigMap's
			wrong.add("metadata.name", "rename one of them", "there is a peer %s already, %s", rule.Quote(v.Name), other.Origin)
		case sameSession(&v.Peer, other) && meet(v.NodeSelectors, other.NodeSelectors):
			field := "spec.peerAddress"
			if v.Interface != "" {
				field = "spec.interface"
			}
			wrong.add(field, "delete one of them, or tell them apart by nodeSelectors", "%s is the peer of %s already, on the same nodes", place(&v.Peer), other.Origin)
		}
	}
	return wrong
}

// sameSession reports whether one node can't hold a session with each.
func sameSession(a, b *pharos.Peer) bool {
	return a.Addr == b.Addr && a.Interface == b.Interface && a.Port == b.Port && a.SourceAddr == b.SourceAddr && a.VRF == b.VRF
}

// place is where a peer is, for people.
func place(p *pharos.Peer) string {
	text := p.Interface
	if p.Addr.IsValid() {
		text = p.Addr.String()
	}
	if p.Port != bgpPort {
		if p.Addr.Is6() {
			text = "[" + text + "]"
		}
		text = fmt.Sprintf("%s:%d", text, p.Port)
	}
	return text
}

// watched looks for the peer's BFD profile. A peer without it has no session:
// its operator relies on BFD.
func (s *session) watched(p *pharos.Peer, wrong *faults) bool {
	name := p.BFDProfile
	there := name == "" || s.config.BFDProfile(name) != nil
	if last := s.kept[name]; last != nil {
		if !there {
			s.config.BFDProfiles = append(s.config.BFDProfiles, *last)
		}
		wrong.awaits(why.ReferenceMissing, "spec.bfdProfile", "create it anew, or name another one",
			"there is no BFDProfile %s any more; what it said stays in force until the program ends", rule.Quote(name))
		return true
	}
	if there {
		return true
	}
	var known []string
	for _, o := range s.config.BFDProfiles {
		known = append(known, o.Name)
	}
	slices.Sort(known)
	hint := noSession
	if m := meant.Word(name, known); m != "" {
		hint = "did you mean " + m + "?"
	}
	wrong.awaits(why.ReferenceMissing, "spec.bfdProfile", hint, "there is no BFDProfile %s", rule.Quote(name))
	p.Refused = wrong.last()
	return false
}

// noSession is the hint of what is awaited.
const noSession = "there is no session until it is there"

// inForceStays corrects the hints of an edit that waits for something.
func (f faults) inForceStays() {
	for i := range f {
		if f[i].Hint == noSession {
			f[i].Hint = "what was in force stays until it is there"
		}
	}
}

// unlock reads the peer's password from its Secret. Without it there is no
// session: never one with an empty password.
func (s *session) unlock(p *pharos.Peer, secret string, wrong *faults) bool {
	if secret == "" {
		return true
	}
	got, there := s.Secrets[secret]
	switch {
	case !there:
		wrong.awaits(why.SecretMissing, "spec.passwordSecret", noSession, "there is no Secret %s/%s", s.Namespace, secret)
	case got.Type != string(corev1.SecretTypeBasicAuth):
		wrong.awaits(why.SecretMissing, "spec.passwordSecret", "a Secret's type can't be changed: create it anew", "Secret %s/%s is of type %s, must be %s", s.Namespace, secret, rule.Quote(got.Type), corev1.SecretTypeBasicAuth)
	case got.Password == nil || *got.Password == "":
		wrong.awaits(why.SecretMissing, "spec.passwordSecret", "", "Secret %s/%s has no value under the key password", s.Namespace, secret)
	default:
		if f := rule.Password(got.Password.Reveal()); f != nil {
			wrong.awaits(why.SecretMissing, "spec.passwordSecret", f.Hint, "the password in Secret %s/%s %s", s.Namespace, secret, f.Reason)
			break
		}
		p.Password = *got.Password
		return true
	}
	p.Refused = wrong.last()
	return false
}

func (s *session) readPeer(o *v1beta2.BGPPeer, f *faults) *peer {
	spec := &o.Spec
	v := &peer{Peer: pharos.Peer{
		Name:            o.Name,
		Origin:          ref("BGPPeer", o).String(),
		LocalAS:         spec.MyASN,
		RemoteAS:        spec.ASN,
		DynamicAS:       pharos.DynamicAS(spec.DynamicASN),
		Interface:       spec.Interface,
		Port:            cmp.Or(spec.Port, bgpPort),
		NodeSelectors:   f.selectors("spec.nodeSelectors", spec.NodeSelectors),
		Password:        pharos.Secret(spec.Password),
		EBGPMultiHop:    spec.EBGPMultiHop,
		BFDProfile:      spec.BFDProfile,
		LocalASOverride: spec.LocalASN,
		GracefulRestart: spec.EnableGracefulRestart,
		VRF:             spec.VRFName,
		DualStack:       spec.DualStackAddressFamily,
	}}
	s.readPlace(spec, v, f)
	f.fits("spec.myASN", rule.AS(spec.MyASN))
	f.fits("spec.peerASN", rule.AS(spec.ASN))
	f.fits("spec.localASN", rule.AS(spec.LocalASN))
	if v.LocalAS == 0 {
		f.add("spec.myASN", "", "is missing, or 0")
	}
	switch {
	case v.DynamicAS != "" && v.DynamicAS != pharos.Internal && v.DynamicAS != pharos.External:
		f.add("spec.dynamicASN", "", "%s is neither internal nor external", rule.Quote(string(spec.DynamicASN)))
	case v.RemoteAS != 0 && v.DynamicAS != "":
		f.add("spec.dynamicASN", "leave one of them out", "peerASN is given too")
	case v.RemoteAS == 0 && v.DynamicAS == "":
		f.add("spec.peerASN", "give it, or dynamicASN", "is missing, or 0")
	}
	if v.Port > maxPort {
		f.add("spec.peerPort", "", "%d is not from 0 to %d", v.Port, maxPort)
	}
	readTimers(spec, v, f)
	f.fits("spec.ebgpMultiHop", rule.MultiHop(&v.Peer, "leave it out, or correct the autonomous systems"))
	s.readPassword(spec, v, f)
	return v
}

// readPlace reads the peer's address or interface, and our own addresses.
func (s *session) readPlace(spec *v1beta2.BGPPeerSpec, v *peer, f *faults) {
	address := func(field, text string, only4 bool) (a netip.Addr) {
		if text != "" {
			var wrong *rule.Fault
			a, wrong = rule.Address(text, only4)
			f.fits(field, wrong)
		}
		return a
	}
	v.Addr = address("spec.peerAddress", spec.Address, false)
	v.SourceAddr = address("spec.sourceAddress", spec.SrcAddress, false)
	v.RouterID = address("spec.routerID", spec.RouterID, true)
	f.fits("spec.sourceAddress", rule.SourceFamily(v.SourceAddr, v.Addr))
	f.fits("spec.routerID", rule.RouterID(v.RouterID))
	if v.Addr.IsValid() {
		f.fits("spec.peerAddress", rule.Host(v.Addr))
	} else if a := v.SourceAddr; spec.Interface != "" && a.IsValid() && !(a.Is6() && a.IsLinkLocalUnicast()) {
		f.add("spec.sourceAddress", "leave it out", "%s is not link-local, as the addresses of a session found by its interface are", a)
	}
	switch {
	case spec.Address != "" && spec.Interface != "":
		f.add("spec.interface", "leave one of them out", "peerAddress is given too")
	case spec.Address == "" && spec.Interface == "":
		f.add("spec.peerAddress", "give it, or interface", "is missing")
	}
}

func readTimers(spec *v1beta2.BGPPeerSpec, v *peer, f *faults) {
	seconds := func(field string, d *metav1.Duration) *time.Duration {
		if d == nil || !f.fits(field, rule.InSeconds(d.Duration)) {
			return nil
		}
		return &d.Duration
	}
	ofHold, ofKeepalive := rule.Timers(&v.Peer, seconds("spec.holdTime", spec.HoldTime), seconds("spec.keepaliveTime", spec.KeepaliveTime))
	f.fits("spec.holdTime", ofHold)
	f.fits("spec.keepaliveTime", ofKeepalive)
	if d := seconds("spec.connectTime", spec.ConnectTime); d != nil {
		if *d < time.Second || *d%time.Second != 0 || *d > math.MaxUint16*time.Second {
			f.add("spec.connectTime", "such as 10s", "%s is not whole seconds from 1s to 65535s", *d)
			return
		}
		pause := *d
		v.ConnectTime = &pause
	}
}

// readPassword reads where the password is. Two places are one too many.
func (s *session) readPassword(spec *v1beta2.BGPPeerSpec, v *peer, f *faults) {
	f.fits("spec.password", rule.Password(spec.Password))
	secret := spec.PasswordSecret
	switch {
	case secret.Name == "" && secret.Namespace != "":
		f.add("spec.passwordSecret.name", "", "is missing")
	case secret.Name == "":
	case spec.Password != "":
		f.add("spec.passwordSecret", "leave password out", "password is given too")
	case secret.Namespace != "" && secret.Namespace != s.Namespace:
		f.add("spec.passwordSecret.namespace", "only Secrets of "+s.Namespace+" are read: create it there", "%s is another namespace", rule.Quote(secret.Namespace))
	default:
		v.secret = secret.Name
	}
}
