// Package file reads the objects of group metallb.io, and MetalLB's ConfigMap, from
// YAML files, directories and streams, and says what is wrong with them before a
// cluster sees them: with file, line, field, reason and hint.
//
// It knows no cluster and writes nothing. What the fields may be comes from the
// schema of deploy/crds, what they mean together from package crd.
//
//	text ──YAML──► documents, Lists ──schema──► objects ──► crd.Objects ──► crd.Parser
//	                                    │                                       │
//	                                    └───► []Problem: file, line, … ◄────────┘
//
// Objects of other groups are counted and left alone, but for what is referred to:
// Secrets, and the ConfigMaps config and bgpextras.
//
// Invariants: the cost is bounded by the text's size, whatever its aliases multiply
// to; no Problem quotes a password; a set without an error is one that the API
// server takes and of which all comes into force.
//
// Start reading at Set.Check.
package file
