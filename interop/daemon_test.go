package interop

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// daemon is another implementation, on the lab's switch. One case is written
// against this interface and runs against all of them.
//
// Everything it is asked goes through the daemon's own command line and answers
// with what that says, at once: it is for the case to ask again (lab.eventually).
type daemon interface {
	// start writes the configuration and runs the daemon, until the test's end.
	start(neighbors []neighbor)
	// kill ends the daemon with SIGKILL; again runs it as it was started.
	kill()
	again()
	// session is what the daemon says about a neighbor.
	session(n neighbor) (session, error)
	// routes are the paths to a prefix in the daemon's table, its own too.
	routes(p netip.Prefix) ([]path, error)
	// count is how many prefixes of a family the daemon has from a neighbor.
	count(n neighbor, family int) (int, error)
	// originate makes the daemon announce a prefix of its own to all neighbors;
	// withdraw takes it back.
	originate(r route) error
	withdraw(p netip.Prefix) error
	// refresh asks the neighbor to send everything again (RFC 2918).
	refresh(n neighbor) error
	// disable closes the session for good, with a text for the operator at the
	// other side (RFC 9003), and enable allows it again.
	disable(n neighbor, text string) error
	enable(n neighbor) error
	// reset closes the session so that it comes back at once.
	reset(n neighbor) error
}

// neighbor is one of our speakers, as the daemon's configuration has it.
type neighbor struct {
	name          string // unique in the configuration; letters and digits
	local, remote netip.Addr
	// as is the neighbor's AS number.
	as       uint32
	password string
	passive  bool // the daemon does not dial
	// hold is the hold time the daemon proposes, in seconds; nil is its default.
	hold *int
	// restart offers graceful restart for longer than any test, in both roles,
	// NOTIFICATIONs included where the daemon knows of them; longLived is stale time
	// after that. brief is for one second, and twelve more as long-lived ones.
	restart, longLived, brief bool
	// role is the daemon's (RFC 9234), "provider" or "peer".
	role string
	// addPath sends and receives several paths; enhanced is enhanced route refresh,
	// extended are extended messages, gtsm is TTL security, and hop6 IPv4 with an IPv6
	// next hop (RFC 8950).
	addPath, enhanced, extended, gtsm, hop6 bool
}

func (n neighbor) internal() bool { return n.as == switchAS }

// times are those of graceful restart, in seconds.
func (n neighbor) times() (restart, longLived int) {
	if n.brief {
		return 1, 12
	}
	return 120, 120
}

// session is a daemon's view of a session.
type session struct {
	up   bool
	hold int // negotiated, in seconds
	// words is all that the daemon says of the session: what it shows of the last
	// NOTIFICATION is looked for there.
	words string
}

// path is a daemon's view of a route.
type path struct {
	from                          netip.Addr // the neighbor's address; zero: the daemon itself
	aspath                        string     // "65211 65211"
	origin                        string     // "igp" or "incomplete"
	nextHop                       netip.Addr
	med, localPref                uint32
	communities, largeCommunities string // "65211:100 65211:101"
	extCommunities                string // as the daemon writes them
	stale                         bool
}

// route is what a daemon is to announce; zero fields are left out.
type route struct {
	prefix                        netip.Prefix
	med                           uint32
	communities, largeCommunities []string
	// ownHop leaves the next hop to the daemon, as it would choose it.
	ownHop bool
}

// exported are the ranges that daemons announce, to everybody: their own prefixes
// are in the first of each family, and what they have from others in 172.20.0.0/16
// they pass on. So the stories do not hear each other.
var exported = []netip.Prefix{
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("172.20.0.0/16"),
	netip.MustParsePrefix("2001:db8:ffff::/48"),
}

// daemons are all there are, by the name that subtests carry; the one that takes
// longest is first.
var daemons = []struct {
	name     string
	programs []string
	make     func(*lab) daemon
}{
	{"GoBGP", []string{"gobgpd", "gobgp"}, func(l *lab) daemon { return &gobgp{l: l} }},
	{"FRR", []string{"vtysh", frrLib + "/zebra", frrLib + "/bgpd"}, func(l *lab) daemon { return &frr{l: l} }},
	{"BIRD", []string{"bird", "birdc"}, func(l *lab) daemon { return &bird{l: l} }},
	{"OpenBGPD", []string{openbgpd, "bgpctl"}, func(l *lab) daemon { return &obgpd{l: l} }},
}

// process is a running daemon that can be killed and run again.
type process struct {
	stop func()
	// run starts it; again says that it ran before, which some need to be told to
	// restart gracefully.
	run func(again bool) (stop func())
}

func (p *process) first() { p.stop = p.run(false) }
func (p *process) kill()  { p.stop() }
func (p *process) again() { p.stop = p.run(true) }

// only returns the one path from a neighbor.
func only(paths []path, n neighbor) (path, error) {
	i := slices.IndexFunc(paths, func(p path) bool { return p.from == n.remote })
	if i < 0 {
		return path{}, fmt.Errorf("no path from %v in %+v", n.remote, paths)
	}
	return paths[i], nil
}

// wantPath waits for the daemon to have a neighbor's path to a prefix, as check
// wants it.
func (l *lab) wantPath(d daemon, n neighbor, prefix string, check func(path) error) {
	l.t.Helper()
	l.eventually(fmt.Sprintf("%s from %s", prefix, n.name), func() error {
		paths, err := d.routes(netip.MustParsePrefix(prefix))
		if err != nil {
			return err
		}
		p, err := only(paths, n)
		if err == nil && check != nil {
			err = check(p)
		}
		return err
	})
}

// wantNone waits for the daemon to have no path of the neighbor's to a prefix.
func (l *lab) wantNone(d daemon, n neighbor, prefix string) {
	l.t.Helper()
	l.eventually(fmt.Sprintf("no %s from %s", prefix, n.name), func() error {
		paths, err := d.routes(netip.MustParsePrefix(prefix))
		if err == nil && slices.ContainsFunc(paths, func(p path) bool { return p.from == n.remote }) {
			err = fmt.Errorf("still there: %+v", paths)
		}
		return err
	})
}

// wantWords waits for the daemon to say something about a session.
func (l *lab) wantWords(d daemon, n neighbor, words string) {
	l.t.Helper()
	l.eventually(fmt.Sprintf("%q about %s", words, n.name), func() error {
		s, err := d.session(n)
		if err == nil && !strings.Contains(s.words, words) {
			err = fmt.Errorf("no %q in:\n%s", words, s.words)
		}
		return err
	})
}

// on returns the lab as a subtest uses it: what it starts ends with the subtest.
func (l *lab) on(t *testing.T) *lab {
	c := *l
	c.t = t
	return &c
}
