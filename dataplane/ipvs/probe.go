package ipvs

import (
	"errors"
	"fmt"
	"os/exec"

	"github.com/vishvananda/netlink"
)

// Probe reports which feature of the kernel, or which program, is missing for the
// driver, or nil. The kernel may load modules for it.
func Probe(options Options) error {
	if err := probeIPVS(); err != nil {
		return err
	}
	k := newKernel(options.NetNS)
	defer k.sets.close()
	if err := k.sets.probe(); err != nil {
		return fmt.Errorf("the kernel has no sets (modules ip_set, ip_set_hash_ipport and others): %w", err)
	}
	var missing []error
	for _, variant := range variants(false) {
		_, err := exec.LookPath(variant + "-restore")
		if err == nil {
			return nil
		}
		missing = append(missing, err)
	}
	return fmt.Errorf("there is no program to write rules with: %w", errors.Join(missing...))
}

// probeIPVS asks for the family by which IPVS is spoken to; the kernel loads its
// module where it can.
func probeIPVS() error {
	if _, err := netlink.GenlFamilyGet("IPVS"); err != nil {
		return fmt.Errorf("the kernel has no IPVS (module ip_vs): %w", err)
	}
	return nil
}
