package configmap

import "github.com/pharoslb/pharos/internal/meant"

// meant is the hint for a word that is not known: the known one that resembles
// it, or "". Where there are too many problems already it does not look.
func (p *parser) meant(word string, known []string) string {
	if len(p.problems) >= maxProblems {
		return ""
	}
	if k := meant.Word(word, known); k != "" {
		return "did you mean " + k + "?"
	}
	return ""
}
