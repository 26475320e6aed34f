package dataplane

import (
	"errors"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	lacks := errors.New("the kernel lacks BPF_MAP_TYPE_LRU_HASH")
	for _, c := range []struct {
		name       string
		named      bool
		candidates []Candidate
		want       string
		trail      string // a line a reason
		err        string
	}{
		{name: "the first", candidates: []Candidate{{Name: "ebpf"}, {Name: "nft"}}, want: "ebpf",
			trail: "driverChosen: ebpf, which this node's kernel can run"},
		{name: "the next", candidates: []Candidate{{Name: "ebpf", Missing: lacks}, {Name: "nft"}}, want: "nft",
			trail: "driverUnavailable: ebpf can't run here: the kernel lacks BPF_MAP_TYPE_LRU_HASH\ndriverChosen: nft, which this node's kernel can run"},
		{name: "by name", named: true, candidates: []Candidate{{Name: "nft"}}, want: "nft", trail: "driverChosen: nft, as asked for by name"},
		{name: "by name, in vain", named: true, candidates: []Candidate{{Name: "ebpf", Missing: lacks}},
			trail: "driverUnavailable: ebpf can't run here: the kernel lacks BPF_MAP_TYPE_LRU_HASH",
			err:   "ebpf can't run here: the kernel lacks BPF_MAP_TYPE_LRU_HASH"},
		{name: "nobody", candidates: []Candidate{{Name: "ebpf", Missing: lacks}, {Name: "nft", Missing: errors.New("no nf_tables")}},
			trail: "driverUnavailable: ebpf can't run here: the kernel lacks BPF_MAP_TYPE_LRU_HASH\ndriverUnavailable: nft can't run here: no nf_tables",
			err:   "LRU_HASH; nft can't run here: no nf_tables"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, trail, err := Choose(c.named, c.candidates...)
			if got != c.want || trail.String() != c.trail {
				t.Errorf("%q because\n%s", got, trail)
			}
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v", err)
			}
		})
	}
}
