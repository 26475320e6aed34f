package speaker

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// What is foreseen names peers as the configuration does, and every node that
// announces on layer 2, for each address of each Service on each node.
func TestPreview(t *testing.T) {
	twin := peer("tor-again", "10.10.2.210") // the same session: never had twice
	rack := peer("rack", "10.10.2.211")
	rack.NodeSelectors = onRack("1")
	lost := peer("lost", "10.10.2.212")
	lost.Refused = why.New(why.SecretMissing, "")
	lan := advert("lan", "lan")
	lan.Mode, lan.Interfaces = pharos.Layer2, []string{"eth1"}
	snap := &pharos.Snapshot{
		Synced: true,
		Config: &pharos.Config{
			Pools:          []pharos.Pool{pool("lan", "10.10.2.64/29"), pool("web", "192.0.2.0/24")},
			Peers:          []pharos.Peer{peer("tor", "10.10.2.210"), twin, rack, lost},
			Advertisements: []pharos.Advertisement{advert("web", "web"), lan},
		},
		Nodes: cluster(node(1, "rack=1"), node(2)),
	}
	both := service("both", "192.0.2.1", "10.10.2.64")
	for _, svc := range []*pharos.Service{both, service("idle", "192.0.2.2"), service("waits")} {
		snap.Services = snap.Services.With(svc.Name, svc)
	}
	snap.Endpoints = snap.Endpoints.With(both.Name, backends("n2"))

	var got []string
	for in := range Preview(Options{}, snap) {
		got = append(got, fmt.Sprintf("%s %s %s peers=%s layer2=%t%v %s", in.Node, in.Service.Name, in.Addr, strings.Join(in.Peers, ","), in.Layer2, in.Interfaces, in.Reason.Code))
	}
	slices.Sort(got)
	want := []string{
		"n1 both 10.10.2.64 peers= layer2=false[] notOwner",
		"n1 both 192.0.2.1 peers=rack,tor layer2=false[] nodeAssigned",
		"n1 idle 192.0.2.2 peers= layer2=false[] noEndpoints",
		"n2 both 10.10.2.64 peers= layer2=true[eth1] nodeAssigned",
		"n2 both 192.0.2.1 peers=tor layer2=false[] nodeAssigned",
		"n2 idle 192.0.2.2 peers= layer2=false[] noEndpoints",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for range Preview(Options{}, snap) {
		break // asks for no more
	}
}
