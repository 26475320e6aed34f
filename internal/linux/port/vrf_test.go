package port

import (
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

// A kernel without VRFs makes none; with them, the test makes one.
func TestVRF(t *testing.T) {
	ns, _, _ := newSwitch(t)
	check := func(name, want string) {
		t.Helper()
		err := ns.Do(func() error { return VRF(name) })
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	check("red", `this node has no VRF "red"`)
	check("lo", `"lo" is no VRF of this node, but a network device of type device`)
	if err := ns.Link().LinkAdd(&netlink.Vrf{LinkAttrs: netlink.LinkAttrs{Name: "red"}, Table: 10}); err != nil {
		t.Log("this kernel makes no VRF:", err)
		return
	}
	check("red", "")
}
