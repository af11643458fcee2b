// Package configtest checks that readers of configurations know every key.
package configtest

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"focusnfix/model/config"
)

// EveryKeyIsKnown checks that every parameter of a class of diffusers or transformers, which model/config/testdata/keys.py
// lists, is used, irrelevant, or refused by name. The caller lies beside model/config.
func EveryKeyIsKnown(t *testing.T, class string, keys config.Keys, used []string) {
	t.Helper()
	text, err := os.ReadFile("../config/testdata/keys.json")
	if err != nil {
		t.Fatal(err)
	}
	classes := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &classes); err != nil {
		t.Fatal(err)
	}
	var list []string
	if err := json.Unmarshal(classes[class], &list); err != nil || len(list) == 0 {
		t.Fatalf("%s: %v, %v", class, list, err)
	}
	for _, key := range list {
		_, refused := keys.Plain[key]
		if !refused && keys.Irrelevant[key] == "" && !slices.Contains(used, key) {
			t.Errorf("%s: %s is neither used nor refused nor irrelevant", class, key)
		}
	}
}

// Refuses checks the errors of a reader of configurations: each case is a text, and what its error says.
func Refuses[C any](t *testing.T, parse func(file string, text []byte) (C, error), cases map[string][2]string) {
	t.Helper()
	for name, c := range cases {
		if _, err := parse("config.json", []byte(c[0])); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: got %v, want %s", name, err, c[1])
		}
	}
}

// FuzzOneLine checks that however much is wrong with a configuration, the error of its reader is one line.
func FuzzOneLine[C any](f *testing.F, parse func(file string, text []byte) (C, error), seeds ...string) {
	for _, seed := range append(seeds, `{}`, `{"num_layers":-1,"d_kv":0,"head_dim":3}`, `{"rope_parameters":{"rope_theta":1e6,"type":null},"layer_types":[]}`) {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := parse("config.json", text); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%v", err)
		}
	})
}
