package why

import "testing"

func TestEveryCodeHasNameAndText(t *testing.T) {
	seen := map[string]Code{}
	for i := range codes {
		c := Code(i)
		if codes[i].name == "" || codes[i].text == "" {
			t.Errorf("code %d has no name or no text", i)
		}
		if other, dup := seen[c.String()]; dup {
			t.Errorf("codes %d and %d are both named %q", other, c, c)
		}
		seen[c.String()] = c
		var back Code
		text, _ := c.MarshalText()
		if err := back.UnmarshalText(text); err != nil || back != c {
			t.Errorf("code %q does not survive its own text: %v, %v", c, back, err)
		}
	}
}

func TestReasonsRender(t *testing.T) {
	trail := Trail{New(NoPeers, "peer %q selects other nodes", "tor1"), {Code: NoEndpoints}}
	want := "noPeers: peer \"tor1\" selects other nodes\nnoEndpoints: no endpoint can serve"
	if got := trail.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var unknown Code
	if err := unknown.UnmarshalText([]byte("nonsense")); err == nil {
		t.Error("an unknown name was accepted")
	}
}

// Events and reasons are called what MetalLB's users know them as, and are as
// grave. What is not here never happens: InternalError; and invalidIP,
// loadBalancerIPChanged and serviceDeleted, which are steps of MetalLB's own.
func TestNamesAreMetalLBs(t *testing.T) {
	normal, warning := false, true
	for name, grave := range map[string]bool{
		// Events of the controller.
		"IPAllocated": normal, "AllocationFailed": warning, "ClearAssignment": normal, "AdditionalAssignFailed": normal,
		"LoadBalancerFailed": warning, "not enough clusterips": warning, "nolbIPsIPFamily": warning,
		"noclusterIPsIPFamily": warning, "deprecatedAnnotation": warning,
		// Events of the speaker.
		"nodeAssigned": normal, "announceFailed": warning,
	} {
		var c Code
		if err := c.UnmarshalText([]byte(name)); err != nil {
			t.Error(err)
		} else if c.Warning() != grave {
			t.Errorf("%s: warning %v", name, c.Warning())
		}
	}
	// What MetalLB only logs.
	for _, name := range []string{
		"notOwner", "noMatchingAdvertisement", "conflictingAdvertisements", "nodeNetworkUnavailable", "nodeLabeledExcludeBalancers",
		"noLocalEndpoints", "noEndpoints", "sharedIPWithServiceSelector", "noIPAllocated", "ipNotAllowed", "notLoadBalancer",
	} {
		if err := new(Code).UnmarshalText([]byte(name)); err != nil {
			t.Error(err)
		}
	}
}
