package nxos

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
	"github.com/pharoslb/pharos/router"
)

// Source is what the shell shows and resets: a *router.Router.
type Source interface {
	Status() router.Status
	Entries(wire.Family) []rib.Entry
	Lookup(netip.Prefix) (rib.Entry, bool)
	Covering(netip.Addr) (rib.Entry, bool)
	Clear(neighbor string) bool
	ClearSoft(neighbor string, f wire.Family) bool
}

// Shell answers commands. Its methods may be called from any goroutine.
type Shell struct {
	Source  Source
	Config  func() *Config // in force, never nil
	Version string
	// Interfaces are the configured interfaces' names by the kernel's devices.
	Interfaces func() map[string]string
}

// command answers a line with its arguments.
type command func(s *Shell, args []string) (view, error)

// textView is an answer without a form in JSON.
type textView string

func (v textView) text() string { return string(v) }
func (v textView) json() object { return nil }

// vrfs name the one routing table there is.
var vrfs = []string{"", " vrf default", " vrf all"}

// commands is the grammar of the shell. It is made once and then only read.
var commands = makeCommands()

func makeCommands() *node[command] {
	g := &node[command]{}
	for _, f := range []wire.Family{wire.IPv4Unicast, wire.IPv6Unicast} {
		heads := []string{"show bgp ipv4 unicast", "show ip bgp"}
		address, prefix, rib4, clears := "<a.b.c.d>", "<a.b.c.d/len>", "show ip route", []string{"clear ip bgp", "clear bgp ipv4 unicast"}
		if f == wire.IPv6Unicast {
			heads = []string{"show bgp ipv6 unicast"}
			address, prefix, rib4, clears = "<a:b::c>", "<a:b::c/len>", "show ipv6 route", []string{"clear bgp ipv6 unicast"}
		}
		for _, head := range heads {
			for _, vrf := range vrfs {
				g.add(head+vrf, func(s *Shell, _ []string) (view, error) {
					return &tableView{s.Source.Status(), f, s.Source.Entries(f)}, nil
				})
				g.add(head+" summary"+vrf, func(s *Shell, _ []string) (view, error) {
					return &summaryView{s.Source.Status(), f, s.Interfaces()}, nil
				})
				g.add(head+" neighbors"+vrf, func(s *Shell, _ []string) (view, error) { return s.neighbors("") })
			}
			g.add(head+" neighbors <neighbor>", func(s *Shell, args []string) (view, error) { return s.neighbors(args[0]) })
			g.add(head+" "+prefix, func(s *Shell, args []string) (view, error) {
				p, err := netip.ParsePrefix(args[0])
				if err != nil {
					return nil, err
				}
				e, ok := s.Source.Lookup(p)
				return entry(f, e, ok)
			})
			g.add(head+" "+address, func(s *Shell, args []string) (view, error) {
				a, err := netip.ParseAddr(args[0])
				if err != nil {
					return nil, err
				}
				e, ok := s.Source.Covering(a)
				return entry(f, e, ok)
			})
		}
		for _, vrf := range vrfs {
			g.add(rib4+vrf, func(s *Shell, _ []string) (view, error) { return s.routes(f, true), nil })
			g.add(rib4+" bgp"+vrf, func(s *Shell, _ []string) (view, error) { return s.routes(f, false), nil })
		}
		g.add(rib4+" <bgp-as>", func(s *Shell, args []string) (view, error) {
			as, err := parseInstance(args[0])
			if err != nil {
				return nil, err
			}
			if as != s.Source.Status().AS {
				return &routeView{family: f}, nil
			}
			return s.routes(f, false), nil
		})
		g.add(rib4+" "+prefix, func(s *Shell, args []string) (view, error) {
			p, err := netip.ParsePrefix(args[0])
			if err != nil {
				return nil, err
			}
			return s.route(f, func(q netip.Prefix) bool { return q == p.Masked() }), nil
		})
		g.add(rib4+" "+address, func(s *Shell, args []string) (view, error) {
			a, err := netip.ParseAddr(args[0])
			if err != nil {
				return nil, err
			}
			return s.route(f, func(q netip.Prefix) bool { return q.Contains(a) }), nil
		})
		for _, head := range clears {
			for _, who := range []string{" *", " <neighbor>"} {
				g.add(head+who, func(s *Shell, args []string) (view, error) { return s.clear(args, s.Source.Clear) })
				for _, soft := range []string{" soft", " soft in"} {
					g.add(head+who+soft, func(s *Shell, args []string) (view, error) {
						return s.clear(args, func(name string) bool { return s.Source.ClearSoft(name, f) })
					})
				}
			}
		}
	}
	part := func(pattern string, body func(*Config) string) {
		g.add(pattern, func(s *Shell, _ []string) (view, error) {
			return &runningView{pattern, s.Source.Status().Now, s.Version, body(s.Config())}, nil
		})
	}
	part("show running-config", (*Config).Text)
	part("show running-config bgp", func(c *Config) string { return "feature bgp\n" + c.bgp() })
	part("show running-config interface", (*Config).interfaces)
	for _, family := range []string{"", " ipv4", " ipv6"} {
		for _, vrf := range vrfs {
			g.add("show bfd"+family+" neighbors"+vrf, func(s *Shell, _ []string) (view, error) { return s.bfd(family, false), nil })
			g.add("show bfd"+family+" neighbors"+vrf+" details", func(s *Shell, _ []string) (view, error) { return s.bfd(family, true), nil })
		}
	}
	g.add("show ip interface brief", func(s *Shell, _ []string) (view, error) {
		return &briefView{s.Config().Interfaces, s.Source.Status().Up, s.Interfaces()}, nil
	})
	g.add("show hostname", func(s *Shell, _ []string) (view, error) { return textView(s.Config().Name() + "\n"), nil })
	g.add("show version", func(s *Shell, _ []string) (view, error) {
		status := s.Source.Status()
		return textView(fmt.Sprintf("Pharos switch, version %s\n  Device name: %s\n  Up for: %s\n",
			s.Version, s.Config().Name(), clock(status.Now.Sub(status.Since)))), nil
	})
	return g
}

