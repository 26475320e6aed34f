// Package walkthrough holds the input files of the walk-through: the
// configuration of speakers and switch, and a Service to reach.
//
// It interprets none of them; the lab hands them, unchanged, to kubectl and to
// the switch.
//
//	bgp.yaml     kubectl create -f     the speakers' ConfigMap
//	switch.conf  pharos switch run     the switch's configuration
//	test.yaml    kubectl create -f     three pods and their Service
//
// Start reading at bgp.yaml.
package walkthrough

import "embed"

// Files are bgp.yaml, switch.conf and test.yaml.
//
//go:embed bgp.yaml switch.conf test.yaml
var Files embed.FS
