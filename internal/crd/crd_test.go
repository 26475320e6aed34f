package crd

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/api/v1beta1"
	"github.com/pharoslb/pharos/api/v1beta2"
	"github.com/pharoslb/pharos/internal/configmap"
	"github.com/pharoslb/pharos/why"
)

const own = "metallb-system"

// objects reads a map of "Kind name" to what its spec holds, and of "Kind name
// metadata" to what its metadata does. "Secret name" and "ConfigMap name" hold
// what stands for those.
func objects(t testing.TB, text string) *Objects {
	t.Helper()
	o := &Objects{Namespace: own, Secrets: map[string]Secret{}, LegacyRef: pharos.Ref{Kind: "ConfigMap", Namespace: own, Name: "config"}}
	var all map[string]any
	if err := yaml.UnmarshalStrict([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	for key, spec := range all {
		words := strings.Fields(key)
		if len(words) == 3 {
			continue
		}
		kind, name := words[0], words[1]
		metadata := map[string]any{"name": name, "namespace": own}
		if more, ok := all[key+" metadata"].(map[string]any); ok {
			for k, v := range more {
				metadata[k] = v
			}
		}
		object, err := yaml.Marshal(map[string]any{"metadata": metadata, "spec": spec})
		if err != nil {
			t.Fatal(err)
		}
		read := func(into any) {
			if err := yaml.UnmarshalStrict(object, into); err != nil {
				t.Fatalf("%s: %v", key, err)
			}
		}
		switch kind {
		case "IPAddressPool":
			read(add(&o.Pools, &v1beta1.IPAddressPool{}))
		case "BGPAdvertisement":
			read(add(&o.BGPAdvertisements, &v1beta1.BGPAdvertisement{}))
		case "L2Advertisement":
			read(add(&o.L2Advertisements, &v1beta1.L2Advertisement{}))
		case "BGPPeer":
			read(add(&o.Peers, &v1beta2.BGPPeer{}))
		case "BFDProfile":
			read(add(&o.BFDProfiles, &v1beta1.BFDProfile{}))
		case "Community":
			read(add(&o.Communities, &v1beta1.Community{}))
		case "Secret":
			s := Secret{Type: "kubernetes.io/basic-auth"}
			fields := spec.(map[string]any)
			if v, ok := fields["type"].(string); ok {
				s.Type = v
			}
			if v, ok := fields["password"].(string); ok {
				p := pharos.Secret(v)
				s.Password = &p
			}
			o.Secrets[name] = s
		case "ConfigMap":
			if name == "bgpextras" {
				o.Extras = spec.(string)
				continue
			}
			if o.Legacy, err = configmap.Parse([]byte(spec.(string))); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("kind %s", kind)
		}
	}
	return o
}

func add[T any](list *[]*T, o *T) *T {
	*list = append(*list, o)
	return o
}

func ptr[T any](v T) *T { return &v }

// show renders problems, one a line, with their codes where those are special.
func show(problems []pharos.Problem) string {
	var lines []string
	for _, p := range problems {
		line := strings.ReplaceAll(p.String(), own+"/", "")
		if p.Reason.Code != why.ConfigInvalid {
			line += " [" + p.Reason.Code.String() + "]"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

var compare = []cmp.Option{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b pharos.Secret) bool { return a == b }),
}

func TestEveryField(t *testing.T) {
	got, problems := new(Parser).Parse(objects(t, `
IPAddressPool web metadata:
  labels: {zone: public}
  annotations: {pharoslb.io/cool-down: 10m, pharoslb.io/quota: "shop=5, *=20", pharoslb.io/reservations: "default/web=192.0.2.7, default/web=2001:db8::7,shop/api=192.0.2.9", other.io/x: y}
IPAddressPool web:
  addresses: [192.0.2.0/28, "2001:db8::1 - 2001:db8::ff"]
  autoAssign: false
  avoidBuggyIPs: true
  serviceAllocation:
    priority: 7
    namespaces: [shop]
    namespaceSelectors: [{matchLabels: {team: red}}]
    serviceSelectors: [{matchExpressions: [{key: app, operator: In, values: [a, b]}, {key: x, operator: DoesNotExist}]}]
IPAddressPool all: {addresses: [198.51.100.0/24]}
BGPPeer tor:
  myASN: 64500
  peerASN: 4200000001
  localASN: 64999
  peerAddress: 10.0.0.1
  sourceAddress: 10.0.0.9
  peerPort: 1179
  holdTime: 90s
  keepaliveTime: 30s
  connectTime: 5s
  routerID: 1.2.3.4
  nodeSelectors: [{matchLabels: {rack: "7", "kubernetes.io/hostname": node1}}, {matchExpressions: [{key: edge, operator: Exists}, {key: zone, operator: NotIn, values: [a]}]}]
  passwordSecret: {name: tor, namespace: metallb-system}
  bfdProfile: fast
  enableGracefulRestart: true
  ebgpMultiHop: true
  vrf: red
  disableMP: true
  dualStackAddressFamily: true
BGPPeer link: {myASN: 64500, dynamicASN: external, interface: eth1, password: s3cret, nodeSelectors: [{matchLabels: {rack: "8"}}]}
Secret tor: {password: hunter2}
BFDProfile fast: {receiveInterval: 50, transmitInterval: 60, detectMultiplier: 5, echoInterval: 70, echoMode: true, passiveMode: true, minimumTtl: 200}
BFDProfile plain: {}
Community known: {communities: [{name: no-advertise, value: "65535:65282"}, {name: big, value: "large:64500:1:2"}]}
BGPAdvertisement some:
  aggregationLength: 30
  aggregationLengthV6: 127
  localPref: 150
  communities: [no-advertise, big, "64500:7", "large:1:2:3"]
  ipAddressPools: [nowhere]
  ipAddressPoolSelectors: [{matchLabels: {zone: public}}]
  nodeSelectors: [{matchLabels: {rack: "7"}}]
  peers: [tor]
BGPAdvertisement all: {serviceSelectors: [{matchLabels: {app: web}}]}
L2Advertisement lan:
  ipAddressPools: [all]
  nodeSelectors: [{matchLabels: {rack: "7"}}]
  preferredNodeSelectors: [{weight: 5, preference: {matchLabels: {disk: ssd}}}]
  interfaces: [eth0, bond0]
  serviceSelectors: [{matchLabels: {app: web}}]
`))
	if len(problems) > 0 {
		t.Fatal(show(problems))
	}
	in := func(key string, values ...string) pharos.Requirement {
		return pharos.Requirement{Key: key, Operator: pharos.In, Values: values}
	}
	rack7 := []pharos.Selector{{in("rack", "7")}}
	app := []pharos.Selector{{in("app", "web")}}
	web := func(name string) pharos.Name { return pharos.Name{Namespace: "default", Name: name} }
	want := &pharos.Config{
		Reassign: true,
		Pools: []pharos.Pool{
			{Name: "all", Origin: "IPAddressPool metallb-system/all", Ranges: []pharos.Range{pharos.PrefixRange(netip.MustParsePrefix("198.51.100.0/24"))}},
			{
				Name: "web", Origin: "IPAddressPool metallb-system/web", ManualOnly: true, AvoidBuggyIPs: true, CoolDown: 10 * time.Minute,
				Ranges: []pharos.Range{
					pharos.PrefixRange(netip.MustParsePrefix("192.0.2.0/28")),
					{First: netip.MustParseAddr("2001:db8::1"), Last: netip.MustParseAddr("2001:db8::ff")},
				},
				Allocation: &pharos.Allocation{
					Priority: 7, Namespaces: []string{"shop"}, NamespaceSelectors: []pharos.Selector{{in("team", "red")}},
					ServiceSelectors: []pharos.Selector{{in("app", "a", "b"), {Key: "x", Operator: pharos.DoesNotExist}}},
				},
				Reservations: []pharos.Reservation{
					{Service: web("web"), Addr: netip.MustParseAddr("192.0.2.7")},
					{Service: web("web"), Addr: netip.MustParseAddr("2001:db8::7")},
					{Service: pharos.Name{Namespace: "shop", Name: "api"}, Addr: netip.MustParseAddr("192.0.2.9")},
				},
				Quota: map[string]int{"shop": 5, pharos.AnyNamespace: 20},
			},
		},
		Peers: []pharos.Peer{
			{
				Name: "link", Origin: "BGPPeer metallb-system/link", LocalAS: 64500, DynamicAS: pharos.External, Interface: "eth1", Port: 179,
				Password: "s3cret", NodeSelectors: []pharos.Selector{{in("rack", "8")}},
			},
			{
				Name: "tor", Origin: "BGPPeer metallb-system/tor", LocalAS: 64500, RemoteAS: 4200000001, LocalASOverride: 64999,
				Addr: netip.MustParseAddr("10.0.0.1"), SourceAddr: netip.MustParseAddr("10.0.0.9"), Port: 1179, RouterID: netip.MustParseAddr("1.2.3.4"),
				HoldTime: ptr(90 * time.Second), KeepaliveTime: ptr(30 * time.Second), ConnectTime: ptr(5 * time.Second),
				NodeSelectors: []pharos.Selector{
					{in("kubernetes.io/hostname", "node1"), in("rack", "7")},
					{{Key: "edge", Operator: pharos.Exists}, {Key: "zone", Operator: pharos.NotIn, Values: []string{"a"}}},
				},
				Password: "hunter2", BFDProfile: "fast", GracefulRestart: true, EBGPMultiHop: true, VRF: "red", DualStack: true,
			},
		},
		BFDProfiles: []pharos.BFDProfile{
			{
				Name: "fast", Origin: "BFDProfile metallb-system/fast", ReceiveInterval: 50 * time.Millisecond, TransmitInterval: 60 * time.Millisecond,
				DetectMultiplier: 5, EchoInterval: 70 * time.Millisecond, EchoMode: true, PassiveMode: true, MinimumTTL: 200,
			},
			{
				Name: "plain", Origin: "BFDProfile metallb-system/plain", ReceiveInterval: 300 * time.Millisecond, TransmitInterval: 300 * time.Millisecond,
				DetectMultiplier: 3, EchoInterval: 50 * time.Millisecond, MinimumTTL: 254,
			},
		},
		Advertisements: []pharos.Advertisement{
			{
				Name: "all", Origin: "BGPAdvertisement metallb-system/all", Mode: pharos.BGP, Pools: []string{"all", "web"}, ServiceSelectors: app,
				AggregationLength: 32, AggregationLengthV6: 128, IGP: true,
			},
			{
				Name: "some", Origin: "BGPAdvertisement metallb-system/some", Mode: pharos.BGP, Pools: []string{"web"}, NodeSelectors: rack7, Peers: []string{"tor"},
				AggregationLength: 30, IGP: true, AggregationLengthV6: 127, LocalPref: ptr(uint32(150)),
				Communities:      []pharos.Community{64500<<16 | 7, 65535<<16 | 65282},
				LargeCommunities: []pharos.LargeCommunity{{Global: 1, Local1: 2, Local2: 3}, {Global: 64500, Local1: 1, Local2: 2}},
			},
			{
				Name: "lan", Origin: "L2Advertisement metallb-system/lan", Mode: pharos.Layer2, Pools: []string{"all"}, NodeSelectors: rack7, ServiceSelectors: app,
				AggregationLength: 32, AggregationLengthV6: 128, Interfaces: []string{"eth0", "bond0"},
				Preferred: []pharos.Preference{{Weight: 5, Nodes: pharos.Selector{in("disk", "ssd")}}},
			},
		},
	}
	if d := cmp.Diff(want, got, compare...); d != "" {
		t.Error(d)
	}
}

// A peer whose password is not known is there, and has no session.
func TestNoPasswordNoSession(t *testing.T) {
	for _, secret := range []string{"", "Secret x: {password: ''}\n", "Secret x: {type: Opaque, password: hunter2}\n"} {
		config, _ := new(Parser).Parse(objects(t, secret+peer1+", passwordSecret: {name: x}}"))
		if len(config.Peers) != 1 || config.Peers[0].Refused.Code != why.SecretMissing || config.Peers[0].Password != "" {
			t.Errorf("%q: %+v", secret, config.Peers)
		}
	}
}

// Secrets come, change and go; of a peer that is edited to name one that is not
// there, what was in force stays, unless that was without a password.
func TestSecretComesAndGoes(t *testing.T) {
	var p Parser
	for i, step := range []struct{ text, want string }{
		{peer1 + ", passwordSecret: {name: x}}", "10.0.0.1 refused: there is no Secret metallb-system/x"},
		{"Secret x: {password: one}\n" + peer1 + ", passwordSecret: {name: x}}", "10.0.0.1 one"},
		{"Secret x: {password: two}\n" + peer1 + ", passwordSecret: {name: x}}", "10.0.0.1 two"},
		{"Secret x: {password: two}\n" + peer1 + ", passwordSecret: {name: yy}}", "10.0.0.1 two"},
		{"Secret x: {password: three}\n" + peer1 + ", holdTime: 1s, passwordSecret: {name: yy}}", "10.0.0.1 three"},
		{"Secret x: {password: two}\nSecret yy: {password: four}\n" + peer1 + ", passwordSecret: {name: yy}}", "10.0.0.1 four"},
		{"Secret yy: {type: Opaque, password: four}\n" + peer1 + ", passwordSecret: {name: yy}}", "10.0.0.1 refused: Secret metallb-system/yy is of type \"Opaque\", must be kubernetes.io/basic-auth"},
		{peer1 + ", passwordSecret: {name: z}}", "10.0.0.1 refused: there is no Secret metallb-system/yy"},
		{"BGPPeer a: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.2}", "10.0.0.2 "},
		{peer1 + ", passwordSecret: {name: z}}", "10.0.0.1 refused: there is no Secret metallb-system/z"},
	} {
		config, _ := p.Parse(objects(t, step.text))
		got := config.Peers[0].Addr.String() + " " + config.Peers[0].Password.Reveal()
		if r := config.Peers[0].Refused; r.Code != why.OK {
			got += "refused: " + r.Detail
		}
		if got != step.want {
			t.Errorf("step %d: got %s, want %s", i+1, got, step.want)
		}
	}
}

func TestSecretNames(t *testing.T) {
	var p Parser
	o := objects(t, peer1+", passwordSecret: {name: x}}\nBGPPeer b: {passwordSecret: {name: w, namespace: metallb-system}}\nBGPPeer c: {passwordSecret: {name: v, namespace: default}}\nBGPPeer d: {}\nBGPPeer e metadata: {namespace: default}\nBGPPeer e: {passwordSecret: {name: z}}")
	if got := fmt.Sprint(p.SecretNames(own, o.Peers)); got != "[w x]" {
		t.Error(got)
	}
	p.Parse(o)
	o = objects(t, "BGPPeer a: {passwordSecret: {name: yy}}") // wrong: what it said before stays in force
	if got := fmt.Sprint(p.SecretNames(own, o.Peers)); got != "[x yy]" {
		t.Error(got)
	}
}

func TestMeet(t *testing.T) {
	read := func(text string) []pharos.Selector {
		var list []metav1.LabelSelector
		if err := yaml.UnmarshalStrict([]byte(text), &list); err != nil {
			t.Fatal(err)
		}
		var f faults
		return f.selectors("", list)
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"[]", "[]", true},
		{"[]", "[{matchLabels: {a: b}}]", true},
		{"[{}]", "[{matchLabels: {a: b}}]", true},
		{"[{matchLabels: {a: b}}]", "[{matchLabels: {a: b, c: d}}]", true},
		{"[{matchLabels: {a: b}}]", "[{matchLabels: {c: d}}]", false}, // perhaps: that is seen on the nodes
		{"[{matchLabels: {a: b}}]", "[{matchLabels: {a: c}}]", false},
		{"[{matchLabels: {a: c}}, {matchLabels: {a: b}}]", "[{matchLabels: {a: d}}, {matchExpressions: [{key: a, operator: In, values: [b, x]}]}]", true},
		{"[{matchExpressions: [{key: a, operator: Exists}]}]", "[{matchLabels: {a: c}}]", true},
		{"[{matchExpressions: [{key: a, operator: DoesNotExist}]}]", "[{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}]", true},
		{"[{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}]", "[{matchLabels: {a: c}}]", true},
		{"[{matchExpressions: [{key: a, operator: NotIn, values: [c]}]}]", "[{matchLabels: {a: c}}]", false},
		{"[{matchExpressions: [{key: a, operator: NotIn, values: [c, d]}]}]", "[{matchExpressions: [{key: a, operator: NotIn, values: [d]}]}]", true},
		{"[{matchExpressions: [{key: a, operator: DoesNotExist}]}]", "[{matchExpressions: [{key: a, operator: Exists}]}]", false},
	} {
		if got := meet(read(c.a), read(c.b)); got != c.want || got != meet(read(c.b), read(c.a)) {
			t.Errorf("%s and %s: %t", c.a, c.b, got)
		}
	}
}

// Peers of one node may see us as different routers, as in MetalLB's native mode.
func TestPeersDiffer(t *testing.T) {
	config, problems := new(Parser).Parse(objects(t, `
BGPPeer a: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, routerID: 1.1.1.1}
BGPPeer b: {myASN: 3, peerASN: 2, peerAddress: 10.0.0.2, routerID: 1.1.1.2}
BGPPeer c: {myASN: 3, peerASN: 2, peerAddress: 10.0.0.1, peerPort: 1179}
BGPPeer d: {myASN: 3, peerASN: 2, peerAddress: 10.0.0.1, vrf: red}
BGPPeer e: {myASN: 3, peerASN: 2, peerAddress: 10.0.0.1, sourceAddress: 10.0.0.9}
`))
	if len(problems) > 0 || len(config.Peers) != 5 {
		t.Errorf("%d peers\n%s", len(config.Peers), show(problems))
	}
}

// Of one object that is wrong all over, so much is told as people read.
func TestManyMistakes(t *testing.T) {
	_, problems := new(Parser).Parse(objects(t, "IPAddressPool a: {addresses: ["+strings.Repeat("x, ", 1000)+"]}"))
	if len(problems) != mostTold+1 || problems[mostTold].Reason.Detail != "and 975 more" {
		t.Errorf("%d problems, the last one %v", len(problems), problems[len(problems)-1])
	}
}
