package find

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Subject is what a query is asked of.
type Subject interface {
	// Text is what bare words are looked for in.
	Text() string
	// Field is a field's value; ok is false where the subject has none of that name.
	Field(name string) (value string, ok bool)
	// Has reports whether the subject has a thing: an alarm, a note.
	Has(thing string) bool
}

// Query is a question to a [Subject]. The zero value matches everything.
type Query struct {
	match  func(Subject) bool
	fields []string
}

// Match reports whether the subject is what the query asks for.
func (q Query) Match(s Subject) bool { return q.match == nil || q.match(s) }

// Uses reports whether the query looks at a field whose name begins so; has:THING counts as one.
func (q Query) Uses(prefix string) bool {
	for _, f := range q.fields {
		if strings.HasPrefix(f, prefix) {
			return true
		}
	}
	return false
}

// maxDepth is how many parentheses may stand within each other.
const maxDepth = 50

// Parse reads a query. An error says what is wrong and where.
func Parse(text string) (Query, error) {
	p := parser{tokens: tokens(text)}
	if len(p.tokens) == 0 {
		return Query{}, nil
	}
	match, err := p.either(0)
	if err == nil && p.at < len(p.tokens) {
		err = fmt.Errorf("%q has no opening parenthesis", p.tokens[p.at].text)
	}
	if err != nil {
		return Query{}, err
	}
	return Query{match, p.fields}, nil
}

// token is a word of a query. A quoted one is text, whatever it says.
type token struct {
	text   string
	quoted bool
}

// tokens splits a query at spaces and parentheses outside of quotes. A quote that is not closed goes to the end.
func tokens(text string) []token {
	var all []token
	var word strings.Builder
	quoted, inside := false, false
	end := func() {
		if word.Len() > 0 || quoted {
			all = append(all, token{word.String(), quoted})
		}
		word.Reset()
		quoted = false
	}
	for _, r := range text {
		switch {
		case r == '"':
			inside = !inside
			quoted = quoted || word.Len() == 0
		case inside:
			word.WriteRune(r)
		case r == '(' || r == ')':
			end()
			all = append(all, token{text: string(r)})
		case unicode.IsSpace(r):
			end()
		default:
			word.WriteRune(r)
		}
	}
	end()
	return all
}

type parser struct {
	tokens []token
	at     int
	fields []string
}

// next takes the next token if it is that word.
func (p *parser) next(word string) bool {
	if p.at < len(p.tokens) && !p.tokens[p.at].quoted && strings.EqualFold(p.tokens[p.at].text, word) {
		p.at++
		return true
	}
	return false
}

func (p *parser) either(depth int) (func(Subject) bool, error) {
	left, err := p.both(depth)
	for err == nil && p.next("or") {
		var right func(Subject) bool
		before := left
		if right, err = p.both(depth); err == nil {
			left = func(s Subject) bool { return before(s) || right(s) }
		}
	}
	return left, err
}

func (p *parser) both(depth int) (func(Subject) bool, error) {
	left, err := p.one(depth)
	for err == nil {
		also := p.next("and")
		if p.at == len(p.tokens) && !also {
			break
		}
		if t := p.peek(); !also && !t.quoted && (t.text == ")" || strings.EqualFold(t.text, "or")) {
			break
		}
		var right func(Subject) bool
		before := left
		if right, err = p.one(depth); err == nil {
			left = func(s Subject) bool { return before(s) && right(s) }
		}
	}
	return left, err
}

func (p *parser) peek() token {
	if p.at < len(p.tokens) {
		return p.tokens[p.at]
	}
	return token{}
}

func (p *parser) one(depth int) (func(Subject) bool, error) {
	switch {
	case p.at == len(p.tokens):
		return nil, fmt.Errorf("it ends where a word is wanted")
	case depth > maxDepth:
		return nil, fmt.Errorf("more than %d parentheses within each other", maxDepth)
	case p.next("not"):
		inner, err := p.one(depth + 1)
		return func(s Subject) bool { return !inner(s) }, err
	case p.next("("):
		inner, err := p.either(depth + 1)
		if err == nil && !p.next(")") {
			err = fmt.Errorf("a parenthesis is not closed")
		}
		return inner, err
	}
	t := p.tokens[p.at]
	if !t.quoted && (t.text == ")" || strings.EqualFold(t.text, "or") || strings.EqualFold(t.text, "and")) {
		return nil, fmt.Errorf("%q where a word is wanted", t.text)
	}
	p.at++
	return p.term(t), nil
}

// operators are those between a field and a value, the longer ones first.
var operators = []string{"!=", "<=", ">=", ":", "=", "<", ">"}

// term is a word, or a field with an operator and a value.
func (p *parser) term(t token) func(Subject) bool {
	if !t.quoted {
		if i := strings.IndexAny(t.text, "!<>=:"); i > 0 {
			for _, op := range operators {
				if value, found := strings.CutPrefix(t.text[i:], op); found {
					return p.field(strings.ToLower(t.text[:i]), op, value)
				}
			}
		}
	}
	word := strings.ToLower(t.text)
	return func(s Subject) bool { return strings.Contains(strings.ToLower(s.Text()), word) }
}

func (p *parser) field(name, op, value string) func(Subject) bool {
	if name == "has" && op == ":" {
		p.fields = append(p.fields, "has:"+strings.ToLower(value))
		return func(s Subject) bool { return s.Has(strings.ToLower(value)) }
	}
	p.fields = append(p.fields, name)
	return func(s Subject) bool {
		have, ok := s.Field(name)
		if !ok {
			return op == "!="
		}
		return compare(have, op, value)
	}
}

// compare compares numbers as numbers and text as text, whatever its case; ":" also finds parts of a text.
func compare(have, op, want string) bool {
	have, want = strings.ToLower(have), strings.ToLower(want)
	order := strings.Compare(have, want)
	a, errA := strconv.ParseFloat(have, 64)
	b, errB := strconv.ParseFloat(want, 64)
	if errA == nil && errB == nil {
		switch {
		case a < b:
			order = -1
		case a > b:
			order = 1
		default:
			order = 0
		}
	}
	switch op {
	case ":":
		return strings.Contains(have, want)
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}
