package pharos

import "testing"

func TestAllocationAdmits(t *testing.T) {
	team := func(value string) Selector { return Selector{{Key: "team", Operator: In, Values: []string{value}}} }
	for _, c := range []struct {
		name string
		a    *Allocation
		want bool
	}{
		{"no allocation", nil, true},
		{"priority alone", &Allocation{Priority: 5}, true},
		{"namespace named", &Allocation{Namespaces: []string{"other", "shop"}}, true},
		{"another namespace named", &Allocation{Namespaces: []string{"other"}}, false},
		{"namespace's labels", &Allocation{NamespaceSelectors: []Selector{team("x"), team("red")}}, true},
		{"selectors that match no namespace admit nobody", &Allocation{NamespaceSelectors: []Selector{team("x")}}, false},
		{"nor with Service selectors beside them", &Allocation{NamespaceSelectors: []Selector{team("x")}, ServiceSelectors: []Selector{{}}}, false},
		{"named or selected", &Allocation{Namespaces: []string{"shop"}, NamespaceSelectors: []Selector{team("x")}}, true},
		{"Service's labels", &Allocation{ServiceSelectors: []Selector{team("x"), {{Key: "app", Operator: Exists}}}}, true},
		{"other Service labels", &Allocation{Namespaces: []string{"shop"}, ServiceSelectors: []Selector{team("red")}}, false},
	} {
		if got := c.a.Admits("shop", map[string]string{"team": "red"}, map[string]string{"app": "web"}); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
