package gossip

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// A file as MetalLB wants it: all nineteen.
const allSettings = `{
  "probeInterval": "200ms", "probeTimeout": "100ms", "indirectChecks": 2, "suspicionMult": 4, "suspicionMaxTimeoutMult": 6,
  "awarenessMaxMultiplier": 8, "gossipInterval": "100ms", "gossipNodes": 4, "gossipToTheDeadTime": "30s", "retransmitMult": 4,
  "pushPullInterval": "30s", "tcpTimeout": "10s", "disableTcpPings": true, "enableCompression": true, "gossipVerifyIncoming": true,
  "gossipVerifyOutgoing": true, "handoffQueueDepth": 1024, "udpBufferSize": 1400, "queueCheckInterval": "30s"
}`

func TestParseTuning(t *testing.T) {
	got, err := ParseTuning(LAN(), []byte(allSettings))
	if err != nil {
		t.Fatal(err)
	}
	if got.ProbeInterval != 200*time.Millisecond || got.IndirectChecks != 2 || !got.DisableTCPPings || !got.EnableCompression || got.GossipNodes != 4 {
		t.Errorf("%+v", got)
	}
	if n := len(got.settings()); n != 19 {
		t.Errorf("%d settings", n)
	}
	got, err = ParseTuning(WAN(), []byte(`{"PROBE_INTERVAL": 1000000000, "ProbeTimeout": "1s"}`))
	want := WAN()
	want.ProbeInterval, want.ProbeTimeout = time.Second, time.Second
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestParseTuningNamesEveryMistake(t *testing.T) {
	for _, r := range []struct{ text, want string }{
		{`[]`, "not a JSON object"},
		{`{} {}`, "behind the JSON object"},
		{`{"probeInterval": "fast"}`, `probeInterval: "fast" is not a duration such as "500ms"`},
		{`{"probeInterval": true}`, `probeInterval: true is not a duration`},
		{`{"probeInterval": "1ms"}`, "1ms is not between 20ms and 24h0m0s"},
		{`{"gossipNodes": 0}`, "0 is not between 1 and 1000"},
		{`{"gossipNodes": 1.5}`, "1.5 is not a whole number"},
		{`{"gossipNodes": null}`, "null is not a whole number"},
		{`{"disableTcpPings": "yes"}`, `"yes" is neither true nor false`},
		{`{"probeintervall": "1s"}`, "probeintervall is not a setting; there are: ProbeInterval, "},
		{`{"probe_interval": "1s", "probeInterval": "1s"}`, "probeInterval and probe_interval are the same setting"},
		{`{"probeTimeout": "1s"}`, "ProbeTimeout 1s is longer than ProbeInterval 100ms"},
		{`{"a": 1, "gossipNodes": 0}`, "a is not a setting"},
	} {
		got, err := ParseTuning(LAN(), []byte(r.text))
		if err == nil || !strings.Contains(err.Error(), r.want) {
			t.Errorf("%s: %v, want %s", r.text, err, r.want)
		}
		if got != LAN() {
			t.Errorf("%s changed something", r.text)
		}
	}
}

func TestTuningIsApplied(t *testing.T) {
	for _, want := range []Tuning{LAN(), WAN()} {
		c := &memberlist.Config{}
		want.apply(c)
		if got := tuningOf(c); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}
