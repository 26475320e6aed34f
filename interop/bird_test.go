package interop

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
)

// birdHead is what every configuration of BIRD's begins with.
const birdHead = `
router id 1.1.1.1;
protocol device {}
protocol kernel kernel4 { ipv4 { export all; }; merge paths on; }
protocol kernel kernel6 { ipv6 { export all; }; merge paths on; }
`

// bird runs BIRD on the switch.
func (l *lab) bird(conf string) *process {
	l.t.Helper()
	file := l.file("bird.conf", birdHead+conf)
	p := &process{run: func(again bool) func() {
		args := []string{"-f", "-c", file, "-s", "bird.ctl", "-P", "bird.pid"}
		if again {
			args = append(args, "-R")
		}
		stop := l.run("bird", args...)
		l.eventually("BIRD's socket", func() error {
			_, err := l.birdc("show status")
			return err
		})
		return stop
	}}
	p.first()
	return p
}

func (l *lab) birdc(command string) (string, error) {
	return l.ask("birdc", append([]string{"-s", l.dir + "/bird.ctl"}, strings.Fields(command)...)...)
}

// birdPeer is a session of BIRD's with one node, over IPv4 or IPv6, with both
// families.
func birdPeer(name string, local, remote netip.Addr, extra string) string {
	return fmt.Sprintf(`
protocol bgp %s {
	local %v as %d;
	neighbor %v as %d;
	connect delay time 1; connect retry time 1; error wait time 1, 2;
	%s
	ipv4 { import all; export none; next hop address %v; };
	ipv6 { import all; export none; next hop address %v; };
}
`, name, local, switchAS, remote, nodeAS, extra, switch4, switch6)
}

// Three speakers, one address, BIRD's kernel; and a table of some size, which is
// withdrawn when its origin's machine loses its link.
func TestBIRDSpreadsAndForgets(t *testing.T) {
	t.Parallel()
	need(t, "bird", "birdc")
	l := newLab(t, 3)
	var conf strings.Builder
	for i, m := range l.nodes {
		conf.WriteString(birdPeer(fmt.Sprintf("node%d", i+1), switch4, m.v4, ""))
	}
	l.bird(conf.String())
	attrs := &bgp.Attrs{Origin: wire.OriginIncomplete}
	var table []bgp.Change
	for i := range 5000 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 20, byte(i >> 8), byte(i)}), 32)
		table = append(table, bgp.Change{Peer: "switch", Prefix: p, Attrs: attrs})
	}
	var speakers []*speaker
	for _, m := range l.nodes {
		s := l.speak(m, m.peer())
		s.announce("switch", attrs, "172.19.100.1/32")
		speakers = append(speakers, s)
	}
	speakers[2].Apply(table)
	count := func(want int) {
		t.Helper()
		l.eventually(fmt.Sprintf("%d routes of node 3 in BIRD", want), func() error {
			out, err := l.birdc("show route protocol node3 count")
			if err == nil && !slices.ContainsFunc(strings.Split(out, "\n"), func(s string) bool {
				return strings.HasPrefix(s, fmt.Sprintf("%d of ", want)) && strings.HasSuffix(s, "master4")
			}) {
				err = fmt.Errorf("%s", out)
			}
			return err
		})
	}
	count(5001)
	l.wantKernel("172.19.100.1/32", "10.10.2.112", "10.10.2.113", "10.10.2.114")
	if st := speakers[2].Status()[0]; st.Advertised != 5001 || st.Sent.Updates > 30 {
		t.Errorf("%d advertised in %d UPDATEs", st.Advertised, st.Sent.Updates)
	}
	cut := time.Now()
	l.must(l.nodes[2].Down("eth0"))
	l.wantKernel("172.19.100.1/32", "10.10.2.112", "10.10.2.113")
	t.Logf("BIRD's kernel forgot a node without a link after %v", time.Since(cut))
	d := speakers[2].heard.WaitDown(t, "switch", 1).Downs[0]
	if d.Cause != bgp.CauseHoldTimer {
		t.Errorf("the node's session ended with %v", d)
	}
	l.must(l.nodes[2].Up("eth0"))
	l.wantKernel("172.19.100.1/32", "10.10.2.112", "10.10.2.113", "10.10.2.114")
	count(5001)
}
