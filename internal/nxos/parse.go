package nxos

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pharoslb/pharos/internal/meant"
)

const (
	// maxErrors is how many errors of one file are reported; what follows the first
	// few is rarely news.
	maxErrors = 100
	// maxLine is the longest line that is read, in octets.
	maxLine = 1024
	// maxLines is how many lines a configuration may have.
	maxLines = 100_000
)

// LineError is what is wrong with one line of a configuration.
type LineError struct {
	Line   int    // counted from 1
	Text   string // the line, without a password
	Reason string
	Hint   string // what would help; may be empty
}

// Errors are all errors of a configuration, by line.
type Errors struct {
	Name string // of the file
	List []LineError
}

// Error tells each error in a paragraph: where, the line, the reason, the hint.
func (e *Errors) Error() string {
	var b strings.Builder
	for i, l := range e.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s:%d: %s", e.Name, l.Line, l.Reason)
		if l.Text != "" {
			fmt.Fprintf(&b, "\n    %s", l.Text)
		}
		if l.Hint != "" {
			fmt.Fprintf(&b, "\n    hint: %s", l.Hint)
		}
	}
	return b.String()
}

// mode is where a configuration line belongs.
type mode uint8

const (
	global mode = iota
	inInterface
	inRouter
	inFamily
	inNeighbor
	inNeighborFamily
)

// parent is the mode that a mode's unknown lines are tried in next.
var parent = map[mode]mode{
	inInterface: global, inRouter: global, inFamily: inRouter, inNeighbor: inRouter, inNeighborFamily: inNeighbor,
}

// where says where a mode's lines belong.
var where = map[mode]string{
	global: "at the top level", inInterface: "under interface", inRouter: "under router bgp",
	inFamily: "under router bgp's address-family", inNeighbor: "under neighbor", inNeighborFamily: "under the neighbor's address-family",
}

// parser is the state of one Parse.
type parser struct {
	config *Config
	errs   []LineError
	line   int
	mode   mode

	iface          *Interface
	neighbor       *Neighbor
	family         *Family
	neighborFamily *NeighborFamily
}

// action does what a line says and returns why it can't be done.
type action func(p *parser, args []string) error

// Parse reads a configuration. The error, if any, is *Errors, with all that is
// wrong; name stands for the file in it.
func Parse(name string, text []byte) (*Config, error) {
	p := &parser{config: &Config{}}
	for line := range strings.Lines(string(text)) {
		p.line++
		if p.line > maxLines {
			p.fail(p.line, "", fmt.Sprintf("the file has more than %d lines", maxLines), "")
			break
		}
		p.read(strings.TrimRight(line, "\r\n"))
		if len(p.errs) >= maxErrors {
			p.fail(p.line, "", "too many errors; the rest of the file was not read", "")
			break
		}
	}
	if len(p.errs) < maxErrors {
		p.check()
	}
	if len(p.errs) > 0 {
		slices.SortStableFunc(p.errs, func(a, b LineError) int { return cmp.Compare(a.Line, b.Line) })
		return nil, &Errors{name, p.errs}
	}
	return p.config, nil
}

func (p *parser) fail(line int, text, reason, hint string) {
	p.errs = append(p.errs, LineError{line, censor(text), reason, hint})
}

// censor hides the password or key of a line that is going to be shown, even if the
// word before it is mistyped.
func censor(text string) string {
	words := tokens(text)
	for i, w := range words {
		if i < len(words)-1 && (isPassword(w) || isKey(w) || meant.Word(w.text, []string{"password", "authentication"}) != "") {
			return text[:w.column] + w.text + " ********"
		}
	}
	return text
}

// isPassword says that a word is "password" or its beginning.
func isPassword(w token) bool {
	return len(w.text) > 1 && strings.HasPrefix("password", strings.ToLower(w.text))
}

// isKey says that a word may be one of those before a key of BFD.
func isKey(w token) bool {
	lower := strings.ToLower(w.text)
	return slices.ContainsFunc([]string{"auth", "key", "hex", "metic"}, func(s string) bool { return strings.HasPrefix(lower, s) })
}

