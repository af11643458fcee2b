package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
)

// Setter is a field's type that reads a value itself. The value is a string, bool, float64, list or map.
type Setter interface{ SetConfig(value any) error }

// set puts a value that is not null into a field.
func set(field reflect.Value, value any) error {
	if s, ok := field.Addr().Interface().(Setter); ok {
		return s.SetConfig(value)
	}
	switch field.Kind() {
	case reflect.Pointer:
		target := reflect.New(field.Type().Elem())
		if err := set(target.Elem(), value); err != nil {
			return err
		}
		field.Set(target)
		return nil
	case reflect.Slice:
		return setList(field, value)
	case reflect.Struct, reflect.Map, reflect.Interface:
		return fmt.Errorf("%s, want another form", Show(value)) // such fields are Setters
	}
	one, ok := single(value)
	if !ok {
		return fmt.Errorf("%s, want one %s", Show(value), kindName(field.Kind()))
	}
	return setScalar(field, one)
}

func setList(field reflect.Value, value any) error {
	list, ok := value.([]any)
	if !ok {
		return fmt.Errorf("%s, want a list", Show(value))
	}
	items := reflect.MakeSlice(field.Type(), len(list), len(list))
	for i, v := range list {
		if v == nil {
			return fmt.Errorf("%s, want a list of %ss", Show(value), kindName(items.Index(i).Kind()))
		}
		if err := set(items.Index(i), v); err != nil {
			return fmt.Errorf("number %d of the list: %w", i+1, err)
		}
	}
	field.Set(items)
	return nil
}

func setScalar(field reflect.Value, value any) error {
	wrong := fmt.Errorf("%s, want a %s", Show(value), kindName(field.Kind()))
	switch field.Kind() {
	case reflect.String:
		text, ok := value.(string)
		if !ok {
			return wrong
		}
		field.SetString(text)
	case reflect.Bool:
		on, ok := value.(bool)
		if !ok {
			return wrong
		}
		field.SetBool(on)
	case reflect.Int, reflect.Int64:
		n, ok := value.(float64)
		if !ok || n != math.Trunc(n) || math.Abs(n) > 1<<53 {
			return wrong
		}
		field.SetInt(int64(n))
	case reflect.Float64:
		x, ok := value.(float64)
		if !ok || math.IsNaN(x) {
			return wrong
		}
		field.SetFloat(x)
	default:
		return wrong
	}
	return nil
}

func kindName(k reflect.Kind) string {
	switch k {
	case reflect.Int, reflect.Int64:
		return "whole number"
	case reflect.Float64:
		return "number"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "string"
	}
	return "list"
}

// longest is how many bytes an error has beside the file's name.
const longest = 240

// problems are what is wrong with one file, for one line.
type problems []string

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }

func (p problems) err(file string) error {
	if len(p) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s", file, Line(p))
}

// Line joins problems by semicolons, as many as fit in an error.
func Line(all []string) string {
	line := all[0]
	if len(line) > longest {
		line = strings.ToValidUTF8(line[:longest], "") + "…"
	}
	for i, problem := range all[1:] {
		if len(line)+len(problem) > longest {
			return fmt.Sprintf("%s; and %d more", line, len(all)-1-i)
		}
		line += "; " + problem
	}
	return line
}

// Join makes one line of the errors that are not nil, nil if there is none.
func Join(errs ...error) error {
	var all []string
	for _, err := range errs {
		if err != nil {
			all = append(all, strings.Split(err.Error(), "\n")...)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return errors.New(Line(all))
}
