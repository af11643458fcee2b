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

// FuzzOneLine checks that however much is wrong with a configuration, the error of its reader is one line.
func FuzzOneLine(f *testing.F, parse func(text []byte) error) {
	for _, seed := range []string{`{}`, `{"num_layers":-1,"d_kv":0,"head_dim":3}`, `{"rope_parameters":{"rope_theta":1e6,"type":null},"layer_types":[]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := parse(text); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%v", err)
		}
	})
}
