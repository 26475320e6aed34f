package gossip

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
)

// Tuning is how fast a member is found dead, and at what price. The fields are those of
// memberlist's Config, which tells more of each.
//
// A member that says nothing is asked by each other member within one ProbeInterval a
// member, on average within one and a half; its answer is waited for until the interval
// ends, that of others who are asked to ask it included. Then it is suspected, and dead
// when it has not refuted that for SuspicionMult × max(1, log10 of the members) ×
// ProbeInterval: as long as that if another member suspects it too, at most
// SuspicionMaxTimeoutMult times longer if none does.
type Tuning struct {
	ProbeInterval           time.Duration
	ProbeTimeout            time.Duration // until others are asked to ask
	IndirectChecks          int           // how many others
	SuspicionMult           int
	SuspicionMaxTimeoutMult int
	AwarenessMaxMultiplier  int // a member that is slow itself waits up to so much longer
	GossipInterval          time.Duration
	GossipNodes             int
	GossipToTheDeadTime     time.Duration
	RetransmitMult          int
	PushPullInterval        time.Duration // between exchanges of all that is known
	TCPTimeout              time.Duration
	DisableTCPPings         bool
	EnableCompression       bool
	GossipVerifyIncoming    bool
	GossipVerifyOutgoing    bool
	HandoffQueueDepth       int
	UDPBufferSize           int // octets
	QueueCheckInterval      time.Duration
}

// LAN finds a dead member of a few in about half a second, and of a hundred in one. What
// it costs a node is ten packets of some hundred octets a second. A member that does not
// get to answer for some 400 ms is taken for dead until it says that it is not.
func LAN() Tuning {
	t := tuningOf(memberlist.DefaultLANConfig())
	t.ProbeInterval, t.ProbeTimeout = 100*time.Millisecond, 50*time.Millisecond
	t.SuspicionMult, t.SuspicionMaxTimeoutMult = 3, 2
	t.AwarenessMaxMultiplier = 4
	t.GossipInterval = 50 * time.Millisecond
	t.TCPTimeout = streamTime
	t.EnableCompression = false // messages are small, its buffers are not
	return t
}

// WAN is memberlist's for members far from each other, as MetalLB's --ml-wan-config asks
// for: a dead member is found after half a minute.
func WAN() Tuning {
	t := tuningOf(memberlist.DefaultWANConfig())
	t.EnableCompression = false
	return t
}

func tuningOf(c *memberlist.Config) Tuning {
	return Tuning{
		ProbeInterval: c.ProbeInterval, ProbeTimeout: c.ProbeTimeout, IndirectChecks: c.IndirectChecks,
		SuspicionMult: c.SuspicionMult, SuspicionMaxTimeoutMult: c.SuspicionMaxTimeoutMult, AwarenessMaxMultiplier: c.AwarenessMaxMultiplier,
		GossipInterval: c.GossipInterval, GossipNodes: c.GossipNodes, GossipToTheDeadTime: c.GossipToTheDeadTime,
		RetransmitMult: c.RetransmitMult, PushPullInterval: c.PushPullInterval, TCPTimeout: c.TCPTimeout,
		DisableTCPPings: c.DisableTcpPings, EnableCompression: c.EnableCompression,
		GossipVerifyIncoming: c.GossipVerifyIncoming, GossipVerifyOutgoing: c.GossipVerifyOutgoing,
		HandoffQueueDepth: c.HandoffQueueDepth, UDPBufferSize: c.UDPBufferSize, QueueCheckInterval: c.QueueCheckInterval,
	}
}

func (t *Tuning) apply(c *memberlist.Config) {
	c.ProbeInterval, c.ProbeTimeout, c.IndirectChecks = t.ProbeInterval, t.ProbeTimeout, t.IndirectChecks
	c.SuspicionMult, c.SuspicionMaxTimeoutMult, c.AwarenessMaxMultiplier = t.SuspicionMult, t.SuspicionMaxTimeoutMult, t.AwarenessMaxMultiplier
	c.GossipInterval, c.GossipNodes, c.GossipToTheDeadTime = t.GossipInterval, t.GossipNodes, t.GossipToTheDeadTime
	c.RetransmitMult, c.PushPullInterval, c.TCPTimeout = t.RetransmitMult, t.PushPullInterval, t.TCPTimeout
	c.DisableTcpPings, c.EnableCompression = t.DisableTCPPings, t.EnableCompression
	c.GossipVerifyIncoming, c.GossipVerifyOutgoing = t.GossipVerifyIncoming, t.GossipVerifyOutgoing
	c.HandoffQueueDepth, c.UDPBufferSize, c.QueueCheckInterval = t.HandoffQueueDepth, t.UDPBufferSize, t.QueueCheckInterval
}

