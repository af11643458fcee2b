package find

import (
	"regexp"
	"strings"
)

// Pattern finds names: a glob where it has * or ? and no other sign of a regular expression, else a regular expression,
// and where that is none, the text itself. Case does not count.
type Pattern struct {
	expression *regexp.Regexp
	text       string
}

// maxExpression is how many bytes of text may be an expression: matching takes as long as both lengths multiplied.
const maxExpression = 1000

// NewPattern returns the pattern of a text; that of "" matches everything, a very long one what contains it.
func NewPattern(text string) Pattern {
	p := Pattern{text: strings.ToLower(text)}
	if text == "" || len(text) > maxExpression {
		return p
	}
	expression := text
	if strings.ContainsAny(text, "*?") && !strings.ContainsAny(text, `.[](){}|^$\+`) {
		quoted := regexp.QuoteMeta(text)
		expression = "^" + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(quoted) + "$"
	}
	p.expression, _ = regexp.Compile("(?i)" + expression) // nil: the text itself
	return p
}

// Match reports whether a name is what is looked for.
func (p Pattern) Match(name string) bool {
	if p.expression != nil {
		return p.expression.MatchString(name)
	}
	return strings.Contains(strings.ToLower(name), p.text)
}
