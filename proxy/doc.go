// Package proxy is the role that stands in kube-proxy's place on a node: it
// keeps the node's data plane at what the newest Snapshot asks for, answers the
// health checks of Services, and sees to the kernel settings all that needs.
//
// It decides nothing about packets, package dataplane does, and programs
// nothing itself: drivers do. It knows neither Kubernetes nor the kernel.
//
//	Source ─ Changed ─► Reconcile ─► Planner ─► State ─┬─► Driver.Apply ─► kernel ··► Tell ─► speaker
//	                        ▲                          └─► health check ports
//	        Driver.Verify ──┘ now and then; retries after errors
//
// Invariants: nothing is programmed before the cluster has been seen in full;
// while the source is silent, the data plane stays as it was; when the role
// ends, the kernel keeps what it has, so that a restart costs no packet; nothing
// is told of the kernel that the driver has not taken.
//
// Start reading at Proxy.
package proxy
