// Package config reads the configuration files that diffusers and transformers write beside weights.
//
// A key that is not understood may change every image, so none is skipped in silence: each is used (it
// is a field of the struct that is read into), or changes the network and has the one value that is
// built here, or is known to be irrelevant, with the reason. Any other key is refused by name.
package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Keys says what becomes of the keys of one kind of file, beside those that are used.
type Keys struct {
	// Plain has keys that change the result, with the values under which they do not change what is
	// computed here; null always is one of them.
	Plain map[string][]any
	// Irrelevant has keys without influence on the result, with the reason.
	Irrelevant map[string]string
}

// Parse reads the text of a configuration file into a struct whose fields carry json tags; what the
// file leaves out, or says null for, keeps the field's value, but for a switch, which null turns off.
// file is what errors call it. Numbers, words and switches may be given as a list of equal ones, and NaN
// and Infinity as Python writes them.
func Parse(file string, text []byte, into any, keys Keys) error {
	values, err := Object(file, text)
	if err != nil {
		return err
	}
	return Fill(file, values, into, keys)
}

// Object reads the text of a configuration file as a map: strings, booleans, float64, lists and maps.
func Object(file string, text []byte) (map[string]any, error) {
	value, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	values, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: %s, want an object of keys and values", file, Show(value))
	}
	return values, nil
}

// Fill is Parse of a file that was read by Object.
func Fill(file string, values map[string]any, into any, keys Keys) error {
	fields := map[string]reflect.Value{}
	collect(reflect.ValueOf(into).Elem(), fields)
	var wrong problems
	if class, plain := values["_class_name"], keys.Plain["_class_name"]; class != nil && plain != nil && !isPlain(class, plain) {
		wrong.add("_class_name: %s is not supported, want %s", Show(class), want(plain)) // whose other keys are its own
		return wrong.err(file)
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		value := values[key]
		field, used := fields[key]
		plain, refused := keys.Plain[key]
		switch {
		case value == nil && used && field.Kind() == reflect.Bool: // None is not true, whatever the default is
			field.SetBool(false)
		case value == nil: // as if the key were not there
		case used:
			if err := set(field, value); err != nil {
				wrong.add("%s: %v", key, err)
			}
		case refused:
			if !isPlain(value, plain) {
				wrong.add("%s: %s is not supported, want %s", key, Show(value), want(plain))
			}
		case keys.Irrelevant[key] != "" || strings.HasPrefix(key, "_"): // notes of the program that wrote the file
		default:
			wrong.add("%s: unknown key, which may change the images; delete it if it does not", key)
		}
	}
	return wrong.err(file)
}

// Used lists the keys that a struct's fields stand for.
func Used(into any) []string {
	fields := map[string]reflect.Value{}
	collect(reflect.ValueOf(into).Elem(), fields)
	return slices.Sorted(maps.Keys(fields))
}

// collect finds the fields that have json tags, those of embedded structs too.
func collect(v reflect.Value, fields map[string]reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			collect(v.Field(i), fields)
		} else if key, _, _ := strings.Cut(f.Tag.Get("json"), ","); key != "" && key != "-" {
			fields[key] = v.Field(i)
		}
	}
}

// isPlain reports whether value, or each one of a list, is among the plain ones.
func isPlain(value any, plain []any) bool {
	if len(plain) > 0 && reflect.DeepEqual(plain[0], value) { // a list as a whole
		return true
	}
	one, ok := single(value)
	return ok && slices.ContainsFunc(plain, func(p any) bool { return reflect.DeepEqual(p, one) })
}

// single is a value, or the only one of a list of equal ones.
func single(value any) (any, bool) {
	list, ok := value.([]any)
	if !ok {
		return value, true
	}
	if len(list) == 0 {
		return nil, false
	}
	for _, v := range list {
		if !reflect.DeepEqual(v, list[0]) {
			return nil, false
		}
	}
	_, nested := list[0].([]any)
	return list[0], !nested
}

func want(plain []any) string {
	if len(plain) == 0 {
		return "null"
	}
	words := make([]string, len(plain))
	for i, p := range plain {
		words[i] = Show(p)
	}
	return strings.Join(words, " or ")
}
