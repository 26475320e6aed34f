package nxos

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
	"github.com/pharoslb/pharos/router"
)

// neighborsView is show ip bgp neighbors.
type neighborsView struct {
	status router.Status
	config *BGP // for what the session does not tell
	only   netip.Addr
	names  map[string]string // of interfaces, by device
}

// each calls f for the neighbors to show, with their index among all.
func (v *neighborsView) each(f func(index int, n *router.NeighborStatus)) {
	for i := range v.status.Neighbors {
		if n := &v.status.Neighbors[i]; !v.only.IsValid() || n.Addr == v.only {
			f(i+1, n)
		}
	}
}

func (v *neighborsView) text() string {
	var b strings.Builder
	v.each(func(index int, n *router.NeighborStatus) {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		v.neighbor(&b, index, n)
	})
	return b.String()
}

func link(v *router.Status, n *router.NeighborStatus) string {
	if n.AS == v.AS {
		return "ibgp"
	}
	return "ebgp"
}

// since is how long ago something was, or "never".
func (v *neighborsView) since(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := v.status.Now.Sub(t)
	if d < time.Second {
		return fmt.Sprintf("%.6f", max(d, 0).Seconds())
	}
	return clock(d)
}

func (v *neighborsView) state(n *router.NeighborStatus) string {
	for_ := clock(v.status.Now.Sub(n.Since))
	switch {
	case n.Config.Shutdown:
		return "Shut (Admin), down for " + for_
	case n.Tripped:
		return "Idle (PfxCt), down for " + for_
	case n.Established():
		return "Established, up for " + for_
	}
	state := n.State
	if n.HasSession && n.Session.LastError.Down.Cause == bgp.CauseConnectFailed {
		state += " (Connect failure)"
	}
	state += ", down for " + for_
	if !n.Session.RetryAt.IsZero() {
		state += ", retry in " + clock(n.Session.RetryAt.Sub(v.status.Now))
	}
	return state
}

func (v *neighborsView) neighbor(b *strings.Builder, index int, n *router.NeighborStatus) {
	p := func(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }
	s := &n.Session
	id := s.RemoteID
	if !id.IsValid() {
		id = netip.IPv4Unspecified()
	}
	p("BGP neighbor is %v,  remote AS %d, %s link,  Peer index %d", n.Addr, n.AS, link(&v.status, n), index)
	if n.Description != "" {
		p("  Description: %s", n.Description)
	}
	p("  BGP version 4, remote router ID %v", id)
	p("  BGP state = %s", v.state(n))
	if c, ok := rib.NewNetworks(v.status.Connected).Find(n.Addr); ok {
		name := v.names[c.Device]
		if name == "" {
			name = c.Device
		}
		p("  Peer is directly attached, interface %s", name)
	}
	if configured := v.configured(n.Addr); configured != nil && configured.UpdateSource != "" {
		p("  Using %s as update source for this peer", configured.UpdateSource)
	}
	if s.Authenticated {
		p("  TCP MD5 authentication is enabled")
	}
	if n.Config.Passive {
		p("  Only passive connection setup allowed")
	}
	hold, keepalive := s.HoldTime, s.KeepaliveTime
	if !n.Established() {
		hold, keepalive = n.Config.HoldTime, n.Config.KeepaliveTime
	}
	p("  Last read %s, hold time = %d, keepalive interval is %d seconds", v.since(s.LastRead), hold/time.Second, keepalive/time.Second)
	due := "00:00:00"
	if !s.KeepaliveDue.IsZero() {
		due = clock(s.KeepaliveDue.Sub(v.status.Now))
	}
	p("  Last written %s, keepalive timer expiry due %s", v.since(s.LastWritten), due)
	p("  Received %d messages, %d notifications, %d bytes in queue", s.Received.Total(), s.Received.Notifications, 0)
	p("  Sent %d messages, %d notifications, %d bytes in queue", s.Sent.Total(), s.Sent.Notifications, s.OutQueue)
	p("  Connections established %d, dropped %d", s.Establishments, s.Drops)
	p("  Last reset by us %s, due to %s", v.since(s.LastResetByUs.At), resetReason(s.LastResetByUs))
	p("  Last reset by peer %s, due to %s", v.since(s.LastResetByPeer.At), resetReason(s.LastResetByPeer))
	if !n.Established() && n.LastError != "" {
		p("  Last error: %s", n.LastError)
	}
	p("")
	v.capabilities(p, n)
	v.statistics(p, s)
	for _, f := range []wire.Family{wire.IPv4Unicast, wire.IPv6Unicast} {
		if n.Configured(f) {
			v.family(p, n, f)
		}
	}
	if local := s.LocalAddr; local.IsValid() {
		p("  Local host: %v, Local port: %d", local.Addr(), local.Port())
		p("  Foreign host: %v, Foreign port: %d", s.RemoteAddr.Addr(), s.RemoteAddr.Port())
	} else {
		p("  No established TCP connection")
	}
}

