package wire

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxNameLen is the longest host or domain name sent, in octets: a label's limit, well within a capability.
const maxNameLen = 63

// FQDN tells the sender's host and domain name, for display only (draft-walton-bgp-hostname-capability §3). Either may
// be empty; names longer than 63 octets are cut at a character's boundary.
func FQDN(host, domain string) Capability {
	host, domain = cut(host, maxNameLen), cut(domain, maxNameLen)
	return Capability{CapFQDN, slices.Concat([]byte{byte(len(host))}, []byte(host), []byte{byte(len(domain))}, []byte(domain))}
}

// FQDN returns the names of a host name capability, fit for a log: what does not print is replaced. The draft leaves
// malformed ones open; as the names are for display they are ignored, and ok is false.
func (c Capability) FQDN() (host, domain string, ok bool) {
	if c.Code != CapFQDN {
		return "", "", false
	}
	v := c.Value
	var names [2]string
	for i := range names {
		if len(v) == 0 || int(v[0]) > len(v)-1 {
			return "", "", false
		}
		names[i], v = printable(v[1:1+v[0]]), v[1+v[0]:]
	}
	return names[0], names[1], len(v) == 0
}

// FQDN returns the names of the host name capability, the first well-formed one if there are several.
func (o *Open) FQDN() (host, domain string, ok bool) {
	for _, c := range o.Capabilities {
		if host, domain, ok = c.FQDN(); ok {
			return host, domain, true
		}
	}
	return "", "", false
}

// cut shortens a text to at most n octets, at a character's boundary.
func cut(text string, n int) string {
	for len(text) > n {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}

// printable is a peer's text with invalid UTF-8 and characters that do not print replaced.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, string(b))
}
