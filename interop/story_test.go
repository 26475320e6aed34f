package interop

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
	"github.com/pharoslb/pharos/bgp/wire"
)

// story is one case, told with every daemon that can.
type story struct {
	name string
	// lacks names the daemons that cannot tell it, and why.
	lacks map[string]string
	// neighbor changes what the daemon is configured with, peer what we are.
	neighbor func(*neighbor)
	peer     func(*bgp.Config)
	// early has our speaker run from the start of the daemon: it is for the daemon to
	// dial, and some wait for seconds between attempts.
	early bool
	// also is how many more nodes the story has, in another AS.
	also int
	tell func(*scene)
}

// scene is a story's own node with a speaker of ours, beside a daemon that is
// shared with other stories.
type scene struct {
	*lab
	*speaker
	daemon
	name string // of the daemon
	m    machine
	n    neighbor
	also []*scene
}

// TestStories starts every daemon once, with a neighbor for each story, and tells
// the stories one after the other. All that passes is recorded and decoded.
func TestStories(t *testing.T) {
	t.Parallel()
	for _, x := range daemons {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			need(t, append(x.programs, "dumpcap", "tshark")...)
			l := newLab(t, 0)
			var scenes []*scene
			var neighbors []neighbor
			enter := func(st story) *scene {
				m := l.join(fmt.Sprintf("node%d", len(neighbors)+1), byte(112+len(neighbors)))
				n := neighbor{name: fmt.Sprintf("node%d", len(neighbors)+1), local: switch4, remote: m.v4, as: nodeAS}
				if st.neighbor != nil {
					st.neighbor(&n)
				}
				if n.local == switch6 {
					n.remote = m.v6
				}
				neighbors = append(neighbors, n)
				return &scene{name: x.name, m: m, n: n}
			}
			var told []story
			for _, st := range slices.Concat(basics, extensions, ends) {
				if st.lacks[x.name] != "" {
					continue
				}
				told = append(told, st)
				s := enter(st)
				for range st.also {
					s.also = append(s.also, enter(story{neighbor: func(n *neighbor) { n.as, n.extended = nodeAS+1, s.n.extended }}))
				}
				scenes = append(scenes, s)
			}
			d := x.make(l)
			d.start(neighbors)
			c := l.capture(onSegment)
			for i, st := range told {
				if st.early {
					scenes[i].lab = l
					scenes[i].begin(st)
				}
			}
			for i, st := range told {
				t.Run(st.name, func(t *testing.T) {
					s := scenes[i]
					for _, other := range s.also {
						other.lab, other.daemon = l.on(t), d
						other.speaker = other.speak(other.m, other.m.peer(other.config))
					}
					s.lab, s.daemon = l.on(t), d
					if !st.early {
						s.begin(st)
					}
					st.tell(s)
				})
			}
			c.check("bgp")
		})
	}
}

// begin runs our speaker, as the story wants it.
func (s *scene) begin(st story) {
	s.t.Helper()
	edit := st.peer
	if edit == nil {
		edit = func(*bgp.Config) {}
	}
	s.speaker = s.speak(s.m, s.m.peer(s.config, edit))
}

// config makes our side's configuration fit the daemon's.
func (s *scene) config(c *bgp.Config) {
	c.LocalAS, c.Password, c.LocalAddr = s.n.as, s.n.password, s.n.remote
	if s.n.local == switch6 {
		c.RemoteAddr, c.NextHopIPv4, c.NextHopIPv6 = switch6, s.m.v4, netip.Addr{}
	}
}

// prefix is the story's own, so that stories do not meet.
func (s *scene) prefix4(i int) string { return fmt.Sprintf("172.19.%d.%d/32", s.m.v4.As4()[3], i) }
func (s *scene) prefix6(i int) string {
	return fmt.Sprintf("2001:db8:100:%d::%d/128", s.m.v4.As4()[3], i)
}

// wantRoute waits for the daemon to have our path to a prefix, as check wants it.
func (s *scene) wantRoute(prefix string, check func(path) error) {
	s.t.Helper()
	s.wantPath(s.daemon, s.n, prefix, check)
}

// hear waits for us to have the daemon's route to a prefix.
func (s *scene) hear(prefix string) (a *wire.Attrs) {
	s.t.Helper()
	s.eventually("we hear "+prefix, func() error {
		h := s.heard.Heard("switch")
		if a = h.Routes[netip.MustParsePrefix(prefix)]; a == nil {
			return fmt.Errorf("not yet: %v", h.Story)
		}
		return nil
	})
	return a
}