// setting is one field as a file names it.
type setting struct {
	name     string
	field    any // *time.Duration, *int or *bool
	min, max int64
}

const (
	ms  = int64(time.Millisecond)
	day = 24 * int64(time.Hour)
)

func (t *Tuning) settings() []setting {
	return []setting{
		{"ProbeInterval", &t.ProbeInterval, 20 * ms, day}, {"ProbeTimeout", &t.ProbeTimeout, ms, day},
		{"IndirectChecks", &t.IndirectChecks, 0, 100}, {"SuspicionMult", &t.SuspicionMult, 1, 1000},
		{"SuspicionMaxTimeoutMult", &t.SuspicionMaxTimeoutMult, 1, 1000}, {"AwarenessMaxMultiplier", &t.AwarenessMaxMultiplier, 1, 1000},
		{"GossipInterval", &t.GossipInterval, 10 * ms, day}, {"GossipNodes", &t.GossipNodes, 1, 1000},
		{"GossipToTheDeadTime", &t.GossipToTheDeadTime, 0, day}, {"RetransmitMult", &t.RetransmitMult, 1, 1000},
		{"PushPullInterval", &t.PushPullInterval, 0, day}, {"TCPTimeout", &t.TCPTimeout, 10 * ms, day},
		{"DisableTcpPings", &t.DisableTCPPings, 0, 0}, {"EnableCompression", &t.EnableCompression, 0, 0},
		{"GossipVerifyIncoming", &t.GossipVerifyIncoming, 0, 0}, {"GossipVerifyOutgoing", &t.GossipVerifyOutgoing, 0, 0},
		{"HandoffQueueDepth", &t.HandoffQueueDepth, 1, 1 << 20}, {"UDPBufferSize", &t.UDPBufferSize, 512, 1 << 16},
		{"QueueCheckInterval", &t.QueueCheckInterval, 100 * ms, day},
	}
}

// ParseTuning reads what a JSON object changes of base: memberlist's fields by their
// names, whether upper or lower case, with or without underscores. Durations are text
// such as "500ms", or numbers of nanoseconds. MetalLB wants all nineteen, here each may be
// left out. Every mistake is named.
func ParseTuning(base Tuning, text []byte) (Tuning, error) {
	var fields map[string]json.RawMessage
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&fields); err != nil {
		return base, fmt.Errorf("not a JSON object of settings: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return base, errors.New("there is more behind the JSON object")
	}
	t := base
	known := map[string]setting{}
	for _, s := range t.settings() {
		known[plain(s.name)] = s
	}
	seen := map[string]string{}
	var errs []error
	for name, raw := range fields {
		s, ok := known[plain(name)]
		if twin, again := seen[plain(name)]; again {
			errs = append(errs, fmt.Errorf("%s and %s are the same setting", min(name, twin), max(name, twin)))
			continue
		}
		seen[plain(name)] = name
		if !ok {
			errs = append(errs, fmt.Errorf("%s is not a setting; there are: %s", name, settingNames()))
			continue
		}
		if err := s.set(raw); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	if len(errs) == 0 && t.ProbeTimeout > t.ProbeInterval {
		errs = append(errs, fmt.Errorf("ProbeTimeout %v is longer than ProbeInterval %v", t.ProbeTimeout, t.ProbeInterval))
	}
	if len(errs) > 0 {
		return base, errors.Join(sorted(errs)...)
	}
	return t, nil
}

func (s *setting) set(raw json.RawMessage) error {
	if p, ok := s.field.(*bool); ok {
		if err := json.Unmarshal(raw, p); err != nil {
			return fmt.Errorf("%s is neither true nor false", raw)
		}
		return nil
	}
	var n int64
	p, isTime := s.field.(*time.Duration)
	var text string
	if isTime && json.Unmarshal(raw, &text) == nil {
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as \"500ms\"", text)
		}
		n = int64(d)
	} else if err := json.Unmarshal(raw, &n); err != nil || string(raw) == "null" {
		if isTime {
			return fmt.Errorf("%s is not a duration such as \"500ms\"", raw)
		}
		return fmt.Errorf("%s is not a whole number", raw)
	}
	switch {
	case isTime && (n < s.min || n > s.max):
		return fmt.Errorf("%v is not between %v and %v", time.Duration(n), time.Duration(s.min), time.Duration(s.max))
	case n < s.min || n > s.max:
		return fmt.Errorf("%d is not between %d and %d", n, s.min, s.max)
	}
	if isTime {
		*p = time.Duration(n)
	} else {
		*s.field.(*int) = int(n)
	}
	return nil
}

func plain(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
}

func settingNames() string {
	var names []string
	for _, s := range new(Tuning).settings() {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// sorted orders errors by their texts, so that the same mistakes read alike.
func sorted(errs []error) []error {
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}