func (s *Shell) neighbors(who string) (view, error) {
	v := &neighborsView{s.Source.Status(), s.Config(), nil, s.Interfaces()}
	if who == "" {
		return v, nil
	}
	only, err := parsePeer(who)
	if err != nil {
		return nil, err
	}
	v.only = &only
	found := false
	v.each(func(int, *router.NeighborStatus) { found = true })
	if !found {
		return noSuch(&only), nil
	}
	return v, nil
}

func noSuch(n *Neighbor) view { return textView(fmt.Sprintf("%% No such neighbor: %s\n", n.Peer())) }

func entry(f wire.Family, e rib.Entry, ok bool) (view, error) {
	if !ok {
		return textView(fmt.Sprintf("BGP routing table information for VRF default, address family %s\n%% Network not in table\n", familyName(f))), nil
	}
	return &entryView{f, e}, nil
}

// routes is the routing table, or its part that BGP made.
func (s *Shell) routes(f wire.Family, all bool) *routeView {
	status := s.Source.Status()
	routes := bgpRoutes(&status, s.Source.Entries(f), s.Interfaces())
	if all {
		routes = append(routes, connectedRoutes(&status, f, s.Interfaces())...)
	}
	return &routeView{f, best(routes)}
}

// route is the route of the longest prefix that matches.
func (s *Shell) route(f wire.Family, match func(netip.Prefix) bool) *routeView {
	v := s.routes(f, true)
	var found []route
	for _, r := range v.routes {
		if match(r.prefix) {
			found = []route{r} // sorted: the longest comes last
		}
	}
	v.routes = found
	return v
}

// clear has something done with the neighbor of an argument, or with all of them if
// there is none.
func (s *Shell) clear(args []string, do func(name string) bool) (view, error) {
	if len(args) == 0 {
		do("")
		return textView(""), nil
	}
	who, err := parsePeer(args[0])
	if err != nil {
		return nil, err
	}
	name := who.Peer()
	for device, called := range s.Interfaces() {
		if called == who.Interface {
			name = device
		}
	}
	if !do(name) {
		return noSuch(&who), nil
	}
	return textView(""), nil
}

// Exec answers a line: a command and its pipes. The error is a *SyntaxError if the
// line is not understood.
func (s *Shell) Exec(line string) (string, error) {
	parts := splitPipes(line)
	do, args, fault := commands.match(parts[0].text)
	if fault != nil {
		return "", fault
	}
	pipes, err := parsePipes(parts[1:])
	if err != nil {
		return "", err
	}
	v, err := do(s, args)
	if err != nil {
		return "", err
	}
	out := ""
	for i, p := range pipes {
		if p.json == "" {
			continue
		}
		if i > 0 {
			return "", errors.New("% json must be the first of the pipes")
		}
		if out, err = toJSON(v.json(), p.json == "json-pretty"); err != nil {
			return "", err
		}
	}
	if out == "" {
		out = v.text()
	}
	for _, p := range pipes {
		if p.filter != nil {
			out = p.filter(out)
		}
	}
	return out, nil
}

