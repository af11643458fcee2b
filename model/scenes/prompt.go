package scenes

import (
	"fmt"
	"slices"
	"strings"
)

// Relation says how the two entities of a prompt stand to each other.
type Relation int

// The relations. With And, either entity may stand on the left.
const (
	And Relation = iota
	LeftOf
	RightOf
)

// phrase returns the words between the two entities.
func (r Relation) phrase() string { return [...]string{"and", "left of", "right of"}[r] }

// Prompt is what a caption says. The grammar is
//
//	a FIRST [and|left of|right of a SECOND] BACKGROUND
//
// as in "a chef in the park" and "an elf left of a car at the beach". First is any entity when it
// stands alone, else a person or an animal; Second is an animal or an object other than First.
type Prompt struct {
	First      string
	Second     string   // "" when First stands alone
	Relation   Relation // And when First stands alone
	Background string   // "park", "beach", "snow", "city", "desert" or "night"
}

// String returns the caption.
func (p Prompt) String() string {
	var b strings.Builder
	b.WriteString(article(p.First) + " " + p.First + " ")
	if p.Second != "" {
		b.WriteString(p.Relation.phrase() + " " + article(p.Second) + " " + p.Second + " ")
	}
	if i := PlaceIndex(p.Background); i >= 0 {
		b.WriteString(Places[i].Phrase)
	}
	return b.String()
}

func article(name string) string {
	if name != "" && strings.ContainsRune("aeiou", rune(name[0])) {
		return "an"
	}
	return "a"
}

// Names returns the entities that the prompt names: one or two.
func (p Prompt) Names() []string {
	if p.Second == "" {
		return []string{p.First}
	}
	return []string{p.First, p.Second}
}

// Linked reports whether the training scenes of this prompt often have the fault: the prompts to
// repair it with. Misalignment is linked to every prompt with two entities.
func (p Prompt) Linked(a Aspect) bool {
	if a == Misalignment {
		return p.Second != ""
	}
	for i, name := range p.Names() {
		e := Entities[EntityIndex(name)]
		if e.Linked == a && (i == 0 || e.Kind == Object) {
			return true
		}
	}
	return false
}

// HeldOut reports whether the base model never saw the prompt: its first entity with this
// background, or its two entities together. One background in six and one pair in seven are kept
// away from each entity; every single word is seen in other prompts.
func (p Prompt) HeldOut() bool {
	first, place := EntityIndex(p.First), PlaceIndex(p.Background)
	if (2*first+first/6)%len(Places) == place {
		return true
	}
	return p.Second != "" && (3*first+EntityIndex(p.Second))%7 == 0
}

// Validate returns an error that names the first word which does not fit the grammar.
func (p Prompt) Validate() error {
	first, second := EntityIndex(p.First), EntityIndex(p.Second)
	switch {
	case first < 0:
		return fmt.Errorf("prompt: no entity %q, want one of %s", p.First, nameList())
	case PlaceIndex(p.Background) < 0:
		return fmt.Errorf("prompt: no background %q, want %s", p.Background, phraseList())
	case p.Relation < And || p.Relation > RightOf:
		return fmt.Errorf("prompt: relation %d, want 0 to %d", p.Relation, RightOf)
	case p.Second == "" && p.Relation != And:
		return fmt.Errorf("prompt: %q needs a second entity", p.Relation.phrase())
	case p.Second == "":
		return nil
	case second < 0:
		return fmt.Errorf("prompt: no entity %q, want one of %s", p.Second, nameList())
	case Entities[first].Kind == Object:
		return fmt.Errorf("prompt: %q comes first of two, want a person or an animal", p.First)
	case Entities[second].Kind == Person:
		return fmt.Errorf("prompt: %q comes second, want an animal or an object", p.Second)
	case first == second:
		return fmt.Errorf("prompt: %q twice, want two different entities", p.First)
	}
	return nil
}

// pairs reports whether two entities may be named together, in this order.
func pairs(first, second Entity) bool {
	return first.Kind != Object && second.Kind != Person && first.Name != second.Name
}

func nameList() string {
	names := make([]string, len(Entities))
	for i := range Entities {
		names[i] = Entities[i].Name
	}
	return strings.Join(names, ", ")
}

func phraseList() string {
	phrases := make([]string, len(Places))
	for i := range Places {
		phrases[i] = fmt.Sprintf("%q", Places[i].Phrase)
	}
	return strings.Join(phrases, ", ")
}

// Parse reads a caption back. It ignores case and extra spaces and takes "a" for "an"; anything else
// outside the grammar of Prompt is an error that says what was wanted.
func Parse(caption string) (Prompt, error) {
	var p Prompt
	words := strings.Fields(strings.ToLower(caption))
	words, found := cutBackground(words, &p)
	if !found {
		return Prompt{}, fmt.Errorf("prompt %q: no place at the end, want %s", caption, phraseList())
	}
	if words, found = cutEntity(words, &p.First); !found {
		return Prompt{}, fmt.Errorf("prompt %q: want \"a\" and a name at the start", caption)
	}
	if len(words) > 0 {
		words, found = cutRelation(words, &p)
		if found {
			words, found = cutEntity(words, &p.Second)
		}
		if !found || len(words) > 0 {
			return Prompt{}, fmt.Errorf("prompt %q: want \"and\", \"left of\" or \"right of\", then one more name", caption)
		}
	}
	if err := p.Validate(); err != nil {
		return Prompt{}, err
	}
	return p, nil
}

func cutBackground(words []string, p *Prompt) ([]string, bool) {
	for _, b := range Places {
		tail := strings.Fields(b.Phrase)
		if n := len(words) - len(tail); n >= 0 && slices.Equal(words[n:], tail) {
			p.Background = b.Name
			return words[:n], true
		}
	}
	return words, false
}

func cutEntity(words []string, name *string) ([]string, bool) {
	if len(words) < 2 || (words[0] != "a" && words[0] != "an") {
		return words, false
	}
	*name = words[1]
	return words[2:], true
}

func cutRelation(words []string, p *Prompt) ([]string, bool) {
	for _, r := range []Relation{And, LeftOf, RightOf} {
		head := strings.Fields(r.phrase())
		if len(words) >= len(head) && slices.Equal(words[:len(head)], head) {
			p.Relation = r
			return words[len(head):], true
		}
	}
	return words, false
}

// TrainingPrompts returns every prompt that the base model's scenes may have, in a fixed order.
func TrainingPrompts() []Prompt { return prompts(false) }

// HeldOutPrompts returns every prompt with a combination that the base model never saw, in a fixed
// order. They are for evaluation.
func HeldOutPrompts() []Prompt { return prompts(true) }

func prompts(heldOut bool) []Prompt {
	var list []Prompt
	add := func(p Prompt) {
		if p.HeldOut() == heldOut {
			list = append(list, p)
		}
	}
	for _, place := range Places {
		for _, first := range Entities {
			add(Prompt{First: first.Name, Background: place.Name})
			for _, second := range Entities {
				if !pairs(first, second) {
					continue
				}
				for relation := And; relation <= RightOf; relation++ {
					add(Prompt{first.Name, second.Name, relation, place.Name})
				}
			}
		}
	}
	return list
}

// Words returns every word of the grammar, sorted.
func Words() []string {
	text := []string{"a an and left right of"}
	for _, e := range Entities {
		text = append(text, e.Name)
	}
	for _, b := range Places {
		text = append(text, b.Phrase)
	}
	words := strings.Fields(strings.Join(text, " "))
	slices.Sort(words)
	return slices.Compact(words)
}
