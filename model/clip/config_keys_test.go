package clip

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"focusnfix/model/config"
)

// Every parameter of transformers' classes, by model/config/testdata/keys.py, is used, irrelevant, or refused
// by name.
func TestEveryKeyIsKnown(t *testing.T) {
	text, err := os.ReadFile("../config/testdata/keys.json")
	if err != nil {
		t.Fatal(err)
	}
	classes := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &classes); err != nil {
		t.Fatal(err)
	}
	check := func(class string, keys config.Keys, used []string) {
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
	textFields := config.Used(&TextConfig{})
	check("CLIPTextConfig", textKeys, textFields)
	check("PreTrainedConfig", textKeys, textFields)
	check("CLIPVisionConfig", visionKeys, config.Used(&VisionConfig{}))
	check("CLIPConfig", wholeKeys, []string{"projection_dim"})
	check("CLIPTokenizer", tokenizerKeys, config.Used(&tokenizerConfig{}))
}
