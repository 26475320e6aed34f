package deploy_test

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/pharoslb/pharos/deploy"
)

// json returns part of an object, without warnings.
func (s *server) json(resource, name, path string) string {
	s.t.Helper()
	out := s.must("", "get", resource, name, "-o", "jsonpath={"+path+"}")
	if i := strings.Index(out, "{"); i > 0 {
		out = out[i:]
	}
	return out
}

// define creates all kinds, where MetalLB's chart left one behind.
func (s *server) define() {
	s.t.Helper()
	files, err := fs.Glob(deploy.CRDs, "crds/*.yaml")
	if err != nil {
		s.t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range files {
		text, err := deploy.CRDs.ReadFile(name)
		if err != nil {
			s.t.Fatal(err)
		}
		all.Write(text) // each begins with ---
		if strings.HasSuffix(name, "bgppeers.yaml") {
			// As MetalLB's chart leaves it behind.
			s.must(strings.Replace(string(text), "    strategy: None\n    webhook: null\n", `    strategy: Webhook
    webhook:
      clientConfig: {service: {name: metallb-webhook-service, namespace: metallb-system, path: /convert}}
      conversionReviewVersions: [v1beta1, v1beta2]
`, 1), "create", "-f", "-")
		}
	}
	s.must(all.String(), "apply", "-f", "-")
	s.awaitKinds()
}

func TestCRDs(t *testing.T) {
	a := start(t)
	a.define()
	if got := a.json("crd", "bgppeers.metallb.io", ".spec.conversion"); got != `{"strategy":"None"}` {
		t.Errorf("BGPPeers are converted by %s", got)
	}
	a.peerIsWhole()
	a.defaults()
	a.immutable()
}

// A BGPPeer stays whole whichever version it is written and read in.
func (s *server) peerIsWhole() {
	s.t.Helper()
	const spec = `
spec:
  myASN: 4200000001
  peerASN: 4200000002
  localASN: 64999
  peerAddress: 192.0.2.1
  sourceAddress: 192.0.2.2
  holdTime: 90s
  connectTime: 5s
  vrf: red
  bfdProfile: fast
  passwordSecret: {name: secret}
  dualStackAddressFamily: true
`
	const want = `{"bfdProfile":"fast","connectTime":"5s","disableMP":false,"dualStackAddressFamily":true,"holdTime":"90s",` +
		`"localASN":64999,"myASN":4200000001,"passwordSecret":{"name":"secret"},"peerASN":4200000002,"peerAddress":"192.0.2.1",` +
		`"peerPort":179,"sourceAddress":"192.0.2.2","vrf":"red"}`
	for _, written := range []string{"v1beta1", "v1beta2"} {
		s.must("apiVersion: metallb.io/"+written+"\nkind: BGPPeer\nmetadata: {name: "+written+"}"+spec, "create", "-f", "-")
		for _, read := range []string{"v1beta1", "v1beta2"} {
			if got := s.json("bgppeers."+read+".metallb.io", written, ".spec"); got != want {
				s.t.Errorf("written as %s, read as %s:\n got %s\nwant %s", written, read, got, want)
			}
		}
	}
}

// What is not said is filled in as MetalLB does.
func (s *server) defaults() {
	s.t.Helper()
	for _, c := range []struct{ kind, spec, want string }{
		{"IPAddressPool", "{addresses: [192.0.2.0/24]}", `{"addresses":["192.0.2.0/24"],"autoAssign":true,"avoidBuggyIPs":false}`},
		{"BGPAdvertisement", "{}", `{"aggregationLength":32,"aggregationLengthV6":128}`},
		{"L2Advertisement", "{}", `{}`},
		{"BFDProfile", "{}", `{}`},
	} {
		s.must("apiVersion: metallb.io/v1beta1\nkind: "+c.kind+"\nmetadata: {name: a}\nspec: "+c.spec, "create", "-f", "-")
		if got := s.json(c.kind, "a", ".spec"); got != c.want {
			s.t.Errorf("%s: %s, want %s", c.kind, got, c.want)
		}
	}
}

// What must not change can't be changed.
func (s *server) immutable() {
	s.t.Helper()
	s.must("apiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {name: gr}\nspec: {myASN: 1, peerASN: 2, peerAddress: 192.0.2.9, enableGracefulRestart: true}", "create", "-f", "-")
	if out, err := s.kubectl("", "patch", "bgppeer", "gr", "--type=merge", "-p", `{"spec":{"enableGracefulRestart":false}}`); err == nil || !strings.Contains(out, "cannot be changed: delete the object and create it anew") {
		s.t.Errorf("enableGracefulRestart: %v\n%s", err, out)
	}
	for _, kind := range []string{"ServiceL2Status", "ServiceBGPStatus"} {
		s.must("apiVersion: metallb.io/v1beta1\nkind: "+kind+"\nmetadata: {name: s}", "create", "-f", "-")
		patch := func(node string) (string, error) {
			return s.kubectl("", "patch", kind, "s", "--subresource=status", "--type=merge", "-p", `{"status":{"node":"`+node+`","serviceName":"web"}}`)
		}
		if out, err := patch("n1"); err != nil {
			s.t.Errorf("%s: %v\n%s", kind, err, out)
		}
		if out, err := patch("n2"); err == nil || !strings.Contains(out, "node cannot be changed") {
			s.t.Errorf("%s: %v\n%s", kind, err, out)
		}
	}
}
