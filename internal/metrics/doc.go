// Package metrics shows roles' Status to Prometheus, under the names that
// MetalLB's dashboards and alerts use. It is the product's only home of
// Prometheus.
//
// It counts nothing itself: engines and roles keep counters in their Status,
// and a scrape translates what they hold at that moment.
//
//	GET /metrics ──► Set ──► Collector ──► role.Status() ──► metallb_… pharos_…
//	GET /livez, /healthz ──► does the role answer?
//	GET /readyz ──────────► does it know the cluster?
//
// Invariants: the registry is the Set's own, never the process's; a role's
// Status is asked for once a scrape; a pool, peer or Service that is gone is
// gone from the next scrape.
//
// Format: https://prometheus.io/docs/instrumenting/exposition_formats/.
// Start reading at Set.
package metrics
