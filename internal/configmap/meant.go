package configmap

import (
	"fmt"
	"strings"
)

// meant is the hint for a word that is not known: the known one that resembles
// it, or "". Where there are too many problems already, or too many words, it
// does not look.
func (p *parser) meant(word string, known []string) string {
	if len(p.problems) >= maxProblems || len(known) > 1000 {
		return ""
	}
	plain := func(s string) string { return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(s)) }
	word = plain(word[:min(len(word), 64)])
	best, distance := "", 3 // two slips are likely a slip, three another word
	for _, k := range known {
		if d := edits(word, plain(k[:min(len(k), 64)])); d < distance && d <= (len(k)+1)/2 {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %s?", best)
}

// edits counts the insertions, deletions and replacements of bytes that make a
// of b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
