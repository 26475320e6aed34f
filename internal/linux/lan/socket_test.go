package lan

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/pharoslb/pharos/arp"
	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

// A socket hears what its own device gets, not what one on top of it does: the kernel
// hands it both. VLAN devices are the common ones; macvlan is, to it, the same.
func TestDeviceOnTop(t *testing.T) {
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	var ns [2]*netns.NS
	for i, name := range []string{"speaker", "far"} {
		var err error
		if ns[i], err = netns.New(name); err != nil {
			t.Fatal(err)
		}
		defer ns[i].Close()
	}
	check := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	here, far := ns[0], ns[1]
	check(netns.Veth(here, "eth0", far, "eth0"))
	eth0, err := here.Link().LinkByName("eth0")
	check(err)
	check(here.Link().LinkAdd(&netlink.Macvlan{LinkAttrs: netlink.LinkAttrs{Name: "mac0", ParentIndex: eth0.Attrs().Index}, Mode: netlink.MACVLAN_MODE_BRIDGE}), here.Up("mac0"))
	mac0, err := here.Link().LinkByName("mac0")
	check(err)
	remote, err := far.Link().LinkByName("eth0")
	check(err)
	var sock, out *socket
	check(here.Do(func() (err error) { sock, err = open(eth0.Attrs().Index, ipv4); return err }))
	defer sock.close()
	check(far.Do(func() (err error) { out, err = open(remote.Attrs().Index, ipv4); return err }))
	defer out.close()
	question := arp.Packet{
		Src: arp.MAC(remote.Attrs().HardwareAddr), Op: arp.Request,
		SenderMAC: arp.MAC(remote.Attrs().HardwareAddr), SenderIP: netip.MustParseAddr("192.0.2.1"), TargetIP: netip.MustParseAddr("192.0.2.2"),
	}
	question.Dst = arp.MAC(mac0.Attrs().HardwareAddr)
	check(out.write(question.Append(nil)))
	question.Dst = arp.MAC(eth0.Attrs().HardwareAddr)
	check(out.write(question.Append(nil)))
	b := make([]byte, maxFrame)
	n, err := sock.read(b)
	check(err)
	if !bytes.HasPrefix(b[:n], question.Append(nil)) {
		t.Errorf("heard %x first", b[:n])
	}
}