func (v *neighborsView) configured(a netip.Addr) *Neighbor {
	if v.config == nil {
		return nil
	}
	i := slices.IndexFunc(v.config.Neighbors, func(n *Neighbor) bool { return n.Addr == a })
	if i < 0 {
		return nil
	}
	return v.config.Neighbors[i]
}

// resetReason is why a session ended in NX-OS's words, where it has some.
func resetReason(r bgp.Reset) string {
	if r.At.IsZero() {
		return "No error"
	}
	switch r.Down.Cause {
	case bgp.CauseHoldTimer:
		return "holdtimer expired error"
	case bgp.CauseConnectionLost:
		return "session closed"
	case bgp.CauseShutdown, bgp.CauseDeconfigured, bgp.CauseConfigChange, bgp.CauseReset:
		return r.Down.Cause.String()
	}
	if n := r.Down.Notification; n != nil {
		if n.Code == wire.CodeCease && n.Subcode == wire.SubCeaseShutdown {
			return "administratively shutdown"
		}
		return n.String()
	}
	return r.Down.Cause.String()
}

// marks are the two sides of a capability.
func marks(sent, received bool) string {
	var out []string
	if sent {
		out = append(out, "advertised")
	}
	if received {
		out = append(out, "received")
	}
	return strings.Join(out, " ")
}

func has(caps []wire.Capability, code uint8) bool {
	return slices.ContainsFunc(caps, func(c wire.Capability) bool { return c.Code == code })
}

func hasFamily(caps []wire.Capability, f wire.Family) bool {
	return slices.ContainsFunc(caps, func(c wire.Capability) bool {
		got, ok := c.MultiProtocol()
		return ok && got == f
	})
}

func (v *neighborsView) capabilities(p func(string, ...any), n *router.NeighborStatus) {
	s := &n.Session
	p("  Neighbor capabilities:")
	for _, c := range []struct {
		name string
		code uint8
	}{
		{"Route refresh capability (new)", wire.CapRouteRefresh},
		{"Route refresh capability (old)", wire.CapOldRouteRefresh},
		{"4-Byte AS capability", wire.CapFourOctetAS},
	} {
		if m := marks(has(s.CapabilitiesSent, c.code), has(s.CapabilitiesReceived, c.code)); m != "" {
			p("  %s: %s", c.name, m)
		}
	}
	for _, f := range []wire.Family{wire.IPv4Unicast, wire.IPv6Unicast} {
		if m := marks(hasFamily(s.CapabilitiesSent, f), hasFamily(s.CapabilitiesReceived, f)); m != "" {
			p("  Address family %s: %s", familyName(f), m)
		}
	}
	if m := marks(has(s.CapabilitiesSent, wire.CapGracefulRestart), has(s.CapabilitiesReceived, wire.CapGracefulRestart)); m != "" {
		p("  Graceful Restart capability: %s", m)
	}
	p("")
}

