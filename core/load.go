package core

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/BurntSushi/toml"
)

// Layer is a TOML text that changes settings of the layers before it.
type Layer struct {
	Name string // of its file, for errors
	Text []byte
}

const (
	maxLayer    = 64 << 10 // bytes; what we read is written by hand
	maxKeys     = 1000     // keys and table headers of one layer
	maxNesting  = 8        // brackets within each other, and parts of a dotted key
	maxProblems = 10       // told of one file; finding lines takes a while
)

// Load puts layers over Default, the later over the earlier: a preset, then config.toml, then flags as
// "key=value", and validates the result. A key that no Config has is refused with its line. All
// problems are reported at once.
func Load(layers []Layer, flags []string) (Config, error) {
	c := Default()
	var problems []error
	for _, l := range layers {
		problems = append(problems, l.apply(&c)...)
	}
	for _, f := range flags {
		name, value, found := strings.Cut(f, "=")
		if !found {
			problems = append(problems, fmt.Errorf("--set %s: no value, want key=value", f))
		} else if err := c.Set(strings.TrimSpace(name), value); err != nil {
			problems = append(problems, fmt.Errorf("--set %w", err))
		}
	}
	if len(problems) == 0 {
		problems = append(problems, c.Validate())
	}
	return c, errors.Join(problems...)
}

// apply changes what the layer sets.
func (l Layer) apply(c *Config) []error {
	if len(l.Text) > maxLayer {
		return []error{fmt.Errorf("%s: %d bytes, want a configuration of at most %d", l.Name, len(l.Text), maxLayer)}
	}
	if err := l.bounded(); err != nil {
		return []error{err}
	}
	var tree map[string]any
	if _, err := toml.Decode(string(l.Text), &tree); err != nil {
		return []error{l.syntax(err)}
	}
	var problems []error
	for _, section := range sortedKeys(tree) {
		problems = append(problems, l.applySection(c, section, tree[section])...)
		if len(problems) > maxProblems {
			return append(problems[:maxProblems], fmt.Errorf("%s: and more", l.Name))
		}
	}
	return problems
}

func (l Layer) applySection(c *Config, section string, value any) []error {
	switch v := value.(type) {
	case map[string]any:
		if section == "reward" {
			return []error{l.at([]any{section}, "reward: want [[reward]], one table for each aspect")}
		}
		return l.applyTable(c, []any{section}, section+".", v)
	case []map[string]any:
		return l.applyList(c, section, v)
	case []any: // reward = [{...}, {...}]
		return l.applyList(c, section, tablesOf(v))
	}
	return []error{l.at([]any{section}, c.unknown(section))}
}

// tablesOf takes an inline list for tables; what is none becomes an empty one.
func tablesOf(list []any) []map[string]any {
	tables := make([]map[string]any, len(list))
	for i, entry := range list {
		tables[i], _ = entry.(map[string]any)
	}
	return tables
}

// applyList is for [[reward]]: the layer's aspects take the place of those before.
func (l Layer) applyList(c *Config, section string, tables []map[string]any) (problems []error) {
	if section != "reward" {
		return []error{l.at([]any{section}, fmt.Sprintf("[[%s]]: want [%s], or [[reward]] for an aspect", section, section))}
	}
	before := c.Reward
	c.Reward = make([]Reward, len(tables))
	for i, table := range tables {
		aspect, _ := table["aspect"].(string)
		c.Reward[i] = defaultReward()
		if known := slices.IndexFunc(before, func(r Reward) bool { return r.Aspect == aspect }); known >= 0 {
			c.Reward[i] = before[known]
		}
		c.Reward[i].Aspect = aspect
	}
	for i, table := range tables {
		one := Config{Reward: c.Reward[i : i+1]}
		problems = append(problems, l.applyTable(&one, []any{section, i}, "reward."+c.Reward[i].Aspect+".", table)...)
	}
	return problems
}

// applyTable sets the keys of one table, whose settings' names begin with prefix.
func (l Layer) applyTable(c *Config, path []any, prefix string, table map[string]any) (problems []error) {
	fields := c.fields()
	for _, key := range sortedKeys(table) {
		at := append(slices.Clone(path), key)
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == prefix+key })
		if i < 0 {
			problems = append(problems, l.at(at, c.unknown(prefix+key)))
			if len(problems) > maxProblems {
				break
			}
		} else if err := assign(fields[i].value, table[key]); err != nil {
			problems = append(problems, l.at(at, fmt.Sprintf("%s: %v", prefix+key, err)))
		}
	}
	return problems
}

func sortedKeys(table map[string]any) []string {
	keys := make([]string, 0, len(table))
	for k := range table {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// syntax is the error of a text that is no TOML.
func (l Layer) syntax(err error) error {
	var parse toml.ParseError
	if !errors.As(err, &parse) {
		return fmt.Errorf("%s: %w", l.Name, err)
	}
	message := parse.Message
	if message == "" {
		message = strings.TrimPrefix(err.Error(), "toml: ")
	}
	return fmt.Errorf("%s:%d: %s", l.Name, parse.Position.Line, message)
}

// at is an error with the line of a path into the text: keys, and indices of lists.
func (l Layer) at(path []any, message string) error {
	return fmt.Errorf("%s:%d: %s", l.Name, l.line(path), message)
}

// line finds where a path is set, counting from 1, whatever way it is written: it is behind the longest
// head of the text that does not have it. A head that ends within a statement does not parse.
func (l Layer) line(path []any) int {
	lines := bytes.SplitAfter(l.Text, []byte("\n"))
	head := func(n int) (has, parses bool) {
		var tree map[string]any
		if _, err := toml.Decode(string(bytes.Join(lines[:n], nil)), &tree); err != nil {
			return false, false
		}
		return reaches(tree, path), true
	}
	n := sort.Search(len(lines), func(n int) bool {
		for ; n < len(lines); n++ {
			if has, parses := head(n); parses {
				return has
			}
		}
		return true
	})
	for n = max(n-1, 0); n > 0; n-- { // n lines may end within a statement
		if _, parses := head(n); parses {
			break
		}
	}
	return n + 1
}

// reaches reports whether a tree has something at a path.
func reaches(tree any, path []any) bool {
	if len(path) == 0 {
		return true
	}
	switch t := tree.(type) {
	case map[string]any:
		key, ok := path[0].(string)
		below, found := t[key]
		return ok && found && reaches(below, path[1:])
	case []any:
		i, ok := path[0].(int)
		return ok && i < len(t) && reaches(t[i], path[1:])
	case []map[string]any:
		i, ok := path[0].(int)
		return ok && i < len(t) && reaches(t[i], path[1:])
	}
	return false
}
