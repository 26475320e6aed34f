// Package kernel holds the tests of the whole product on a kernel that has IPVS,
// where the machine's own has none.
//
// It has no code of its own. It is apart from package e2e because its lab takes one
// processor as long as it comes up, and because it needs more time than all of
// e2e's together where a machine is busy.
//
//	TestWalkthroughOnIPVS ──► pharos lab up --kernel uml ──► linux.uml: the whole lab
//	                      ──► pharos lab exec NODE ipvsadm -ln, and what else step 9 shows
//
// Invariant: what is asserted is what ipvsadm, ip, the switch and the client show.
//
// Start reading at TestWalkthroughOnIPVS.
package kernel
