package wire

import (
	"encoding/binary"
	"slices"
	"time"
)

// Limits of what the restart capabilities can say: 12 bits (RFC 4724 §3) and 24 bits (RFC 9494 §3.1) of seconds.
const (
	MaxRestartTime = 4095 * time.Second
	MaxStaleTime   = 0xffffff * time.Second
)

// Flags of the restart capabilities, in the octet they come in.
const (
	flagRestarting   = 0x80 // R bit (RFC 4724 §3)
	flagNotification = 0x40 // N bit (RFC 8538 §2)
	flagForwarding   = 0x80 // F bit of a family (RFC 4724 §3, RFC 9494 §3.1)
)

// GracefulRestart is the graceful restart capability (RFC 4724 §3, RFC 8538 §2).
type GracefulRestart struct {
	// Restarting says that the sender has restarted and asks its peer not to wait for an End-of-RIB from it.
	Restarting bool
	// Notification says that a session which ended with a NOTIFICATION may be resumed as well; only
	// Cease/Hard Reset then means a real end.
	Notification bool
	// Time within which the sender is back after a restart: whole seconds, 0 to MaxRestartTime.
	Time time.Duration
	// Families whose routes survive a restart of the sender; none means that the sender can only help others.
	Families []GracefulFamily
}

// GracefulFamily is one family of a graceful restart capability.
type GracefulFamily struct {
	Family
	Forwarding bool // the sender kept its forwarding state for the family in the restart
}

// LongLivedFamily is one family of a long-lived graceful restart capability (RFC 9494 §3.1).
type LongLivedFamily struct {
	Family
	Forwarding bool          // the sender kept its forwarding state for the family
	StaleTime  time.Duration // how long to keep its routes after the restart time: whole seconds, 0 to MaxStaleTime
}

// GracefulRestartCapability offers to restart gracefully and to help a peer that does. The time is rounded up to
// seconds and limited to MaxRestartTime. More than 63 families do not fit in a capability.
func GracefulRestartCapability(g GracefulRestart) Capability {
	v := binary.BigEndian.AppendUint16(nil, uint16(seconds(g.Time, MaxRestartTime)))
	v[0] |= flagIf(g.Restarting, flagRestarting) | flagIf(g.Notification, flagNotification)
	for _, f := range g.Families {
		v = append(appendFamily(v, f.Family), flagIf(f.Forwarding, flagForwarding))
	}
	return Capability{CapGracefulRestart, v}
}

// LongLived offers to keep and be kept as a stale route for long (RFC 9494 §3.1). It means something beside
// GracefulRestartCapability only. Times are rounded up to seconds and limited to MaxStaleTime; more than 36 families
// do not fit in a capability.
func LongLived(families ...LongLivedFamily) Capability {
	var v []byte
	for _, f := range families {
		v = append(appendFamily(v, f.Family), flagIf(f.Forwarding, flagForwarding))
		n := seconds(f.StaleTime, MaxStaleTime)
		v = append(v, byte(n>>16), byte(n>>8), byte(n))
	}
	return Capability{CapLongLivedGR, v}
}

// GracefulRestart returns what a graceful restart capability says.
func (c Capability) GracefulRestart() (g GracefulRestart, ok bool) {
	if c.Code != CapGracefulRestart || c.malformed() {
		return GracefulRestart{}, false
	}
	g.Restarting, g.Notification = c.Value[0]&flagRestarting != 0, c.Value[0]&flagNotification != 0
	g.Time = time.Duration(binary.BigEndian.Uint16(c.Value)&0x0fff) * time.Second
	for v := c.Value[2:]; len(v) > 0; v = v[4:] {
		g.Families = append(g.Families, GracefulFamily{familyAt(v), v[3]&flagForwarding != 0})
	}
	return g, true
}

// LongLived returns the families of a long-lived graceful restart capability.
func (c Capability) LongLived() (families []LongLivedFamily, ok bool) {
	if c.Code != CapLongLivedGR || c.malformed() {
		return nil, false
	}
	for v := c.Value; len(v) > 0; v = v[7:] {
		n := time.Duration(v[4])<<16 | time.Duration(v[5])<<8 | time.Duration(v[6])
		families = append(families, LongLivedFamily{familyAt(v), v[3]&flagForwarding != 0, n * time.Second})
	}
	return families, true
}

// GracefulRestart returns what the graceful restart capability says, the last one if there are several
// (RFC 4724 §3). A family that is listed twice counts as listed last.
func (o *Open) GracefulRestart() (g GracefulRestart, ok bool) {
	for _, c := range slices.Backward(o.Capabilities) {
		if g, ok = c.GracefulRestart(); ok {
			g.Families = lastOfEach(g.Families, func(f GracefulFamily) Family { return f.Family })
			return g, true
		}
	}
	return GracefulRestart{}, false
}

// LongLived returns the families of the long-lived graceful restart capability, the last one if there are several.
// Without a graceful restart capability it is disregarded (RFC 9494 §3.1).
func (o *Open) LongLived() []LongLivedFamily {
	if !o.Has(CapGracefulRestart) {
		return nil
	}
	for _, c := range slices.Backward(o.Capabilities) {
		if families, ok := c.LongLived(); ok {
			return lastOfEach(families, func(f LongLivedFamily) Family { return f.Family })
		}
	}
	return nil
}

// lastOfEach leaves out the elements whose family comes again later.
func lastOfEach[E any](list []E, family func(E) Family) []E {
	var out []E
	for i, e := range list {
		if !slices.ContainsFunc(list[i+1:], func(later E) bool { return family(later) == family(e) }) {
			out = append(out, e)
		}
	}
	return out
}

// seconds is a duration in whole seconds, rounded up, within 0 and limit.
func seconds(d, limit time.Duration) uint32 {
	d = min(max(d, 0), limit)
	return uint32((d + time.Second - 1) / time.Second)
}

func flagIf(set bool, flag byte) byte {
	if set {
		return flag
	}
	return 0
}