func (v *neighborsView) statistics(p func(string, ...any), s *bgp.SessionStatus) {
	out, in := s.Sent, s.Received
	p("  Message statistics:")
	p("                              Sent               Rcvd")
	for _, row := range []struct {
		name     string
		out, in_ uint64
	}{
		{"Opens", out.Opens, in.Opens},
		{"Notifications", out.Notifications, in.Notifications},
		{"Updates", out.Updates, in.Updates},
		{"Keepalives", out.Keepalives, in.Keepalives},
		{"Route Refresh", out.RouteRefreshes, in.RouteRefreshes},
		{"Capability", 0, 0},
		{"Total", out.Total(), in.Total()},
		{"Total bytes", out.Bytes, in.Bytes},
		{"Bytes in queue", uint64(s.OutQueue), 0},
	} {
		p("  %-16s %15d %18d", row.name+":", row.out, row.in_)
	}
	p("")
}

func (v *neighborsView) family(p func(string, ...any), n *router.NeighborStatus, f wire.Family) {
	version, sent := v.status.Summary(f).Version, uint64(0)
	if n.Carries(f) {
		sent = version
	}
	paths := n.Sources[f].Paths
	p("  For address family: %s", familyName(f))
	p("  BGP table version %d, neighbor version %d", version, sent)
	p("  %d accepted paths consume %d bytes of memory", paths, paths*pathBytes)
	p("  0 sent paths")
	if limit := n.Config.MaxPrefixes[f].Max; limit > 0 {
		p("  Maximum prefixes allowed %d", limit)
	}
	for _, fs := range n.Session.Families {
		if fs.Family == f && !fs.EndOfRIBReceived.IsZero() {
			p("  Last End-of-RIB received %s after session start", clock(fs.EndOfRIBReceived.Sub(n.Session.Since)))
		}
	}
	p("")
}

func (v *neighborsView) json() object {
	var rows []object
	v.each(func(index int, n *router.NeighborStatus) {
		s := &n.Session
		row := object{}.str("neighbor", n.Addr).str("remoteas", n.AS).str("link", link(&v.status, n)).str("index", index)
		if n.Description != "" {
			row = row.str("descr", n.Description)
		}
		row = row.str("version", 4).str("remote-id", s.RemoteID).str("state", n.State).str("up", n.Established()).
			str("elapsedtime", iso(v.status.Now.Sub(n.Since))).
			str("holdtime", int(s.HoldTime/time.Second)).str("keepalivetime", int(s.KeepaliveTime/time.Second)).
			str("msgrecvd", s.Received.Total()).str("notificationsrcvd", s.Received.Notifications).str("recvbufbytes", 0).
			str("msgsent", s.Sent.Total()).str("notificationssent", s.Sent.Notifications).str("sentbytesoutstanding", s.OutQueue).
			str("connsestablished", s.Establishments).str("connsdropped", s.Drops).
			str("resettime", v.since(s.LastResetByUs.At)).str("resetreason", resetReason(s.LastResetByUs)).
			str("peerresettime", v.since(s.LastResetByPeer.At)).str("peerresetreason", resetReason(s.LastResetByPeer)).
			str("openssent", s.Sent.Opens).str("opensrecvd", s.Received.Opens).
			str("updatessent", s.Sent.Updates).str("updatesrecvd", s.Received.Updates).
			str("keepalivesent", s.Sent.Keepalives).str("keepaliverecvd", s.Received.Keepalives).
			str("rtrefreshsent", s.Sent.RouteRefreshes).str("rtrefreshrecvd", s.Received.RouteRefreshes).
			str("bytessent", s.Sent.Bytes).str("bytesrecvd", s.Received.Bytes)
		var afs []object
		for _, f := range n.Config.Families {
			version, sent := v.status.Summary(f).Version, uint64(0)
			if n.Carries(f) {
				sent = version
			}
			afs = append(afs, object{}.str("per-afi", f.AFI).table("persaf", []object{object{}.
				str("per-safi", f.SAFI).str("per-af-name", familyName(f)).str("tableversion", version).
				str("neighbortableversion", sent).str("pathsrecvd", n.Sources[f].Paths).str("pathssent", 0)}))
		}
		row = row.table("peraf", afs)
		if s.LocalAddr.IsValid() {
			row = row.str("localaddr", s.LocalAddr.Addr()).str("localport", s.LocalAddr.Port()).
				str("remoteaddr", s.RemoteAddr.Addr()).str("remoteport", s.RemoteAddr.Port())
		}
		rows = append(rows, row)
	})
	return object{}.table("neighbor", rows)
}
