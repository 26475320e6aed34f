// Package chart renders the Helm chart of ../../chart as Helm does, and the plain
// manifests of it, without a cluster and without the program helm.
//
// It installs nothing: what it makes is text.
//
//	                       plain/head.yaml ─┐
//	                       crds/*.yaml ─────┼─► Plain: ../pharos.yaml
//	chart/ ─► Load ─► Render ───────────────┘
//	            values, release ─┘
//
// Invariants: the plain manifests say nothing that the chart does not say; values
// that the chart's schema does not know are refused.
//
// Start reading at Chart.Render.
package chart
