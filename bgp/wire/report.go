package wire

import "fmt"

// Outcome is what an UPDATE's errors come to (RFC 7606 §2), in order of severity.
type Outcome uint8

// Outcomes. The strongest of an UPDATE's findings decides (RFC 7606 §3 h).
const (
	// Accept: nothing is wrong that would change what the UPDATE means.
	Accept Outcome = iota
	// AttributeDiscard: something was left out (see Findings), the rest stands.
	AttributeDiscard
	// TreatAsWithdraw: all reachable prefixes have been moved to Withdrawn.
	TreatAsWithdraw
	// SessionReset: send Report.Notification and close; the Update is empty.
	SessionReset
)

// String names the outcome as RFC 7606 does.
func (o Outcome) String() string {
	switch o {
	case Accept:
		return "accept"
	case AttributeDiscard:
		return "attribute-discard"
	case TreatAsWithdraw:
		return "treat-as-withdraw"
	case SessionReset:
		return "session-reset"
	}
	return fmt.Sprintf("outcome %d", uint8(o))
}

// Reason is why an UPDATE did not get Accept. Its String is a short phrase for logs and metrics, Clause the rule.
type Reason uint8

// Reasons. Attr in the Finding tells which attribute is meant.
const (
	ReasonNone             Reason = iota
	ReasonUpdateLength            // withdrawn routes or attributes longer than the message
	ReasonAttrTruncated           // an attribute header or value runs past the attribute list
	ReasonAttrFlags               // optional or transitive bit in conflict with the type
	ReasonAttrLength              // a length the type cannot have
	ReasonAttrRepeated            // a second attribute of the same type
	ReasonMPRepeated              // a second MP_REACH_NLRI or MP_UNREACH_NLRI
	ReasonUnknownWellKnown        // not optional, and not a type we know
	ReasonMissingAttr             // reachable prefixes without a mandatory attribute
	ReasonOriginValue             // ORIGIN is none of the three
	ReasonSegmentType             // AS_PATH segment of an unknown type
	ReasonSegmentLength           // AS_PATH segment empty or longer than the attribute
	ReasonASZero                  // AS number 0
	ReasonConfederation           // confederation segment from outside, or in AS4_PATH
	ReasonFirstAS                 // AS_PATH does not begin with the peer's AS
	ReasonNextHopValue            // next hop is no host's address
	ReasonNextHopLength           // MP_REACH_NLRI next hop of a length the family cannot have
	ReasonNextHopFamily           // IPv4 prefixes by an IPv6 next hop that was not agreed on
	ReasonNextHopConflict         // NEXT_HOP and MP_REACH_NLRI disagree about IPv4 prefixes of one UPDATE
	ReasonPrefixLength            // a prefix longer than its address or than the field
	ReasonPrefixValue             // a prefix that cannot be routed: multicast or link-local
	ReasonFamily                  // prefixes of a family that was not negotiated
	ReasonEmptyReach              // MP_REACH_NLRI without prefixes
	ReasonExternal                // LOCAL_PREF, ORIGINATOR_ID or CLUSTER_LIST from an external peer
	ReasonAS4FromNew              // AS4_PATH or AS4_AGGREGATOR from a speaker of four-octet AS numbers
	ReasonNoReachable             // an error in an UPDATE whose prefixes may have been lost with it
)

type reasonText struct{ text, clause string }

var reasonTexts = [...]reasonText{
	ReasonNone:             {"none", ""},
	ReasonUpdateLength:     {"lengths exceed the message", "RFC 7606 §3 b"},
	ReasonAttrTruncated:    {"attribute runs past the attribute list", "RFC 7606 §4"},
	ReasonAttrFlags:        {"attribute flags conflict with its type", "RFC 7606 §3 c"},
	ReasonAttrLength:       {"wrong attribute length", "RFC 7606 §7"},
	ReasonAttrRepeated:     {"attribute repeated", "RFC 7606 §3 g"},
	ReasonMPRepeated:       {"multiprotocol attribute repeated", "RFC 7606 §3 g"},
	ReasonUnknownWellKnown: {"unrecognized well-known attribute", "RFC 4271 §6.3"},
	ReasonMissingAttr:      {"well-known mandatory attribute missing", "RFC 7606 §3 d"},
	ReasonOriginValue:      {"undefined ORIGIN", "RFC 7606 §7.1"},
	ReasonSegmentType:      {"unrecognized AS_PATH segment type", "RFC 7606 §7.2"},
	ReasonSegmentLength:    {"wrong AS_PATH segment length", "RFC 7606 §7.2"},
	ReasonASZero:           {"AS number 0", "RFC 7607 §2"},
	ReasonConfederation:    {"confederation segment out of place", "RFC 5065 §5, RFC 6793 §6"},
	ReasonFirstAS:          {"AS_PATH does not begin with the peer's AS", "RFC 4271 §6.3"},
	ReasonNextHopValue:     {"next hop is not a host address", "RFC 4271 §6.3"},
	ReasonNextHopLength:    {"wrong next hop length", "RFC 7606 §7.11"},
	ReasonNextHopFamily:    {"IPv6 next hop for IPv4 prefixes not negotiated", "RFC 8950 §4"},
	ReasonNextHopConflict:  {"two next hops for IPv4 prefixes", "RFC 4760 §3"},
	ReasonPrefixLength:     {"wrong prefix length", "RFC 7606 §5.3"},
	ReasonPrefixValue:      {"prefix cannot be routed", "RFC 4271 §6.3"},
	ReasonFamily:           {"family not negotiated", "RFC 4760 §8"},
	ReasonEmptyReach:       {"MP_REACH_NLRI without prefixes", "RFC 4760 §3"},
	ReasonExternal:         {"attribute not for external sessions", "RFC 7606 §7.5, §7.9, §7.10"},
	ReasonAS4FromNew:       {"AS4 attribute between four-octet AS speakers", "RFC 6793 §4.1"},
	ReasonNoReachable:      {"malformed attribute without reachable prefixes", "RFC 7606 §5.2"},
}

// String returns a short constant phrase.
func (r Reason) String() string {
	if int(r) < len(reasonTexts) {
		return reasonTexts[r].text
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Clause returns the rule that the decision follows.
func (r Reason) Clause() string {
	if int(r) < len(reasonTexts) {
		return reasonTexts[r].clause
	}
	return ""
}

// Finding is one thing wrong with an UPDATE and what it alone calls for.
type Finding struct {
	Outcome Outcome
	Reason  Reason
	Attr    AttrType // 0 when it is about the message or the classic fields
}

// String tells the finding in one line, e.g. "treat-as-withdraw: wrong attribute length (MULTI_EXIT_DISC)".
func (f Finding) String() string {
	s := f.Outcome.String() + ": " + f.Reason.String()
	if f.Attr != 0 {
		s += " (" + f.Attr.String() + ")"
	}
	return s
}

// maxFindings bounds what one hostile UPDATE can make us remember; the outcome counts them all.
const maxFindings = 16

// Report is the verdict on an UPDATE.
type Report struct {
	Outcome      Outcome
	Findings     []Finding     // in the order they were met, at most 16; the first ones are kept
	Notification *Notification // to be sent; nil unless Outcome is SessionReset
}

// Reason returns the reason of the first finding as strong as the outcome.
func (r *Report) Reason() Reason {
	for _, f := range r.Findings {
		if f.Outcome == r.Outcome {
			return f.Reason
		}
	}
	return ReasonNone
}
