// Package configtest checks that readers of configurations know every key.
package configtest

import (
	"encoding/json"
	"os"
	"slices"
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
