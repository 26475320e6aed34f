package chart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
	"sigs.k8s.io/yaml"
)

var language = parser.NewParser(parser.Options{})

// alerts reads the PrometheusRule that the chart gives as Prometheus would.
func alerts(t *testing.T, values string) []rulefmt.Rule {
	t.Helper()
	for _, o := range parse(t, render(t, values)) {
		if o.kind() != "PrometheusRule" {
			continue
		}
		text, err := yaml.Marshal(o["spec"])
		if err != nil {
			t.Fatal(err)
		}
		groups, errs := rulefmt.Parse(text, false, model.UTF8Validation, language, slog.New(slog.DiscardHandler))
		if err := errors.Join(errs...); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		return groups.Groups[0].Rules
	}
	t.Fatal("no PrometheusRule")
	return nil
}

// scraped are the series of one scrape of each of several pods, by the pod's name.
type scraped []storage.Series

// sample is a number at the time now; what a histogram would have besides is nil.
type sample struct {
	chunks.Sample
	value float64
}

func (sample) Type() chunkenc.ValueType { return chunkenc.ValFloat }
func (sample) T() int64                 { return now.UnixMilli() }
func (sample) ST() int64                { return 0 }
func (s sample) F() float64             { return s.value }

// scrape reads what a pod answered.
func (s *scraped) scrape(t *testing.T, pod, text string) {
	t.Helper()
	p := textparse.NewPromParser([]byte(text), labels.NewSymbolTable(), false)
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var l labels.Labels
		p.Labels(&l)
		_, _, value := p.Series()
		b := labels.NewBuilder(l)
		b.Set("pod", pod)
		*s = append(*s, storage.NewListSeries(b.Labels(), []chunks.Sample{sample{value: value}}))
	}
}

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Querier makes the series a storage.Queryable.
func (s scraped) Querier(int64, int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
		return &series{list: slices.DeleteFunc(slices.Clone(s), func(one storage.Series) bool {
			return slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(one.Labels().Get(m.Name)) })
		})}
	}}, nil
}

type series struct {
	list []storage.Series
	next int
}

func (s *series) Next() bool                      { s.next++; return s.next <= len(s.list) }
func (s *series) At() storage.Series              { return s.list[s.next-1] }
func (*series) Err() error                        { return nil }
func (*series) Warnings() annotations.Annotations { return nil }

// firing lists the alerts that fire, each with the labels that tell of what.
func (s scraped) firing(t *testing.T, rules []rulefmt.Rule, tell ...string) []string {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 10000, Timeout: time.Minute, LookbackDelta: time.Minute, Parser: language})
	defer engine.Close()
	var fire []string
	for _, r := range rules {
		q, err := engine.NewInstantQuery(context.Background(), s, nil, r.Expr, now)
		if err != nil {
			t.Fatal(err)
		}
		v, err := q.Exec(context.Background()).Vector()
		if err != nil {
			t.Fatalf("%s: %v", r.Alert, err)
		}
		for _, one := range v {
			line := r.Alert
			for _, label := range tell {
				if text := one.Metric.Get(label); text != "" {
					line += " " + text
				}
			}
			fire = append(fire, line)
		}
		q.Close()
	}
	slices.Sort(fire)
	return fire
}

// golden is what a role answers in the product's own test of its metrics.
func golden(t *testing.T, role string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, "..", "internal", "metrics", "testdata", role+".golden"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every alert of MetalLB's is there, and asks for metrics that a role serves.
func TestAlertsAskForWhatIsServed(t *testing.T) {
	served := golden(t, "controller") + golden(t, "speaker")
	var names []string
	for _, r := range alerts(t, alerting) {
		names = append(names, r.Alert)
		expr, err := language.ParseExpr(r.Expr)
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
			if s, ok := n.(*parser.VectorSelector); ok {
				asked++
				if !strings.Contains(served, "\n# TYPE "+s.Name+" ") {
					t.Errorf("%s asks for %s, which nobody serves", r.Alert, s.Name)
				}
			}
			return nil
		})
		if asked == 0 || r.Annotations["message"] == "" || r.Labels["severity"] == "" {
			t.Errorf("%s: %+v", r.Alert, r)
		}
	}
	want := []string{"MetalLBStaleConfig", "MetalLBConfigNotLoaded", "MetalLBAddressPoolExhausted", "MetalLBAddressPoolUsage75Percent",
		"MetalLBAddressPoolUsage85Percent", "MetalLBAddressPoolUsage95Percent", "MetalLBBGPSessionDown"}
	if !slices.Equal(names, want) {
		t.Errorf("alerts are %v, want %v", names, want)
	}
}

