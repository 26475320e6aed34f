package bgp

import (
	"errors"
	"fmt"
	"net/netip"
)

// validateRemote says what is wrong with who the peer is.
func (c *Config) validateRemote() error {
	if c.RemotePrefix.IsValid() {
		return c.validateRemotePrefix()
	}
	if c.Unnumbered() {
		if a := c.LocalAddr; a.IsValid() && !linkLocal6(a) {
			return fmt.Errorf("local address %v of an unnumbered peer is not IPv6 link-local", a)
		}
		return nil
	}
	switch a := c.RemoteAddr.Unmap(); {
	case !a.IsValid(), a.IsUnspecified(), a.IsMulticast():
		return fmt.Errorf("remote address %v is not a host's", c.RemoteAddr)
	case linkLocal6(a) && a.Zone() == "":
		return fmt.Errorf("remote address %v is link-local: the interface is missing, as in %v%%eth0", a, a)
	case c.Interface != "" && (!linkLocal6(a) || a.Zone() != c.Interface):
		return fmt.Errorf("both remote address %v and interface %q say who the peer is", a, c.Interface)
	case c.LocalAddr.IsValid() && c.LocalAddr.Unmap().Is4() != a.Is4():
		return fmt.Errorf("local address %v and remote address %v are of different families", c.LocalAddr, a)
	}
	return nil
}

func (c *Config) validateRemotePrefix() error {
	p := c.RemotePrefix
	switch {
	case c.RemoteAddr.IsValid():
		return fmt.Errorf("both remote address %v and remote prefix %v say who the peer is", c.RemoteAddr, p)
	case c.Interface != "":
		return fmt.Errorf("both remote prefix %v and interface %q say who the peer is", p, c.Interface)
	case p.Addr().Is4In6(), p.Addr().IsMulticast():
		return fmt.Errorf("remote prefix %v is not one of hosts", p)
	case p != p.Masked():
		return fmt.Errorf("remote prefix %v has host bits: %v is meant", p, p.Masked())
	case c.LocalAddr.IsValid() && c.LocalAddr.Unmap().Is4() != p.Addr().Is4():
		return fmt.Errorf("local address %v and remote prefix %v are of different families", c.LocalAddr, p)
	case c.RemotePort != 0:
		return errors.New("remote port of a prefix, whose hosts are never dialed")
	}
	return nil
}

// who is the peer's address, prefix or interface, for the log.
func (c *Config) who() string {
	switch {
	case c.RemotePrefix.IsValid():
		return c.RemotePrefix.String()
	case c.Unnumbered():
		return c.Interface
	}
	return c.RemoteAddr.String()
}

// over4 says if the session runs over IPv4.
func (c *Config) over4() bool {
	if c.RemotePrefix.IsValid() {
		return c.RemotePrefix.Addr().Is4()
	}
	return c.RemoteAddr.Unmap().Is4()
}

func linkLocal6(a netip.Addr) bool { return a.Is6() && !a.Is4In6() && a.IsLinkLocalUnicast() }
