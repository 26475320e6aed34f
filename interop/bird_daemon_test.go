package interop

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// bird is BIRD 2.
type bird struct {
	*process
	l         *lab
	neighbors []neighbor
	own       []route
}

func (d *bird) start(neighbors []neighbor) {
	d.l.t.Helper()
	d.neighbors = neighbors
	d.process = d.l.bird(d.conf())
}

// conf is the configuration with what is originated now.
func (d *bird) conf() string {
	var b strings.Builder
	for _, f := range []string{"ipv4", "ipv6"} {
		var sets []string
		for _, p := range exported {
			if family(p.Addr()) == f {
				sets = append(sets, p.String()+"+")
			}
		}
		// Without the assignment BIRD leaves the MED of a static route out.
		fmt.Fprintf(&b, "filter exported_%s { if net !~ [%s] then reject; if defined(bgp_med) then bgp_med = bgp_med; accept; }\n", f, strings.Join(sets, ", "))
	}
	for _, n := range d.neighbors {
		fmt.Fprintf(&b, "protocol bgp %s {\n\tlocal %v as %d;\n\tneighbor %v as %d;\n\tconnect delay time 1; connect retry time 1; error wait time 1, 2;\n",
			n.name, n.local, switchAS, n.remote, n.as)
		if n.password != "" {
			fmt.Fprintf(&b, "\tpassword \"%s\";\n", n.password)
		}
		if n.passive {
			fmt.Fprintf(&b, "\tpassive;\n")
		}
		if n.hold != nil {
			fmt.Fprintf(&b, "\thold time %d;\n", *n.hold)
		}
		restart, stale := n.times()
		for option, on := range map[string]bool{
			fmt.Sprintf("graceful restart on; graceful restart time %d", restart):          n.restart,
			fmt.Sprintf("long lived graceful restart on; long lived stale time %d", stale): n.longLived,
			"enable extended messages on": n.extended, "ttl security on": n.gtsm,
			"local role " + n.role: n.role != "",
		} {
			if on {
				fmt.Fprintf(&b, "\t%s;\n", option)
			}
		}
		channel := ""
		if n.addPath {
			channel += " add paths on;"
		}
		if n.hop6 {
			channel += " extended next hop on;"
		}
		fmt.Fprintf(&b, "\tipv4 { import all; export filter exported_ipv4; next hop address %v;%s };\n\tipv6 { import all; export filter exported_ipv6; next hop address %v;%s };\n}\n", switch4, channel, switch6, channel)
	}
	for _, f := range []string{"4", "6"} {
		fmt.Fprintf(&b, "protocol static own%s {\n\tipv%s;\n", f, f)
		for _, r := range d.own {
			if family(r.prefix.Addr()) != "ipv"+f {
				continue
			}
			fmt.Fprintf(&b, "\troute %v blackhole {", r.prefix)
			if r.med > 0 {
				fmt.Fprintf(&b, " bgp_med = %d;", r.med)
			}
			for _, c := range r.communities {
				fmt.Fprintf(&b, " bgp_community.add((%s));", strings.ReplaceAll(c, ":", ","))
			}
			for _, c := range r.largeCommunities {
				fmt.Fprintf(&b, " bgp_large_community.add((%s));", strings.ReplaceAll(c, ":", ","))
			}
			fmt.Fprintf(&b, " };\n")
		}
		fmt.Fprintf(&b, "}\n")
	}
	return b.String()
}

func (d *bird) configure() error {
	d.l.file("bird.conf", birdHead+d.conf())
	_, err := d.l.birdc("configure")
	return err
}

var (
	birdHold  = regexp.MustCompile(`Hold timer: +[0-9.]+/(\d+)`)
	birdCount = regexp.MustCompile(`Routes: +(\d+) imported`)
	birdPath  = regexp.MustCompile(`^(\S+)? +\S+ \[(\S+) `)
)

func (d *bird) session(n neighbor) (session, error) {
	out, err := d.l.birdc("show protocols all " + n.name)
	s := session{up: strings.Contains(out, "BGP state:          Established"), words: out}
	if m := birdHold.FindStringSubmatch(out); m != nil {
		s.hold, _ = strconv.Atoi(m[1])
	}
	return s, err
}

func (d *bird) routes(p netip.Prefix) ([]path, error) {
	out, err := d.l.birdc("show route all for " + p.String())
	if strings.Contains(out, "Network not found") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var paths []path
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		if m := birdPath.FindStringSubmatch(line); m != nil {
			paths = append(paths, path{from: d.address(m[2])})
			continue
		}
		if len(paths) == 0 {
			continue
		}
		q := &paths[len(paths)-1]
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "BGP.origin":
			q.origin = strings.ToLower(value)
		case "BGP.as_path":
			q.aspath = value
		case "BGP.next_hop":
			q.nextHop, _ = netip.ParseAddr(strings.Fields(value)[0])
		case "BGP.med":
			q.med = number(value)
		case "BGP.local_pref":
			q.localPref = number(value)
		case "BGP.community":
			q.communities = birdCommunities.Replace(value)
		case "BGP.ext_community":
			q.extCommunities = value
		case "BGP.large_community":
			q.largeCommunities = birdCommunities.Replace(value)
		}
	}
	return paths, nil
}

// birdCommunities turns "(65211, 1, 2) (65211,100)" into "65211:1:2 65211:100".
var birdCommunities = strings.NewReplacer("(", "", ")", "", ", ", ":", ",", ":")

func number(s string) uint32 {
	n, _ := strconv.ParseUint(s, 10, 32)
	return uint32(n)
}

// address is that of the neighbor with a name.
func (d *bird) address(name string) netip.Addr {
	for _, n := range d.neighbors {
		if n.name == name {
			return n.remote
		}
	}
	return netip.Addr{}
}

func (d *bird) count(n neighbor, family int) (int, error) {
	out, err := d.l.birdc("show protocols all " + n.name)
	_, out, _ = strings.Cut(out, fmt.Sprintf("Channel ipv%d", family))
	if m := birdCount.FindStringSubmatch(out); m != nil {
		return int(number(m[1])), err
	}
	return 0, err
}

func (d *bird) originate(r route) error {
	d.own = append(d.own, r)
	return d.configure()
}

func (d *bird) withdraw(p netip.Prefix) error {
	d.own = slices.DeleteFunc(d.own, func(r route) bool { return r.prefix == p })
	return d.configure()
}

func (d *bird) refresh(n neighbor) error { return d.command("reload in " + n.name) }

func (d *bird) disable(n neighbor, text string) error {
	_, err := d.l.ask("birdc", "-s", d.l.dir+"/bird.ctl", "disable", n.name, fmt.Sprintf("%q", text))
	return err
}

func (d *bird) enable(n neighbor) error { return d.command("enable " + n.name) }

func (d *bird) reset(n neighbor) error { return d.command("restart " + n.name) }

func (d *bird) command(line string) error {
	_, err := d.l.birdc(line)
	return err
}