// miss waits for us to have it no longer, on the same session.
func (s *scene) miss(prefix string) {
	s.t.Helper()
	s.eventually("we hear no "+prefix, func() error {
		if h := s.heard.Heard("switch"); !h.Up || h.Routes[netip.MustParsePrefix(prefix)] != nil {
			return fmt.Errorf("not yet: %v", h.Story)
		}
		return nil
	})
}

// up waits for the n-th session.
func (s *scene) up(n int) (h bgptest.Heard) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("session %d", n), func() error {
		if h = s.heard.Heard("switch"); !h.Up || h.Ups < n {
			return fmt.Errorf("not yet: %v", h.Story)
		}
		return nil
	})
	return h
}

// down waits for the first session's end.
func (s *scene) down() (d bgp.Down) {
	s.t.Helper()
	s.eventually("the session's end", func() error {
		h := s.heard.Heard("switch")
		if len(h.Downs) == 0 {
			return fmt.Errorf("not yet: %v", h.Story)
		}
		d = h.Downs[0]
		return nil
	})
	return d
}

// exchange sends a route of each family both ways and takes them back.
func (s *scene) exchange() {
	s.t.Helper()
	h := s.up(1)
	if len(h.Session.Families) != 2 {
		s.t.Errorf("families %v", h.Session.Families)
	}
	node, own := s.m.v4.As4()[3], []string{}
	med := uint32(7)
	attrs := &bgp.Attrs{
		Origin: wire.OriginIncomplete, MED: &med, Prepend: 1,
		Communities:      []wire.Community{nodeAS<<16 | 100, nodeAS<<16 | 101},
		LargeCommunities: []wire.LargeCommunity{{Global: nodeAS, Local1: 1, Local2: 2}},
	}
	s.announce("switch", attrs, s.prefix4(1), s.prefix6(1))
	aspath := "65211 65211"
	if s.n.internal() {
		aspath = ""
	}
	for prefix, hop := range map[string]netip.Addr{s.prefix4(1): s.m.v4, s.prefix6(1): s.m.v6} {
		want := path{s.n.remote, aspath, "incomplete", hop, 7, 100, "65211:100 65211:101", "65211:1:2", "", false}
		s.wantRoute(prefix, func(p path) error {
			if !s.n.internal() {
				p.localPref = 100 // the daemon's own affair
			}
			if p != want {
				return fmt.Errorf("got %+v, want %+v", p, want)
			}
			return nil
		})
	}
	for prefix, hop := range map[string]netip.Addr{fmt.Sprintf("198.18.%d.0/24", node): switch4, fmt.Sprintf("2001:db8:ffff:%d::/64", node): switch6} {
		own = append(own, prefix)
		s.must(s.originate(route{prefix: netip.MustParsePrefix(prefix), med: 9, communities: []string{"65210:5", "65210:6"}, largeCommunities: []string{"65210:1:2"}}))
		a := s.hear(prefix)
		got := a.NextHop
		if hop.Is6() {
			got = a.NextHop6
		}
		pref := wire.Optional{}
		as := "65210"
		if s.n.internal() {
			pref, as = wire.Some(100), ""
		}
		if got != hop || a.ASPath.String() != as || a.MED != wire.Some(9) || a.LocalPref != pref ||
			fmt.Sprint(a.Communities) != "[65210:5 65210:6]" || fmt.Sprint(a.LargeCommunities) != "[65210:1:2]" {
			s.t.Errorf("%s: %+v", prefix, a)
		}
	}
	s.announce("switch", nil, s.prefix4(1), s.prefix6(1))
	for _, prefix := range own {
		s.must(s.withdraw(netip.MustParsePrefix(prefix)))
		s.miss(prefix)
	}
	s.wantNone(s.daemon, s.n, s.prefix4(1))
	s.wantNone(s.daemon, s.n, s.prefix6(1))
}

// TestTable keeps the table of stories in doc.go true.
func TestTable(t *testing.T) {
	var b strings.Builder
	row := func(name string, cell func(daemon string) string) {
		fmt.Fprintf(&b, "//\t%-62s", name)
		for _, d := range []string{"FRR", "BIRD", "OpenBGPD", "GoBGP"} {
			fmt.Fprintf(&b, " %-8s", cell(d))
		}
		b.WriteString("\n")
	}
	row("", func(d string) string { return d })
	for _, st := range slices.Concat(basics, extensions, ends) {
		row(st.name, func(d string) string {
			if st.lacks[d] != "" {
				return "–"
			}
			return "yes"
		})
	}
	want := trailing.ReplaceAllString(b.String(), "")
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), want) {
		t.Errorf("doc.go has another table than\n%s", want)
	}
}

var trailing = regexp.MustCompile(`(?m) +$`)
