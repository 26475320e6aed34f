package migrate

import (
	"fmt"
	"net/netip"
	"strings"
)

// list joins texts, and not without end.
func list(texts []string) string {
	const most = 8
	if more := len(texts) - most; more > 0 {
		return strings.Join(texts[:most], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(texts, ", ")
}

// services names one Service, or says how many there are.
func services(names []string) string {
	if len(names) == 1 {
		return "Service " + names[0]
	}
	return fmt.Sprintf("%d Services", len(names))
}

// addresses says what a status has.
func addresses(addrs []netip.Addr, pool string) string {
	if len(addrs) == 0 {
		return "no address"
	}
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	if pool == "" {
		return strings.Join(texts, ", ")
	}
	return strings.Join(texts, ", ") + " of pool " + pool
}

// or returns text, or what stands for its absence.
func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// as names an autonomous system.
func as(n uint32) string { return fmt.Sprintf("AS %d", n) }
