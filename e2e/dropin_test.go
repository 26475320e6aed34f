package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pharoslb/pharos/internal/lab"
)

// base is what every drop-in case starts from and ends with: the walk-through's
// configuration as resources.
const base = `apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: public, namespace: metallb-system, labels: {zone: east}}
spec:
  avoidBuggyIPs: true
  addresses: [172.19.100.0/24]
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: public, namespace: metallb-system}
spec:
  ipAddressPools: [public]
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: tor, namespace: metallb-system}
spec:
  myASN: 65211
  peerASN: 65210
  peerAddress: 10.10.2.210
`

// dropIn is one thing that a user of MetalLB writes, and what the world shows
// then. What apply made is deleted again afterwards.
type dropIn struct {
	name  string
	apply string // resources, as YAML

	check func(world) // the walk-through's Service is announced by every node when it begins
}

// cases are all of them; TestEveryFieldIsTried looks into them.
func cases() []dropIn {
	var all []dropIn
	for _, some := range [][]dropIn{poolCases, advertisementCases, layer2Cases, peerCases} {
		all = append(all, some...)
	}
	return all
}

// Everything that users of MetalLB can write does what it did for them.
func TestDropIn(t *testing.T) {
	t.Parallel()
	w := dropInWorld(t)
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			w.try(t, func(w world) {
				if c.apply != "" {
					w.apply(c.apply)
					w.finally(func() { w.unapply(c.apply) })
				}
				c.check(w)
			})
		})
		if !w.settled() {
			t.Fatalf("after %q the walk-through does not hold any more", c.name)
		}
	}
}

// dropInWorld is a cluster of two families, configured by resources.
func dropInWorld(t *testing.T) world {
	plan := lab.DualStack()
	w := startWorld(t, lab.Options{Until: lab.StageProduct, Topology: &plan})
	w.fabric("")
	w.apply(base)
	w.sh(lab.ServiceCommand)
	w.routed(lab.VIP, w.addrs()...)
	return w
}

// settled reports whether the walk-through's Service is announced by every node,
// and answered.
func (w world) settled() bool {
	return w.t.Run("settled", func(t *testing.T) {
		w := w.in(t)
		w.routed(lab.VIP, w.addrs()...)
		w.served(lab.VIP, 3)
	})
}

// unapply deletes what a manifest has.
func (w world) unapply(manifest string) {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.sh("kubectl delete --ignore-not-found -f " + file)
}

// neighbor is one of the switch's, in its configuration's language.
func neighbor(addr, as string, lines ...string) string {
	text := "  neighbor " + addr + "\n    remote-as " + as + "\n"
	for _, l := range lines {
		text += "    " + l + "\n"
	}
	return text
}

const (
	unicast4 = "address-family ipv4 unicast"
	unicast6 = "address-family ipv6 unicast"
)

// fabric gives the switch other neighbors; empty: the nodes by their IPv4
// addresses, as in the walk-through. Sessions with neighbors that stay are not
// touched: each that a speaker loses soon after the one before makes it pause for
// longer, up to half a minute.
func (w world) fabric(neighbors string, interfaces ...string) {
	w.t.Helper()
	if neighbors == "" {
		for _, n := range w.Topology().Nodes {
			neighbors += neighbor(n.Addr.String(), "65211", unicast4)
		}
	}
	name := fmt.Sprint("fabric-", time.Now().UnixNano())
	text := "hostname " + name + `
interface Ethernet1/1
  no switchport
  ip address 10.10.2.210/24
  ipv6 address fd10:10:2::210/64
  bfd interval 100 min_rx 100 multiplier 3
  no shutdown

interface Ethernet1/2
  no switchport
  ip address 172.16.100.210/24
  no shutdown

` + strings.Join(interfaces, "\n") + `
router bgp 65210
  router-id 1.1.1.1
  address-family ipv4 unicast
    maximum-paths 3
    maximum-paths ibgp 3
  address-family ipv6 unicast
    maximum-paths 3
` + neighbors
	file := filepath.Join(w.Dir(), "fabric.conf")
	_, missing := os.Stat(file)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if missing != nil {
		w.StopSwitch()
		if err := w.StartSwitch(w.t.Context(), file); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	pid, err := w.pid(lab.Switch, 179)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		w.t.Fatalf("reload the switch: %v", err)
	}
	w.switchShows("show running-config", "hostname "+name)
}

// refabric is fabric, and the walk-through's again at the end of the test.
func (w world) refabric(neighbors string, interfaces ...string) {
	w.t.Helper()
	w.fabric(neighbors, interfaces...)
	w.finally(func() { w.fabric("") })
}

// everyone are neighbors of the nodes' addresses, alike.
func (w world) everyone(as string, lines ...string) string {
	var text string
	for _, n := range w.Topology().Nodes {
		text += neighbor(n.Addr.String(), as, lines...)
	}
	return text
}

// object is a resource of the product's namespace.
func object(kind, name, spec string) string {
	version := "v1beta1"
	if kind == "BGPPeer" {
		version = "v1beta2"
	}
	return fmt.Sprintf("apiVersion: metallb.io/%s\nkind: %s\nmetadata: {name: %s, namespace: metallb-system}\nspec:\n%s---\n",
		version, kind, name, indent(spec))
}

func indent(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString("  " + line)
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		out.WriteString("\n")
	}
	return out.String()
}

// asking is a Service of type LoadBalancer for the walk-through's pods, removed
// at the end of the test.
func (w world) service(name, annotations, spec string) {
	w.t.Helper()
	manifest := balanced(name, "80", annotations, spec)
	w.apply(manifest)
	w.finally(func() { w.unapply(manifest) })
}

// from is the annotation that asks for a pool.
func from(pool string) string { return "metallb.io/address-pool: " + pool }