func toJSON(o object, pretty bool) (string, error) {
	if o == nil {
		return "", errors.New("% JSON is not supported for this command")
	}
	var b bytes.Buffer
	if err := encode(&b, o); err != nil || !pretty {
		return b.String(), err
	}
	var indented bytes.Buffer
	err := json.Indent(&indented, b.Bytes(), "", "    ")
	return indented.String(), err
}

// Check says what is wrong with a line, without executing it; nil: nothing is.
func Check(line string) error {
	parts := splitPipes(line)
	if _, _, fault := commands.match(parts[0].text); fault != nil {
		return fault
	}
	_, err := parsePipes(parts[1:])
	return err
}

// splitPipes cuts a line at bars that are not within quotes; columns are those in
// the whole line.
func splitPipes(line string) []token {
	var out []token
	start, quoted := 0, false
	for i := range len(line) {
		switch {
		case line[i] == '"':
			quoted = !quoted
		case line[i] == '|' && !quoted:
			out = append(out, token{line[start:i], start})
			start = i + 1
		}
	}
	return append(out, token{line[start:], start})
}

// pipe is a filter, or the wish for JSON.
type pipe struct {
	json   string
	filter func(string) string
}

// maxPattern bounds a regular expression, in octets.
const maxPattern = 1024

// pipeGrammar has the filters.
var pipeGrammar = makePipes()

func makePipes() *node[func(string) (pipe, error)] {
	g := &node[func(string) (pipe, error)]{}
	lines := func(f func(re *regexp.Regexp, lines []string) []string) func(string) (pipe, error) {
		return func(pattern string) (pipe, error) {
			pattern = strings.Trim(pattern, `"`)
			if len(pattern) > maxPattern {
				return pipe{}, fmt.Errorf("%% the pattern is longer than %d octets", maxPattern)
			}
			re, err := regexp.Compile(pattern)
			if err != nil {
				return pipe{}, fmt.Errorf("%% invalid regular expression: %w", err)
			}
			return pipe{filter: func(text string) string {
				return strings.Join(f(re, strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")), "")
			}}, nil
		}
	}
	keep := func(want bool) func(*regexp.Regexp, []string) []string {
		return func(re *regexp.Regexp, in []string) (out []string) {
			for _, l := range in {
				if re.MatchString(strings.TrimSuffix(l, "\n")) == want {
					out = append(out, strings.TrimSuffix(l, "\n")+"\n")
				}
			}
			return out
		}
	}
	g.add("include <line>", lines(keep(true)))
	g.add("grep <line>", lines(keep(true)))
	g.add("exclude <line>", lines(keep(false)))
	g.add("begin <line>", lines(func(re *regexp.Regexp, in []string) []string {
		for i, l := range in {
			if re.MatchString(strings.TrimSuffix(l, "\n")) {
				return append(in[i:], "\n")
			}
		}
		return nil
	}))
	g.add("count", func(string) (pipe, error) {
		return pipe{filter: func(text string) string { return fmt.Sprintf("%d\n", strings.Count(text, "\n")) }}, nil
	})
	g.add("no-more", func(string) (pipe, error) { return pipe{}, nil })
	for _, form := range []string{"json", "json-pretty"} {
		g.add(form, func(string) (pipe, error) { return pipe{json: form}, nil })
	}
	return g
}

func parsePipes(parts []token) ([]pipe, error) {
	var out []pipe
	for _, part := range parts {
		make, args, fault := pipeGrammar.match(part.text)
		if fault != nil {
			fault.Column += part.column
			return nil, fault
		}
		p, err := make(strings.Join(args, " "))
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// Complete returns what the line may be continued with: the line itself, completed
// as far as it is unambiguous, and the choices with their help.
func Complete(line string) (completed string, help []string) {
	parts := splitPipes(line)
	last := parts[len(parts)-1]
	var found []candidate
	var partial string
	if len(parts) == 1 {
		found, partial = commands.complete(last.text)
		if partial == "" && len(found) > 0 && found[len(found)-1].name == "<CR>" {
			found = append(found, candidate{"|", "Pipe command output to filter"})
		}
	} else {
		found, partial = pipeGrammar.complete(last.text)
	}
	completed = line
	var words []string
	for _, c := range found {
		help = append(help, fmt.Sprintf("  %-16s %s", c.name, c.help))
		if !strings.HasPrefix(c.name, "<") && c.name != "|" {
			words = append(words, c.name)
		}
	}
	if partial == "" || len(words) == 0 {
		return completed, help
	}
	common := words[0]
	for _, w := range words {
		for !strings.HasPrefix(w, common) {
			common = common[:len(common)-1]
		}
	}
	completed = line[:len(line)-len(partial)] + common
	if len(words) == 1 {
		completed += " "
	}
	return completed, help
}
