// Package kube is the product's only door to the Kubernetes API: it turns what
// the API server holds into Snapshots, writes statuses, records Events, and
// elects the one controller that works.
//
// It decides nothing: which address, which node and which reason is a role's
// business, and what the configuration is, package crd's. It hands out no
// Kubernetes type, so that no role can depend on one.
//
//	                      one Reflector a kind               roles
//	API server ──list,──► store: object ──convert──► noun ──► Snapshot ──► Changed
//	    ▲        watch       │               (pure)             ▲   (shared Maps)
//	    │                    └── ConfigMap, kinds of metallb.io ─┴─ crd.Parser, when they settle
//	    │                        └──► Secrets, read by name
//	    │
//	    ├── PATCH services/status ◄── Writer     first
//	    ├── POST, PATCH events    ◄── Recorder   when Services have settled
//	    ├── status objects        ◄── Publisher  then, and so many a second
//	    └── PUT leases            ◄── Lease      one process of several works
//
// Source.Load lists once, for whoever may not watch; Client.MetalLB looks for what is to be
// replaced. Neither writes.
//
// Invariants: an object is converted when it arrives, and only its noun is kept,
// or what it configures; an event that changes no noun wakes nobody; a Snapshot is
// Synced when every wanted kind has been listed in full and the configuration made
// of them, and stays as it is while the API server is gone; a kind of metallb.io
// that the API server does not know is one without objects, until it does; a status
// is written only on top of the very version that was decided on, so that a write
// that succeeded is older than any other noun that is seen later; a status is
// written only while the Lease is held, and what was begun has ended before another
// can have it.
//
// API: https://kubernetes.io/docs/reference/using-api/api-concepts/, Services,
// EndpointSlices, Events and Leases of
// https://kubernetes.io/docs/reference/kubernetes-api/, package api.
// Start reading at Source.
package kube
