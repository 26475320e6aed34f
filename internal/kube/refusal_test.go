package kube

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/pharoslb/pharos"
)

// answers is an API server of the kinds of statuses: it lists nothing, refuses what
// a rule says, and answers anything else with what it was sent.
type answers struct {
	mu    sync.Mutex
	rules [][2]string // part of method and path, reason of the refusal
	asked []string
	meta  map[string]any // by the object's name
}

// ServeHTTP answers with an object that is as it was asked for, or a refusal.
func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	path := r.Method + " " + r.URL.Path[strings.LastIndex(r.URL.Path, namespacePath)+len(namespacePath):]
	var body map[string]any
	if json.NewDecoder(r.Body).Decode(&body) == nil && r.Method == http.MethodPost {
		path += "/" + body["metadata"].(map[string]any)["name"].(string)
	}
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodGet {
		fmt.Fprint(w, `{"apiVersion":"metallb.io/v1beta1","kind":"List","metadata":{},"items":[]}`)
		return
	}
	a.asked = append(a.asked, path)
	for _, rule := range a.rules {
		if strings.Contains(path, rule[0]) {
			codes := map[string]int{"NotFound": 404, "Invalid": 422, "AlreadyExists": 409}
			w.WriteHeader(codes[rule[1]])
			fmt.Fprintf(w, `{"apiVersion":"v1","kind":"Status","status":"Failure","reason":%q,"code":%d}`, rule[1], codes[rule[1]])
			return
		}
	}
	name := strings.TrimSuffix(path, "/status")
	name = name[strings.LastIndex(name, "/")+1:]
	if meta, ok := body["metadata"]; ok {
		a.meta[name] = meta
	}
	body["apiVersion"], body["kind"], body["metadata"] = "metallb.io/v1beta1", "Any", a.meta[name]
	text, _ := json.Marshal(body)
	w.Write(text)
}

const namespacePath = "/namespaces/ns/"

// What the API server refuses of one object keeps no other from being written,
// and is not tried again before something else is to be said.
func TestRefusedStatuses(t *testing.T) {
	bgp := func(service string) string { return "bgp-" + short("n1", "shop/"+service) }
	for _, c := range []struct {
		name   string
		node   string
		rules  [][2]string
		report Report
		rounds [][]string // what is asked for in each
	}{
		{"one that is invalid", "n1", [][2]string{{"PATCH servicebgpstatuses/" + bgp("a"), "Invalid"}},
			Report{Services: []ServiceReport{{Service: pharos.Name{Namespace: "shop", Name: "a"}, BGP: []string{"tor"}}, {Service: pharos.Name{Namespace: "shop", Name: "b"}, BGP: []string{"tor"}}}},
			[][]string{{
				"POST servicebgpstatuses/" + bgp("a"), "PATCH servicebgpstatuses/" + bgp("a") + "/status",
				"POST servicebgpstatuses/" + bgp("b"), "PATCH servicebgpstatuses/" + bgp("b") + "/status",
			}, nil}},
		{"one that lost its labels", "n1", [][2]string{{"POST servicebgpstatuses", "AlreadyExists"}},
			Report{Services: []ServiceReport{{Service: pharos.Name{Namespace: "shop", Name: "a"}, BGP: []string{"tor"}}}},
			[][]string{{
				"POST servicebgpstatuses/" + bgp("a"), "PATCH servicebgpstatuses/" + bgp("a"), "PATCH servicebgpstatuses/" + bgp("a") + "/status",
			}, nil}},
		{"pools without a status, as in MetalLB 0.14", "", [][2]string{{"PATCH ipaddresspools", "NotFound"}},
			Report{Pools: []PoolReport{{Pool: "p"}, {Pool: "q"}}}, [][]string{{"PATCH ipaddresspools/p/status"}, nil}},
	} {
		t.Run(c.name, func(t *testing.T) {
			api := &answers{rules: c.rules, meta: map[string]any{}}
			server := httptest.NewServer(api)
			defer server.Close()
			client, err := NewClient(&rest.Config{Host: server.URL}, "test")
			if err != nil {
				t.Fatal(err)
			}
			source := NewSource(Options{Client: client, Kinds: Config, ConfigMap: pharos.Name{Namespace: "ns", Name: "config"}})
			for _, k := range source.kinds {
				k.status.begun = true
			}
			p := NewPublisher(PublisherOptions{Client: client, Source: source, Node: c.node})
			for _, k := range p.kinds {
				if k.statusKind == poolStatuses {
					k.records = func(r Report) []record { return p.states.pools(r, func(pool string) string { return pool }) }
				}
			}
			for i, want := range c.rounds {
				api.asked = nil
				p.publish(t.Context(), c.report)
				got := slices.DeleteFunc(api.asked, func(path string) bool { return strings.Contains(path, "configurationstates") })
				if !slices.Equal(got, want) {
					t.Errorf("round %d: %v\nwant %v", i, got, want)
				}
			}
		})
	}
}
