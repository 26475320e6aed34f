package port

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
)

// VRF fails unless the calling thread's network namespace has a VRF of that name
// (Documentation/networking/vrf). The error says what is there instead.
func VRF(name string) error {
	l, err := netlink.LinkByName(name)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		return fmt.Errorf("this node has no VRF %q", name)
	case err != nil:
		return fmt.Errorf("look for VRF %q: %w", name, err)
	case l.Type() != "vrf":
		return fmt.Errorf("%q is no VRF of this node, but a network device of type %s", name, l.Type())
	}
	return nil
}
