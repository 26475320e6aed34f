package meant

import (
	"strings"
	"testing"
)

func TestWord(t *testing.T) {
	known := []string{"peer-address", "peer-asn", "my-asn", "address-pools", "ip"}
	for word, want := range map[string]string{
		"peer-adress":              "peer-address",
		"peerASN":                  "peer-asn",
		"address_pool":             "address-pools",
		"my-as":                    "my-asn",
		"ipp":                      "ip",
		"xy":                       "",
		"hold-time":                "",
		"":                         "",
		strings.Repeat("p", 1<<20): "",
	} {
		if got := Word(word, known); got != want {
			t.Errorf("%.20q was meant to be %q, want %q", word, got, want)
		}
	}
}
