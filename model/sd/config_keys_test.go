package sd

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"focusnfix/model/config"
)

// constructorKeys are the parameters of diffusers' and transformers' classes, by keys.py.
func constructorKeys(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../config/testdata/keys.json")
	if err != nil {
		t.Fatal(err)
	}
	raw := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	classes := map[string][]string{}
	for name, value := range raw {
		var list []string
		if name == "versions" {
			continue
		}
		if err := json.Unmarshal(value, &list); err != nil {
			t.Fatal(err)
		}
		classes[name] = list
	}
	return classes
}

// Every parameter of every class is used, irrelevant, or refused by name.
func TestEveryKeyIsKnown(t *testing.T) {
	classes := constructorKeys(t)
	check := func(class string, keys config.Keys, used []string) {
		if len(classes[class]) == 0 {
			t.Errorf("%s: no parameters in keys.json", class)
		}
		for _, key := range classes[class] {
			_, refused := keys.Plain[key]
			places := 0
			for _, in := range []bool{slices.Contains(used, key), refused, keys.Irrelevant[key] != ""} {
				if in {
					places++
				}
			}
			if places != 1 {
				t.Errorf("%s: %s is in %d of the lists of used, refused and irrelevant keys, want 1", class, key, places)
			}
		}
	}
	check("UNet2DConditionModel", unetKeys, config.Used(&UNetConfig{}))
	check("AutoencoderKL", vaeKeys, config.Used(&VAEConfig{}))
	check("AutoencoderTiny", tinyVAEKeys, config.Used(&TinyVAEConfig{}))
	for class, keys := range schedulerKeys {
		check(class, plainSchedulerKeys, config.Used(&SchedulerConfig{}))
		for _, key := range classes[class] {
			if !slices.Contains(keys, key) {
				t.Errorf("%s has a parameter %s that schedulerKeys does not list", class, key)
			}
		}
		for _, key := range keys {
			if !slices.Contains(classes[class], key) {
				t.Errorf("%s has no parameter %s", class, key)
			}
		}
	}
	for class, xl := range pipelines {
		for _, key := range classes[class] {
			if _, known := indexKeys[key]; !known {
				t.Errorf("%s (SDXL %v): %s is not known", class, xl, key)
			}
		}
	}
}

func TestModelIndex(t *testing.T) {
	for text, want := range map[string]string{
		`{"_class_name":"StableDiffusion3Pipeline"}`: `_class_name: "StableDiffusion3Pipeline" is not supported`,
		`{}`: "_class_name: null, want StableDiffusionPipeline",
		`{"_class_name":"StableDiffusionPipeline","adapter":["diffusers","T2IAdapter"]}`:                           `adapter: ["diffusers", "T2IAdapter"]: unknown part`,
		`{"_class_name":"StableDiffusionPipeline","tiling":true}`:                                                  "tiling: true: unknown part",
		`{"_class_name":"StableDiffusionPipeline","adapter":[null,null],"_note":[1],"safety_checker":[null,null]}`: "",
	} {
		values, err := config.Object("m.json", []byte(text))
		if err == nil {
			_, err = readIndex("m.json", values, func(string) {})
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	warned := ""
	values := map[string]any{"_class_name": []any{"pipeline", "Mine"}, "scheduler": []any{"diffusers", DDIM}, "text_encoder_2": []any{"transformers", "X"}}
	index, err := readIndex("m.json", values, func(line string) { warned = line })
	if err != nil || index.scheduler != DDIM || !slices.Equal(index.encoders, []string{"", "_2"}) || !strings.Contains(warned, "Mine") {
		t.Errorf("%+v, %v, warned %q", index, err, warned)
	}
}
