package nxos

import (
	"cmp"
	"fmt"
	"net/netip"
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
	config *Config           // for what the session does not tell
	only   *Neighbor         // nil: all
	names  map[string]string // of interfaces, by device
}

// each calls f for the neighbors to show, with their index among all.
func (v *neighborsView) each(f func(index int, n *router.NeighborStatus)) {
	for i := range v.status.Neighbors {
		if n := &v.status.Neighbors[i]; v.only == nil || v.only.is(n, v.names) {
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

// is says that the configuration's neighbor is the one of a status; a prefix is all that
// it let in. names has the interfaces by device.
func (n *Neighbor) is(s *router.NeighborStatus, names map[string]string) bool {
	switch {
	case n.Prefix.IsValid():
		return s.Dynamic && s.Config.Prefix == n.Prefix
	case n.Interface != "":
		return s.Config.Interface != "" && interfaceName(s.Config.Interface, names) == n.Interface
	}
	return s.Config.Interface == "" && s.Addr.WithZone("") == n.Addr
}

// interfaceName is the configuration's name of a device, or the device itself.
func interfaceName(device string, names map[string]string) string {
	return cmp.Or(names[device], device)
}

// address is an address without its zone, which is a device.
func address(a netip.Addr) string {
	if !a.IsValid() {
		return "unknown"
	}
	return a.WithZone("").String()
}

// peerName is how show commands call a neighbor.
func peerName(n *router.NeighborStatus, names map[string]string) string {
	if n.Config.Interface != "" {
		return shortInterface(interfaceName(n.Config.Interface, names))
	}
	return address(n.Addr)
}

// dynamic is what JSON tells of a neighbor that a prefix let in.
func dynamic(n *router.NeighborStatus) object {
	if !n.Dynamic {
		return nil
	}
	return object{}.str("dynamic", true).str("prefix", n.Config.Prefix)
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
	if n.Config.Interface != "" && !n.Addr.IsValid() {
		state += " (No neighbor found)"
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
	id := remoteID(n)
	local := ""
	if n.Config.LocalAS != 0 {
		local = fmt.Sprintf(" local AS %d,", n.Config.LocalAS)
	}
	p("BGP neighbor is %s,  remote AS %d,%s %s link,  Peer index %d", peerName(n, v.names), n.AS, local, link(&v.status, n), index)
	if n.Dynamic {
		p("  Inherits peer configuration from prefix %v", n.Config.Prefix)
	}
	if n.Description != "" {
		p("  Description: %s", n.Description)
	}
	p("  BGP version 4, remote router ID %v", id)
	p("  BGP state = %s", v.state(n))
	if device := attached(&v.status, n); device != "" {
		p("  Peer is directly attached, interface %s", interfaceName(device, v.names))
	}
	configured := v.configured(n)
	if configured.UpdateSource != "" {
		p("  Using %s as update source for this peer", configured.UpdateSource)
	}
	if configured.MultiHop > 0 {
		p("  External BGP peer might be up to %d hops away", configured.MultiHop)
	}
	if hops := n.Config.TTLSecurity; hops > 0 {
		p("  TTL security is enabled, peer might be up to %d hops away", hops)
	}
	if n.Config.Draining {
		p("  Graceful shutdown is activated")
	}
	v.bfd(p, n)
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
		p("  Local host: %s, Local port: %d", address(local.Addr()), local.Port())
		p("  Foreign host: %s, Foreign port: %d", address(s.RemoteAddr.Addr()), s.RemoteAddr.Port())
	} else {
		p("  No established TCP connection")
	}
}

// attached is the device on whose network a neighbor is; empty: none.
func attached(status *router.Status, n *router.NeighborStatus) string {
	if n.Config.Interface != "" {
		return n.Config.Interface
	}
	if zone := n.Addr.Zone(); zone != "" {
		return zone
	}
	c, _ := rib.NewNetworks(status.Connected).Find(n.Addr)
	return c.Device
}

// configured is what the configuration says of a neighbor.
func (v *neighborsView) configured(n *router.NeighborStatus) *Neighbor {
	if b := v.config.BGP; b != nil {
		for _, c := range b.Neighbors {
			if c.is(n, v.names) {
				return c
			}
		}
	}
	return &Neighbor{}
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
	case bgp.CauseShutdown, bgp.CauseDeconfigured, bgp.CauseConfigChange, bgp.CauseReset, bgp.CausePathDown:
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
	if limit := n.Config.MaxPrefixes[f]; limit.Max > 0 {
		more := ""
		if limit.Threshold > 0 {
			more += fmt.Sprintf(", threshold %d percent", limit.Threshold)
		}
		if limit.WarningOnly {
			more += ", warning-only"
		}
		if limit.Restart > 0 {
			more += fmt.Sprintf(", restart interval %d minutes", limit.Restart/time.Minute)
		}
		p("  Maximum prefixes allowed %d%s", limit.Max, more)
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
		row := append(object{}.str("neighbor", peerName(n, v.names)), dynamic(n)...).str("remoteas", n.AS).str("link", link(&v.status, n)).str("index", index)
		if n.Description != "" {
			row = row.str("descr", n.Description)
		}
		row = row.str("version", 4).str("remote-id", remoteID(n)).str("state", n.State).str("up", n.Established()).
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
		row = append(row, v.negotiated(n)...).table("peraf", afs)
		if s.LocalAddr.IsValid() {
			row = row.str("localaddr", address(s.LocalAddr.Addr())).str("localport", s.LocalAddr.Port()).
				str("remoteaddr", address(s.RemoteAddr.Addr())).str("remoteport", s.RemoteAddr.Port())
		}
		rows = append(rows, row)
	})
	return object{}.table("neighbor", rows)
}

// remoteID is the neighbor's identifier; 0.0.0.0 until it has told.
func remoteID(n *router.NeighborStatus) netip.Addr {
	if n.Session.RemoteID.IsValid() {
		return n.Session.RemoteID
	}
	return netip.IPv4Unspecified()
}
