package ipvs_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	mobyipvs "github.com/moby/ipvs"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane/ipvs"
	"github.com/pharoslb/pharos/why"
)

// strangers are virtual services of others: they stay, whatever happens to ours.
func strangers(t *testing.T) {
	n := newNode(t, ipvs.Options{})
	h := handle(t, n)
	theirs := []*mobyipvs.Service{service("10.10.2.112:5432"), service("192.0.2.9:80"), {AddressFamily: unix.AF_INET, FWMark: 7, SchedName: "rr", Netmask: 0xffffffff}}
	for _, s := range theirs {
		if err := h.NewService(s); err != nil {
			t.Fatal(err)
		}
		if err := h.NewDestination(s, destination("192.0.2.10:80", 1)); err != nil {
			t.Fatal(err)
		}
	}
	before := n.output("ipvsadm", "-Sn")
	n.web(nil, "10.233.93.2")
	n.apply()
	n.restart(ipvs.Options{})
	n.apply()
	n.verify(false)
	// One wants the address of a stranger, another one the same port of the node: both
	// are left out, all else is served, and so are they once the strangers are gone.
	extra := append(theirs, service("192.0.2.8:5432"), service("10.10.2.112:31265"))[len(theirs):]
	n.web(func(s *pharos.Service) { s.Ports[0].NodePort = 0 }, "10.233.93.2")
	n.apply()
	for _, s := range extra {
		if err := h.NewService(s); err != nil {
			t.Fatal(err)
		}
	}
	n.web(func(s *pharos.Service) { s.ExternalIPs = []netip.Addr{addr("192.0.2.9"), addr("192.0.2.8")} }, "10.233.93.2", "10.233.119.2")
	for _, when := range []string{"at first", "again", "after a restart"} {
		n.apply()
		n.verify(false)
		n.refused(when, "10.10.2.112:31265", "192.0.2.8:80", "192.0.2.9:80")
		if when == "again" {
			n.restart(ipvs.Options{})
		}
	}
	shown := n.output("ipvsadm", "-Sn")
	for want, times := range map[string]int{
		"-A -t 172.19.100.1:80 -s rr\n": 1, "-a -t 172.19.100.1:80 -r ": 2,
		"-A -t 192.0.2.9:80 -s rr\n": 1, "-a -t 192.0.2.9:80 -r 192.0.2.10:80 ": 1, "-a -t 192.0.2.9:80 -r ": 1,
		"-A -t 192.0.2.8:5432 -s rr\n": 1, "-t 192.0.2.8:80": 0, "-A -t 10.10.2.112:31265 -s rr\n": 1, "-a -t 10.10.2.112:31265": 0,
	} {
		if strings.Count(shown, want) != times {
			t.Errorf("ipvsadm -Sn shows\n%swant %q %d times", shown, want, times)
		}
	}
	for _, s := range extra {
		if err := h.DelService(s); err != nil {
			t.Fatal(err)
		}
	}
	n.verify(true)
	n.refused("without two strangers", "192.0.2.9:80")
	if err := n.driver.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := n.output("ipvsadm", "-Sn"); after != before {
		t.Errorf("was\n%s\nis\n%s", before, after)
	}
	if left := n.whole(); strings.Contains(left, "PHAROS") || !strings.Contains(left, "not found") {
		t.Errorf("left:\n%s", left)
	}
}

// refused checks which frontends are left out.
func (n *node) refused(when string, want ...string) {
	n.Helper()
	var got []string
	for _, all := range n.driver.Refused() {
		for _, r := range all {
			if r.Reason.Code != why.FrontendOccupied {
				n.Errorf("%s: %s", when, r.Reason)
			}
			got = append(got, netip.AddrPortFrom(r.Target.Addr, r.Target.Port).String())
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		n.Errorf("%s %v are refused, want %v", when, got, want)
	}
}
