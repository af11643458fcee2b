package core

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Set changes one setting from text, as a command line or a screen has it: "region.weight" or
// "reward.violence.threshold". Words of a list are separated by commas. It does not validate.
func (c *Config) Set(name, text string) error {
	all := c.fields()
	i := slices.IndexFunc(all, func(f field) bool { return f.name == name })
	if i < 0 {
		return errors.New(c.unknown(name))
	}
	value, err := parseValue(all[i].value, strings.TrimSpace(text))
	if err == nil {
		err = assign(all[i].value, value)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// unknown says that there is no key of a name, and which was perhaps meant.
func (c *Config) unknown(name string) string {
	if aspect, key, _ := strings.Cut(strings.TrimPrefix(name, "reward."), "."); strings.HasPrefix(name, "reward.") {
		known := slices.ContainsFunc(c.Reward, func(r Reward) bool { return r.Aspect == aspect })
		if !known && slices.ContainsFunc(rules, func(r rule) bool { return r.name == "reward."+key }) {
			return fmt.Sprintf("%s: no aspect %q here, want %s", name, aspect, strings.Join(c.aspects(), ", "))
		}
	}
	var names []string
	for _, f := range c.fields() {
		names = append(names, f.name)
	}
	if best := Closest(name, names); best != "" {
		return fmt.Sprintf("%s: no such key, did you mean %s?", name, best)
	}
	return name + ": no such key"
}

func (c *Config) aspects() []string {
	var names []string
	for _, r := range c.Reward {
		names = append(names, r.Aspect)
	}
	return names
}

// parseValue reads a setting's text as TOML would type it.
func parseValue(field reflect.Value, text string) (any, error) {
	switch field.Interface().(type) {
	case bool:
		v, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("%q, want true or false", text)
		}
		return v, nil
	case int:
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q, want a whole number", text)
		}
		return v, nil
	case float64:
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("%q, want a number", text)
		}
		return v, nil
	case []string:
		words := []any{}
		for word := range strings.SplitSeq(strings.Trim(text, "[]"), ",") {
			if word = unquote(strings.TrimSpace(word)); word != "" {
				words = append(words, word)
			}
		}
		return words, nil
	}
	return unquote(text), nil
}

func unquote(s string) string {
	if n := len(s); n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] {
		return s[1 : n-1]
	}
	return s
}

// assign stores a TOML value: string, bool, int64, float64 or a list of strings.
func assign(field reflect.Value, value any) error {
	switch v := value.(type) {
	case string:
		switch field.Interface().(type) {
		case string:
			field.SetString(v)
			return nil
		case Size:
			size, err := ParseSize(v)
			field.Set(reflect.ValueOf(size))
			return err
		}
	case bool:
		if field.Kind() == reflect.Bool {
			field.SetBool(v)
			return nil
		}
	case int64:
		switch field.Kind() {
		case reflect.Int:
			field.SetInt(v)
			return nil
		case reflect.Float64:
			field.SetFloat(float64(v))
			return nil
		}
	case float64:
		if field.Kind() == reflect.Float64 {
			field.SetFloat(v)
			return nil
		}
	case []any:
		if field.Kind() == reflect.Slice {
			words, err := stringList(v)
			field.Set(reflect.ValueOf(words))
			return err
		}
	}
	return fmt.Errorf("%v, want %s", value, kindName(field))
}

func stringList(values []any) ([]string, error) {
	words := []string{}
	for _, v := range values {
		word, ok := v.(string)
		if !ok {
			return words, fmt.Errorf("%v, want a list of words", values)
		}
		words = append(words, word)
	}
	return words, nil
}

func kindName(field reflect.Value) string {
	switch field.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list of words"
	}
	return "text in quotes"
}
