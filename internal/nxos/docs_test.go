package nxos

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var updateDocs = flag.Bool("update-docs", false, "write docs/switch.md anew")

// lines are the commands that a grammar has, in the order in which they were added.
func (n *node[T]) lines(before string) (out []string) {
	if n.leaf != nil {
		out = append(out, strings.TrimSpace(before))
	}
	for _, c := range n.next {
		out = append(out, c.lines(before+" "+c.name())...)
	}
	return out
}

// docs/switch.md lists what the switch understands, as its grammars have it.
func TestDocsListTheCommands(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# The switch's commands

` + "`pharos switch run --config FILE`" + ` reads a configuration in NX-OS's language; ` + "`pharos switch exec 'LINE'`" + `, or the prompt of
` + "`pharos switch exec`" + `, executes lines. Words may be cut short where they stay unambiguous; ` + "`?`" + ` says what may come next. This page is
made of the grammars that the switch uses.

## Configuration
`)
	for _, m := range []struct {
		mode  mode
		title string
	}{
		{global, "Global"}, {inInterface, "Under `interface`"}, {inRouter, "Under `router bgp`"}, {inFamily, "Under `address-family` of `router bgp`"},
		{inNeighbor, "Under `neighbor`"}, {inNeighborFamily, "Under `address-family` of a neighbor"},
	} {
		fmt.Fprintf(&b, "\n### %s\n\n", m.title)
		for _, line := range grammar[m.mode].lines("") {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	b.WriteString("\n## Execution\n\n")
	for _, line := range commands.lines("") {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	b.WriteString("\nA `show` line may be piped:\n\n")
	for _, line := range pipeGrammar.lines("") {
		fmt.Fprintf(&b, "    | %s\n", line)
	}
	const page = "../../docs/switch.md"
	if *updateDocs {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Error("docs/switch.md is not what the grammars say: go test ./internal/nxos -run TestDocs -update-docs")
	}
}
