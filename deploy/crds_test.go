package deploy_test

import (
	"bytes"
	"context"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos/deploy"
	"github.com/pharoslb/pharos/internal/lab/cluster"
)

// The API server takes all kinds, and keeps a BGPPeer whole whichever version it
// is written and read in.
func TestCRDs(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	c, err := cluster.Start(ctx, cluster.Options{Dir: t.TempDir(), Components: []cluster.Component{cluster.APIServer}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	kubectl := func(stdin string, args ...string) string {
		t.Helper()
		cmd := c.Kubectl(ctx, args...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("kubectl %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	var all bytes.Buffer
	err = fs.WalkDir(deploy.CRDs, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := deploy.CRDs.ReadFile(path)
		all.Write(text) // each begins with ---
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	kubectl(all.String(), "apply", "-f", "-")
	kubectl("", "wait", "--for=condition=Established", "crd", "--all")

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
		kubectl("apiVersion: metallb.io/"+written+"\nkind: BGPPeer\nmetadata: {name: "+written+", namespace: default}"+spec, "create", "-f", "-")
		for _, read := range []string{"v1beta1", "v1beta2"} {
			got := kubectl("", "get", "bgppeers."+read+".metallb.io", written, "-o", "jsonpath={.spec}")
			if i := strings.Index(got, "{"); got[i:] != want {
				t.Errorf("written as %s, read as %s:\n got %s\nwant %s", written, read, got[i:], want)
			}
		}
	}
}
