package bfd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// vectors are public test data that may lie beside the repository, in
// shared/vectors/bgp of some directory above. The data is not part of the project;
// what the package must do is tested without it.
type vectors struct {
	Packets []struct {
		ID, Hex string
		Expect  struct {
			Version, Diag, Length, DetectMult uint8
			State                             string
			Poll, Final, CPI, Demand          bool
			AuthPresent                       bool   `json:"auth_present"`
			Mult                              uint8  `json:"detect_mult"`
			MyDisc                            uint32 `json:"my_disc"`
			YourDisc                          uint32 `json:"your_disc"`
			Tx                                uint32 `json:"desired_min_tx_us"`
			Rx                                uint32 `json:"required_min_rx_us"`
			Echo                              uint32 `json:"required_min_echo_rx_us"`
		}
	}
	Rules []struct {
		ID, Hex, Rule string
		TTL           *uint8 `json:"ip_ttl"`
		Expect        struct{ Action string }
	} `json:"receive_rules"`
	States []struct {
		Local, Received, New string
		Diag                 *Diag `json:"local_diag"`
	} `json:"state_table"`
	Timers []struct {
		LocalTx  int64 `json:"local_desired_min_tx_us"`
		LocalRx  int64 `json:"local_required_min_rx_us"`
		RemoteTx int64 `json:"remote_desired_min_tx_us"`
		RemoteRx int64 `json:"remote_required_min_rx_us"`
		Mult     uint8 `json:"remote_detect_mult"`
		State    string
		Interval int64 `json:"tx_interval_us"`
		Detect   int64 `json:"detection_time_us"`
	}
}

func readVectors(t *testing.T) (v vectors, ok bool) {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, "shared", "vectors", "bgp", "bfd.json"))
		if err == nil {
			if err := json.Unmarshal(data, &v); err != nil {
				t.Fatal(err)
			}
			return v, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Log("bfd.json is not there; the cross-check with it is left out")
			return v, false
		}
		dir = parent
	}
}

func state(t *testing.T, name string) State {
	t.Helper()
	for i, n := range stateNames {
		if n == name {
			return State(i)
		}
	}
	t.Fatalf("state %q", name)
	return 0
}

func TestVectorPackets(t *testing.T) {
	v, ok := readVectors(t)
	if !ok {
		return
	}
	us := func(d time.Duration) uint32 { return uint32(d / time.Microsecond) }
	for _, c := range v.Packets {
		e := c.Expect
		p, err := Decode(unhex(t, c.Hex))
		if err != nil {
			t.Errorf("%s: %v", c.ID, err)
			continue
		}
		if uint8(p.Diag) != e.Diag || p.State != state(t, e.State) || p.Poll != e.Poll || p.Final != e.Final ||
			p.ControlPlaneIndependent != e.CPI || p.Demand != e.Demand || (p.Auth.Type != AuthNone) != e.AuthPresent ||
			p.DetectMult != e.Mult || p.MyDiscriminator != e.MyDisc || p.YourDiscriminator != e.YourDisc ||
			us(p.DesiredMinTx) != e.Tx || us(p.RequiredMinRx) != e.Rx || us(p.RequiredMinEchoRx) != e.Echo {
			t.Errorf("%s: %+v, want %+v", c.ID, p, e)
		}
	}
	t.Logf("%d packets", len(v.Packets))
}

// The receive rules that need no socket; those of TTL and source port are looked at
// where the Server is tested.
func TestVectorReceiveRules(t *testing.T) {
	v, ok := readVectors(t)
	if !ok {
		return
	}
	for _, c := range v.Rules {
		if c.TTL != nil {
			continue
		}
		accepted := false
		if p, err := Decode(unhex(t, c.Hex)); err == nil && (p.YourDiscriminator == 0 || p.YourDiscriminator == 0xabcdef12) {
			r := newRig(t)
			raw := unhex(t, c.Hex)
			r.step(Received{Packet: &p, Raw: raw, At: r.now})
			accepted = r.discard() == DiscardNone
			if p.Poll && !r.m.final {
				t.Errorf("%s: %s", c.ID, c.Rule)
			}
			if p.RequiredMinRx == 0 && r.m.periodic() {
				t.Errorf("%s: %s", c.ID, c.Rule)
			}
		}
		if accepted != (c.Expect.Action == "accept") {
			t.Errorf("%s: accepted %v: %s", c.ID, accepted, c.Rule)
		}
	}
}

func TestVectorStates(t *testing.T) {
	v, ok := readVectors(t)
	if !ok {
		return
	}
	for _, c := range v.States {
		r := newRig(t).in(state(t, c.Local))
		r.hear(state(t, c.Received))
		if r.m.State() != state(t, c.New) || c.Diag != nil && r.m.diag != *c.Diag {
			t.Errorf("%+v: %v, %v", c, r.m.State(), r.m.diag)
		}
	}
}

func TestVectorTimers(t *testing.T) {
	v, ok := readVectors(t)
	if !ok {
		return
	}
	us := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	for _, c := range v.Timers {
		r := newRig(t, func(x *Config) { x.TransmitInterval, x.ReceiveInterval = us(c.LocalTx), us(c.LocalRx) })
		r.peer.DesiredMinTx, r.peer.RequiredMinRx, r.peer.DetectMult = us(c.RemoteTx), us(c.RemoteRx), c.Mult
		if c.State == "Up" {
			r.up()
		} else {
			r.hear(AdminDown)
		}
		if i := r.m.Info(); i.State != state(t, c.State) || i.TransmitInterval != us(c.Interval) || i.DetectionTime != us(c.Detect) {
			t.Errorf("%+v: %v, interval %v, detection %v", c, i.State, i.TransmitInterval, i.DetectionTime)
		}
	}
}
