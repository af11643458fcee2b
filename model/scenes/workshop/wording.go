package workshop

import (
	"slices"
	"strings"

	"focusnfix/model/scenes"
)

// wording is a way to say And, and for which two entities it makes sense.
type wording struct {
	words string
	share float64 // of the captions with And for which it makes sense, before the shares are made to sum to 1
	fits  func(first, second scenes.Entity) bool
}

func always(_, _ scenes.Entity) bool { return true }

func handy(first, second scenes.Entity) bool {
	return first.Kind == scenes.Person && second.Kind == scenes.Object
}

// littleWords are those that people type between two things. A scene does not show them otherwise than
// "and": the model shall know what they come with, and draw both.
var littleWords = []wording{
	{"and", 0.45, always},
	{"with", 0.25, always},
	{"near", 0.12, always},
	{"on", 0.06, always},
	{"holding", 0.08, handy},
	{"wearing", 0.04, handy},
}

// caption says a prompt; with wordings, And is one of them by the random number u in [0,1).
func caption(p scenes.Prompt, wordings []wording, u float64) string {
	text := p.String()
	if len(wordings) == 0 || p.Second == "" || p.Relation != scenes.And {
		return text
	}
	first, second := scenes.Entities[scenes.EntityIndex(p.First)], scenes.Entities[scenes.EntityIndex(p.Second)]
	sum := 0.0
	for _, w := range wordings {
		if w.fits(first, second) {
			sum += w.share
		}
	}
	for _, w := range wordings {
		if !w.fits(first, second) {
			continue
		}
		if u -= w.share / sum; u < 0 {
			return strings.Replace(text, " and ", " "+w.words+" ", 1)
		}
	}
	return text
}

// captionsOf lists all that the recipe says for a prompt, what the grammar says first.
func (p *pretraining) captionsOf(prompt scenes.Prompt) []string {
	captions := []string{prompt.String()}
	for u := 0.0; u < 1; u += 0.01 {
		if c := caption(prompt, p.recipe.data.wordings, u); !slices.Contains(captions, c) {
			captions = append(captions, c)
		}
	}
	return captions
}
