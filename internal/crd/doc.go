// Package crd makes a pharos.Config of the objects of group metallb.io, and says
// of every part that is not in force as it is written what is wrong with it.
//
// It fetches and watches nothing: package kube brings the objects of a cluster,
// package file those of a directory. What a single setting may be is of package
// rule, shared with the ConfigMap's text.
//
//	objects ──read, one by one──► drafts ──settle, one against the others──► *pharos.Config
//	   ▲            │                                │  ▲
//	   │            └──────► []pharos.Problem ◄──────┘  └── the last good version of each
//	metallb.io: IPAddressPool BGPAdvertisement L2Advertisement BGPPeer BFDProfile Community
//
// An object that is wrong hurts only what depends on it. Its last good version, if
// there was one, stays in force; one that never was good is left out. Where two
// objects contradict each other the one that is unchanged since it was accepted
// stands, else the older one, else the first by name; the other one is told of,
// with both places. A Parser that starts anew knows ages and names alone.
//
// What waits for something else (a Secret, a BFDProfile, an alias) is told with
// why.SecretMissing or why.ReferenceMissing, and comes into force when that is
// there, as the objects are parsed again whenever one of them changes.
//
// Invariants: the Config is valid as a whole, whatever the objects say; the same
// objects, in any order, after the same past give the same result; no Problem
// quotes a password; a peer whose password is not known has no session.
//
// Start reading at Parser.Parse.
package crd