// read works on one line.
func (p *parser) read(line string) {
	text := strings.TrimSpace(line)
	if text == "" || text[0] == '!' {
		return
	}
	if len(text) > maxLine {
		p.fail(p.line, text[:40]+"…", fmt.Sprintf("the line is longer than %d octets", maxLine), "")
		return
	}
	if strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f || r == '\ufffd' }) >= 0 {
		p.fail(p.line, "", "the line has control characters or is not UTF-8 text", "save the file as plain text")
		return
	}
	// The innermost mode that knows the line has it (as on the switch, indentation
	// means nothing). Where none does, the one that understood most tells why.
	var best *SyntaxError
	var bestMode mode
	for m := p.mode; ; m = parent[m] {
		do, args, err := grammar[m].match(text)
		if err == nil {
			p.mode = m
			if err := do(p, args); err != nil {
				reason, hint, _ := strings.Cut(err.Error(), "\n")
				p.fail(p.line, text, reason, hint)
			}
			return
		}
		if best == nil || err.Column > best.Column || err.Column == best.Column && err.Reason != "" && best.Reason == "" {
			best, bestMode = err, m
		}
		if m == global {
			break
		}
	}
	if p.neighbor != nil && strings.HasPrefix(strings.ToLower(text), "remote") {
		p.neighbor.asGiven = true // it is wrong, not missing
	}
	reason, hint := p.explain(text, best, bestMode)
	p.fail(p.line, text, reason, hint)
}

// explain says what is wrong with a line that no open mode knows.
func (p *parser) explain(text string, err *SyntaxError, m mode) (reason, hint string) {
	if err.Fault == Invalid && (err.Column == 0 || err.Reason == "") {
		for other := global; other <= inNeighborFamily; other++ {
			if _, _, err := grammar[other].match(text); err == nil && other != p.mode {
				return fmt.Sprintf("%q does not belong here, %s", tokens(text)[0].text, where[p.mode]), "it belongs " + where[other]
			}
		}
	}
	words := tokens(text)
	if slices.ContainsFunc(words[:len(words)-1], isPassword) {
		// Nothing of the line is quoted: any word may be the key.
		return "the password is not understood", "write password TEXT, without blanks"
	}
	if strings.HasPrefix("bfd", strings.ToLower(words[0].text)) && slices.ContainsFunc(words, isKey) {
		return "the key is not understood", "write authentication keyed-sha1 key-id N key TEXT, without blanks"
	}
	first := strings.ToLower(words[0].text)
	if why := unsupported[first]; why != "" && err.Column == 0 {
		return fmt.Sprintf("%q is not supported", words[0].text), why
	}
	switch {
	case err.Fault == Incomplete:
		reason = "the line is incomplete"
	case err.Fault == Ambiguous:
		reason = fmt.Sprintf("%q is ambiguous", err.Word)
	case err.Reason != "":
		return err.Reason, ""
	case err.Column == 0 && first == "no" && len(words) > 1:
		return "there is nothing to undo in a configuration file but no shutdown and no switchport", "leave the line out"
	default:
		if word := meant.Word(err.Word, p.candidates(err)); word != "" {
			return fmt.Sprintf("%q is not understood", err.Word), fmt.Sprintf("did you mean %s?", word)
		}
		reason = fmt.Sprintf("%q is not understood %s", err.Word, where[m])
	}
	if len(err.Expected) > 0 {
		hint = "expected " + strings.Join(err.Expected, ", ")
	}
	return reason, hint
}

// candidates are the words that could have been meant: those expected, or at a
// line's beginning those of all open modes.
func (p *parser) candidates(err *SyntaxError) []string {
	if err.Column > 0 {
		return err.Expected
	}
	words := grammar[global].expected("")
	for m := p.mode; m != global; m = parent[m] {
		words = append(words, grammar[m].expected("")...)
	}
	return words
}

// check looks for what is wrong between lines.
func (p *parser) check() {
	c := p.config
	p.checkInterfaces()
	b := c.BGP
	if b == nil {
		return
	}
	if id := c.routerID(); !id.IsValid() || id.IsUnspecified() {
		p.fail(b.line, "", "router bgp has no router ID", "add router-id A.B.C.D, or an interface with an IPv4 address")
	}
	for _, n := range b.Neighbors {
		p.checkNeighbor(n)
	}
}

// checkInterfaces finds addresses and networks that two interfaces claim.
func (p *parser) checkInterfaces() {
	type claim struct {
		prefix netip.Prefix
		iface  *Interface
	}
	var claims []claim
	for i := range p.config.Interfaces {
		iface := &p.config.Interfaces[i]
		for _, a := range iface.Addrs {
			for _, other := range claims {
				same := other.iface == iface
				if a.Addr() == other.prefix.Addr() || !same && a.Overlaps(other.prefix) {
					p.fail(iface.line, "", fmt.Sprintf("%v of %s overlaps %v of %s", a, iface.Name, other.prefix, other.iface.Name), "")
				}
			}
			claims = append(claims, claim{a, iface})
		}
	}
}

func seconds(s string) time.Duration { return time.Duration(atoi(s)) * time.Second }