func TestAlertsFire(t *testing.T) {
	pools := func(used ...int) string {
		var b strings.Builder
		for i, n := range used {
			fmt.Fprintf(&b, "metallb_allocator_addresses_total{pool=\"p%d\"} 100\nmetallb_allocator_addresses_in_use_total{pool=\"p%d\"} %d\n", i, i, n)
		}
		return b.String()
	}
	const well = "metallb_k8s_client_config_loaded_bool 1\nmetallb_k8s_client_config_stale_bool 0\n"
	for _, row := range []struct {
		name   string
		values string
		pods   map[string]string
		want   []string
	}{
		{"all is well", "", map[string]string{"controller": well + pools(0, 75), "speaker-1": well + `metallb_bgp_session_up{peer="10.0.0.1:179"} 1` + "\n"}, nil},
		{"what the metrics' own test has", "", map[string]string{"controller": golden(t, "controller"), "speaker": golden(t, "speaker")}, []string{
			"MetalLBBGPSessionDown speaker [fd00::210]:1179", "MetalLBBGPSessionDown speaker [fd00::210]:1179 tor2b",
			"MetalLBStaleConfig controller", "MetalLBStaleConfig speaker"}},
		{"no configuration", "", map[string]string{"controller": "metallb_k8s_client_config_loaded_bool 0\n"}, []string{"MetalLBConfigNotLoaded controller"}},
		{"pools fill up", "", map[string]string{"controller": pools(76, 86, 96, 100)}, []string{
			"MetalLBAddressPoolExhausted controller p3",
			"MetalLBAddressPoolUsage75Percent controller p0", "MetalLBAddressPoolUsage75Percent controller p1",
			"MetalLBAddressPoolUsage75Percent controller p2", "MetalLBAddressPoolUsage75Percent controller p3",
			"MetalLBAddressPoolUsage85Percent controller p1", "MetalLBAddressPoolUsage85Percent controller p2", "MetalLBAddressPoolUsage85Percent controller p3",
			"MetalLBAddressPoolUsage95Percent controller p2", "MetalLBAddressPoolUsage95Percent controller p3"}},
		{"a controller stands by", "", map[string]string{"controller-1": pools(0, 100), "controller-2": pools(0, 90)}, []string{
			"MetalLBAddressPoolExhausted controller-1 p1",
			"MetalLBAddressPoolUsage75Percent controller-1 p1", "MetalLBAddressPoolUsage75Percent controller-2 p1",
			"MetalLBAddressPoolUsage85Percent controller-1 p1", "MetalLBAddressPoolUsage85Percent controller-2 p1",
			"MetalLBAddressPoolUsage95Percent controller-1 p1"}},
		{"pools that are not meant", "prometheus: {prometheusRule: {enabled: true, addressPoolExhausted: {excludePools: p1}, addressPoolUsage: {excludePools: 'p[01]', thresholds: [{percent: 10}]}}}",
			map[string]string{"controller": pools(100, 100, 20)}, []string{"MetalLBAddressPoolExhausted controller p0", "MetalLBAddressPoolUsage10Percent controller p2"}},
		{"one's own", "prometheus: {prometheusRule: {enabled: true, extraAlerts: [{alert: Mine, expr: pharos_speaker_members < 3}]}}",
			map[string]string{"speaker": "pharos_speaker_members 2\n"}, []string{"Mine speaker"}},
	} {
		var s scraped
		for pod, text := range row.pods {
			s.scrape(t, pod, text)
		}
		values := row.values
		if values == "" {
			values = alerting
		}
		got := s.firing(t, alerts(t, values), "pod", "peer", "pool")
		if !slices.Equal(got, row.want) {
			t.Errorf("%s: firing are\n  %s\nwant\n  %s", row.name, strings.Join(got, "\n  "), strings.Join(row.want, "\n  "))
		}
	}
}
