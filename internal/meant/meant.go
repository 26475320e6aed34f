// Package meant guesses which known word a mistyped one was meant to be.
//
// It knows no language: callers bring the words that are valid in the place.
// Start reading at Word.
package meant

import "strings"

// Lengths beyond which a comparison is not worth its time, whoever sent the
// word: in bytes, and in known words.
const (
	longest = 64
	most    = 1000
)

// Word returns the known word that is at most two slips (a letter inserted,
// removed or changed) from the one given, and no more slips than half of its
// letters, or "". Case, hyphens and underscores don't count. Of several
// the closest wins, of equally close ones the first.
func Word(word string, known []string) string {
	if len(known) > most {
		return ""
	}
	word = plain(word)
	best, distance := "", 3
	for _, k := range known {
		if d := slips(word, plain(k)); d < distance && d <= (len(k)+1)/2 {
			best, distance = k, d
		}
	}
	return best
}

func plain(s string) string {
	return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(s[:min(len(s), longest)]))
}

// slips counts the insertions, removals and changes of bytes that make a of b.
func slips(a, b string) int {
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
