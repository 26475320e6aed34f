package gossip

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/pharoslb/pharos/election"
	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/speaker"
)

func TestFactsThereAndBack(t *testing.T) {
	for _, f := range []speaker.Facts{
		{},
		{Ready: true},
		{Ready: true, Acting: true},
		{Leaving: true, Policy: election.Policy{Sticky: true, Spread: 1.25}},
		{Partial: true, Links: []speaker.Link{{Name: "eth0", MAC: layer2.MAC{2, 0, 0, 0, 0, 1}, IPv4: true, IPv6: true}, {Name: "bond-storage.12", IPv6: true}}},
	} {
		if got := decodeFacts(encodeFacts(&f, 512)); !reflect.DeepEqual(*got, f) || !sameFacts(got, &f) {
			t.Errorf("%+v came back as %+v", f, *got)
		}
	}
}

func TestFactsKeepToTheLimit(t *testing.T) {
	var f speaker.Facts
	for i := range 100 {
		f.Links = append(f.Links, speaker.Link{Name: fmt.Sprint("eth", i)})
	}
	text := encodeFacts(&f, 512)
	got := decodeFacts(text)
	if len(text) > 512 || got == nil || !got.Partial || len(got.Links) < 30 {
		t.Errorf("%d octets: %+v", len(text), got)
	}
	// Who tells more knows what the others get.
	f.Policy.Spread = 4.0 / 3
	got.Policy.Spread = 1.33
	if told := New(Options{}).Tell(f); !sameFacts(&told, got) {
		t.Errorf("told %+v", told)
	}
}

func FuzzFacts(f *testing.F) {
	f.Add([]byte{1, 7, 0, 125})
	f.Add(encodeFacts(&speaker.Facts{Links: []speaker.Link{{Name: "eth0", IPv4: true}}}, 512))
	f.Add([]byte{1, 0, 0, 0, 2, 0, 0, 0, 0, 1, 3, 200, 'e'})
	f.Fuzz(func(t *testing.T, b []byte) {
		facts := decodeFacts(b)
		if facts == nil || len(b) > 512 {
			return
		}
		if again := decodeFacts(encodeFacts(facts, 512)); again == nil || !sameFacts(again, facts) {
			t.Errorf("%+v came back as %+v", facts, again)
		}
	})
}
