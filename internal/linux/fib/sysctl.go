package fib

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// settings make the kernel a router that spreads connections over next hops.
var settings = []struct{ key, value string }{
	// Forward packets at all.
	{"net/ipv4/ip_forward", "1"},
	{"net/ipv6/conf/all/forwarding", "1"},
	// Choose among next hops by addresses and ports, so that one client's
	// connections are spread.
	{"net/ipv4/fib_multipath_hash_policy", "1"},
	{"net/ipv6/fib_multipath_hash_policy", "1"},
	// Skip a next hop whose neighbor entry has failed: packets avoid a node that
	// does not answer ARP before BGP's hold timer notices that it is gone. Groups
	// of next-hop objects do so in any case; this is for multipath routes of others.
	{"net/ipv4/fib_multipath_use_neigh", "1"},
}

// portSettings make the kernel ask a silent neighbor sooner whether it is there:
// after about a second without proof instead of 30, and once a fifth of a second
// for a second instead of thrice in three. A dead node's neighbor entry so fails
// within about three seconds, and its next hop is skipped; a live one answers one
// ARP request a second and more, which costs nothing. base_reachable_time is
// halved to doubled at random by the kernel (RFC 4861 §6.3.2).
var portSettings = []struct{ key, value string }{
	{"base_reachable_time_ms", "1000"},
	{"delay_first_probe_time", "1"},
	{"retrans_time_ms", "200"},
	{"ucast_solicit", "5"},
}

// Tune sets what a router needs in the calling thread's network namespace. A
// setting that is right is not written, so that a read-only /proc/sys with the
// right values will do. All errors are joined; each names its setting.
func Tune() error {
	var errs []error
	for _, s := range settings {
		errs = append(errs, set(s.key, s.value))
	}
	return errors.Join(errs...)
}

// TunePort sets the pace at which dead neighbors on a device are noticed.
func TunePort(device string) error {
	var errs []error
	for _, family := range []string{"ipv4", "ipv6"} {
		for _, s := range portSettings {
			errs = append(errs, set(filepath.Join("net", family, "neigh", device, s.key), s.value))
		}
	}
	return errors.Join(errs...)
}

// set writes a kernel parameter. One that does not exist is passed over: the
// kernel has no IPv6, or no multipath.
func set(key, value string) error {
	path := filepath.Join("/proc/sys", key)
	old, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && strings.TrimSpace(string(old)) == value {
		return nil
	}
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
		return fmt.Errorf("set %s to %s: %w", strings.ReplaceAll(key, "/", "."), value, err)
	}
	return nil
}
