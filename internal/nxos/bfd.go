package nxos

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/rib"
	"github.com/pharoslb/pharos/router"
)

// bfdState is the state of the session that watches the path to a neighbor.
func bfdState(n *router.NeighborStatus) string {
	if n.Session.BFD == nil {
		return bfd.Down.String()
	}
	return n.Session.BFD.State.String()
}

// bfd is what a neighbor is told of BFD.
func (v *neighborsView) bfd(p func(string, ...any), n *router.NeighborStatus) {
	if n.Config.BFD == nil {
		return
	}
	kind := ""
	if n.Config.BFD.Multihop {
		kind = " multihop"
	}
	p("  BFD%s live-detection is configured and enabled, state is %s", kind, bfdState(n))
}

// bfdView is show bfd neighbors.
type bfdView struct {
	status  router.Status
	names   map[string]string // of interfaces, by device
	family  string            // " ipv4", " ipv6", or both
	details bool
}

func (s *Shell) bfd(family string, details bool) *bfdView {
	return &bfdView{s.Source.Status(), s.Interfaces(), family, details}
}

// each calls f for the sessions, by the neighbor's address.
func (v *bfdView) each(f func(n *router.NeighborStatus, s *bfd.SessionStatus)) {
	var found []*router.NeighborStatus
	for i := range v.status.Neighbors {
		n := &v.status.Neighbors[i]
		if s := n.Session.BFD; s != nil && (v.family == "" || (v.family == " ipv4") == s.Config.Remote.Is4()) {
			found = append(found, n)
		}
	}
	slices.SortStableFunc(found, func(a, b *router.NeighborStatus) int {
		return a.Session.BFD.Config.Remote.Compare(b.Session.BFD.Config.Remote)
	})
	for _, n := range found {
		f(n, n.Session.BFD)
	}
}

// ours is our address on the path.
func (v *bfdView) ours(n *router.NeighborStatus, s *bfd.SessionStatus) string {
	if s.Config.Local.IsValid() {
		return s.Config.Local.String()
	}
	if a := n.Session.LocalAddr.Addr(); a.IsValid() {
		return address(a)
	}
	if c, ok := rib.NewNetworks(v.status.Connected).Find(s.Config.Remote); ok {
		return c.Prefix.Addr().String()
	}
	if s.Config.Remote.Is4() {
		return netip.IPv4Unspecified().String()
	}
	return "0::"
}

// iface is the interface that the path begins with, in short.
func (v *bfdView) iface(n *router.NeighborStatus) string {
	device := attached(&v.status, n)
	if device == "" {
		return "-"
	}
	return shortInterface(interfaceName(device, v.names))
}

func bfdType(s *bfd.SessionStatus) string {
	if s.Config.Multihop {
		return "MH"
	}
	return "SH"
}

// left is how long the neighbor may still be silent, in ms.
func (v *bfdView) left(s *bfd.SessionStatus) string {
	if s.State != bfd.Up || s.DetectionTime == 0 {
		return "N/A"
	}
	left := s.DetectionTime - v.status.Now.Sub(s.LastHeard)
	return fmt.Sprint(max(left, 0).Milliseconds())
}

const bfdRow = "%-15s %-15s %-21s %-15s %-17s %-11s %-21s %-32s %-8s\n"

func (v *bfdView) text() string {
	var b strings.Builder
	head := func() {
		b.WriteByte('\n')
		fmt.Fprintf(&b, bfdRow, "OurAddr", "NeighAddr", "LD/RD", "RH/RS", "Holdown(mult)", "State", "Int", "Vrf", "Type")
	}
	if !v.details {
		head()
	}
	v.each(func(n *router.NeighborStatus, s *bfd.SessionStatus) {
		if v.details {
			head()
		}
		fmt.Fprintf(&b, bfdRow, v.ours(n, s), s.Config.Remote, fmt.Sprintf("%d/%d", s.Discriminator, s.RemoteDiscriminator),
			s.RemoteState, fmt.Sprintf("%s(%d)", v.left(s), s.Config.DetectMultiplier), s.State, v.iface(n), "default", bfdType(s))
		if v.details {
			v.detail(&b, s)
		}
	})
	return b.String()
}

func bit(on bool) int { return map[bool]int{true: 1}[on] }

// detail is what is known of one session.
func (v *bfdView) detail(b *strings.Builder, s *bfd.SessionStatus) {
	p := func(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }
	us, ms := time.Duration.Microseconds, time.Duration.Milliseconds
	echo := "not using echo function"
	if s.EchoInterval > 0 {
		echo = fmt.Sprintf("using echo function with %d ms interval", ms(s.EchoInterval))
	}
	kind := map[bool]string{true: "Multihop", false: "Singlehop"}[s.Config.Multihop]
	auth := "None"
	if a := s.Config.Auth; a != nil {
		auth = a.String()
	}
	p("\nSession state is %v and %s\nSession type: %s", s.State, echo, kind)
	p("Local Diag: %d, Demand mode: 0, Poll bit: %d, Authentication: %s", s.Diag, bit(s.Polling), auth)
	p("MinTxInt: %d us, MinRxInt: %d us, Multiplier: %d", us(s.Config.TransmitInterval), us(s.Config.ReceiveInterval), s.Config.DetectMultiplier)
	p("Received MinRxInt: %d us, Received Multiplier: %d", us(s.RemoteMinReceive), s.RemoteDetectMultiplier)
	p("Holdown (hits): %d ms (%d), Hello (hits): %d ms (%d)", ms(s.DetectionTime), s.Downs, ms(s.TransmitInterval), s.Sent)
	last := "never"
	if !s.LastHeard.IsZero() {
		last = fmt.Sprintf("%d ms ago", ms(max(v.status.Now.Sub(s.LastHeard), 0)))
	}
	p("Rx Count: %d, last: %s", s.Received, last)
	p("Tx Count: %d", s.Sent)
	p("Registered protocols:  bgp")
	up := time.Duration(0)
	if s.State == bfd.Up {
		up = max(v.status.Now.Sub(s.Since), 0)
	}
	const day = 24 * time.Hour
	p("Uptime: %d days %d hrs %d mins %d secs, Upcount: %d", up/day, up%day/time.Hour, up%time.Hour/time.Minute, up%time.Minute/time.Second, s.Ups)
	p("Last packet: %-26s - Diagnostic: %d", "Version: 1", s.RemoteDiag)
	p("             %-26s - Demand bit: %d", fmt.Sprintf("State bit: %v", s.RemoteState), bit(s.RemoteDemand))
	p("             %-26s - Your Discr.: %d", fmt.Sprintf("My Discr.: %d", s.RemoteDiscriminator), s.Discriminator)
	p("             %-26s - Min rx interval: %d", fmt.Sprintf("Min tx interval: %d", us(s.RemoteMinTransmit)), us(s.RemoteMinReceive))
	p("             Min Echo interval: %d", us(s.RemoteMinEchoReceive))
	reason := "No Diagnostic"
	if s.State != bfd.Up && s.LastDown.Reason != bfd.ReasonNone {
		reason = s.LastDown.Reason.String()
	}
	p("Down reason: %s", reason)
	if s.SendError != "" {
		p("Last error: %s", s.SendError)
	}
}

func (v *bfdView) json() object {
	var rows []object
	v.each(func(n *router.NeighborStatus, s *bfd.SessionStatus) {
		row := object{}.str("src_ip_addr", v.ours(n, s)).str("dest_ip_addr", s.Config.Remote).
			str("local_disc", s.Discriminator).str("remote_disc", s.RemoteDiscriminator).
			str("remote_state", s.RemoteState).str("local_state", s.State).str("holddown", v.left(s)).
			str("cur_detect_mult", s.Config.DetectMultiplier).str("intf", v.iface(n)).str("vrf_name", "default").str("type", bfdType(s))
		if v.details {
			row = row.str("echo", s.EchoInterval > 0).str("local_diag", uint8(s.Diag)).str("remote_diag", uint8(s.RemoteDiag)).
				str("tx_interval", s.Config.TransmitInterval.Microseconds()).str("rx_interval", s.Config.ReceiveInterval.Microseconds()).
				str("detection_time", s.DetectionTime.Microseconds()).str("sent", s.Sent).str("received", s.Received).
				str("upcount", s.Ups).str("downcount", s.Downs).str("since", iso(v.status.Now.Sub(s.Since)))
		}
		rows = append(rows, row)
	})
	return object{}.table("bfdNeighbor", rows)
}
