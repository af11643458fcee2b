package core

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite ../config.toml")

// The table of rules and the fields of Config are two views of one thing.
func TestEveryFieldHasARule(t *testing.T) {
	names := map[string]bool{}
	for _, r := range rules {
		if names[r.name] {
			t.Errorf("%s: two rules", r.name)
		}
		names[r.name] = true
		if r.doc == "" || (r.options == nil && r.min > r.max) {
			t.Errorf("%s: rule without a comment or with an empty range", r.name)
		}
	}
	sections := reflect.TypeFor[Config]()
	count := 0
	for i := range sections.NumField() {
		section := sections.Field(i)
		keys := section.Type
		if keys.Kind() == reflect.Slice {
			keys = keys.Elem()
		}
		for k := range keys.NumField() {
			count++
			name := section.Tag.Get("toml") + "." + keys.Field(k).Tag.Get("toml")
			if !names[name] {
				t.Errorf("%s: a field without a rule", name)
			}
		}
	}
	if count != len(rules) || count > 50 {
		t.Errorf("%d fields, %d rules, want as many and 50 at most", count, len(rules))
	}
}

func TestDefaultIsValid(t *testing.T) {
	c := Default()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestTOMLReadsBackEqual(t *testing.T) {
	want := Default()
	want.Model.Path = "C:\\models\\\"x\"α"
	want.Sample.Size = Size{512, 768}
	want.Reward = append(want.Reward, Reward{Aspect: "artifacts", Model: "m:a/b", Heatmap: "saliency", Weight: 0.1, Threshold: 1e-3})
	want.LoRA.Targets = []string{"attention", "time"}
	want.Train.LearningRate = 1e-6
	got, err := Load([]Layer{{"effective", want.TOML()}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// The example in the repository's root shows every default behind a comment sign, so that a program
// started there is not changed by it.
func TestExampleEqualsDefaults(t *testing.T) {
	const path, head = "../config.toml", `# Every setting of focusnfix with its default. The file is read where the program is started; what is
# commented out here comes from the preset. Remove the # before a setting to change it.
#
#   focusnfix presets          lists presets, focusnfix presets NAME shows what one changes
#   --set region.weight=20     changes a setting for one run
#   --set reward.violence.threshold=0.4

`
	c := Default()
	setting := regexp.MustCompile(`(?m)^(\w+ = |\[\[)`)
	want := head + setting.ReplaceAllString(string(c.TOML()), "#$1")
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != want {
		t.Errorf("%s is not what the defaults say; go test ./core -update rewrites it", path)
	}
	changed, err := Load([]Layer{{path, text}}, []string{"train.steps=61", "train.steps=60"})
	if err != nil || !reflect.DeepEqual(changed, c) {
		t.Errorf("%s as it is changes the defaults: %v", path, err)
	}
	hash := regexp.MustCompile(`(?m)^#(\w+ = |\[\[)`)
	live, err := Load([]Layer{{path, []byte(hash.ReplaceAllString(string(text), "$1"))}}, nil)
	if err != nil || !reflect.DeepEqual(live, c) {
		t.Errorf("%s without its signs is not the defaults: %v", path, err)
	}
}

func TestLayers(t *testing.T) {
	preset := Layer{"preset.toml", []byte(`
[train]
steps = 100
[[reward]]
aspect = "violence"
threshold = 0.7
[[reward]]
aspect = "artifacts"
model = "scenes"
`)}
	file := Layer{"config.toml", []byte("[region]\nweight = 15\n[train]\nsteps = 200\n")}
	c, err := Load([]Layer{preset, file}, []string{"train.steps = 300", "reward.artifacts.threshold=0.4", "lora.targets=attention, time", "sample.size=64x128", "train.augment=false"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Train.Steps != 300 || c.Region.Weight != 15 || c.Train.Augment || c.Sample.Size != (Size{64, 128}) ||
		!reflect.DeepEqual(c.LoRA.Targets, []string{"attention", "time"}) {
		t.Errorf("layers are not put in order: %+v", c)
	}
	violence, artifacts := Default().Reward[0], defaultReward()
	violence.Threshold = 0.7
	artifacts.Aspect, artifacts.Model, artifacts.Threshold = "artifacts", "scenes", 0.4
	if !reflect.DeepEqual(c.Reward, []Reward{violence, artifacts}) {
		t.Errorf("rewards: got %+v", c.Reward)
	}
	only, err := Load([]Layer{preset, {"config.toml", []byte(`reward = [{aspect = "artifacts", weight = 2}]`)}}, nil)
	if err != nil || len(only.Reward) != 1 || only.Reward[0].Model != "scenes" || only.Reward[0].Weight != 2 {
		t.Errorf("a later list of rewards replaces the one before: got %+v, %v", only.Reward, err)
	}
}

func TestRefusedFiles(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "[train]\nsteps = 5\n\n# why\nlerning_rate = 1\n", "f.toml:5: train.lerning_rate: no such key, did you mean train.learning_rate?"},
		{"unknown section", "[train]\n[trian]\nx = 1\n", "f.toml:3: trian.x: no such key"},
		{"top-level key", "steps = 1\n", "f.toml:1: steps: no such key"},
		{"dotted key", "region.weight = 1\nregion.wait = 1\n", "f.toml:2: region.wait: no such key, did you mean region.weight?"},
		{"after a list of lines", "[lora]\ntargets = [\n \"time\",\n]\nrang = 3\n", "f.toml:5: lora.rang: no such key, did you mean lora.rank?"},
		{"a list of lines", "[lora]\nrank = 1\nrang = [\n \"time\",\n]\n", "f.toml:3: lora.rang: no such key"},
		{"second reward", "[[reward]]\naspect = \"a\"\n[[reward]]\naspect = \"b\"\n\nwait = 1\n", "f.toml:6: reward.b.wait: no such key"},
		{"inline table", "region = {weight = 1, wait = 2}\n", "f.toml:1: region.wait: no such key"},
		{"table of rewards", "[reward]\naspect = \"a\"\n", "f.toml:1: reward: want [[reward]]"},
		{"list of a section", "[train]\nsteps = 1\n[[sample]]\neta = 1\n", "f.toml:3: [[sample]]: want [sample]"},
		{"kind", "[train]\nsteps = 1.5\n", "f.toml:2: train.steps: 1.5, want a whole number"},
		{"kind of word", "[model]\n\npath = 7\n", "f.toml:3: model.path: 7, want text in quotes"},
		{"kind of list", "[lora]\ntargets = [1]\n", "f.toml:2: lora.targets: [1], want a list of words"},
		{"list of no tables", "reward = [1]\n", "reward.aspect: \"\", want a name"},
		{"unknown key in a list", "reward = [\n{aspect = \"a\"},\n{aspect = \"b\", wait = 1}]\n", "f.toml:1: reward.b.wait: no such key"},
		{"many", manyUnknown(), "f.toml: and more"},
		{"size", "[sample]\nsize = \"512\"\n", "f.toml:2: sample.size: \"512\", want WIDTHxHEIGHT"},
		{"aspect of another kind", "[[reward]]\naspect = 3\n", "f.toml:2: reward..aspect: 3, want text in quotes"},
		{"syntax", "[train]\nsteps = \n", "f.toml:2: expected value"},
		{"twice", "[train]\nsteps = 1\nsteps = 2\n", "f.toml:3: Key 'train.steps' has already been defined"},
		{"large", strings.Repeat("#", maxLayer+1), "f.toml: 65537 bytes, want"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load([]Layer{{"f.toml", []byte(c.text)}}, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func manyUnknown() string {
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b, "[s%d]\nx = 1\n", i)
	}
	return b.String()
}

func TestRefusedFlags(t *testing.T) {
	for flag, want := range map[string]string{
		"train.steps":                "--set train.steps: no value, want key=value",
		"train.step=1":               "--set train.step: no such key, did you mean train.steps?",
		"train.steps=many":           "--set train.steps: \"many\", want a whole number",
		"reward.artifact.weight=1":   "--set reward.artifact.weight: no aspect \"artifact\" here, want violence",
		"reward.violence.wait=1":     "--set reward.violence.wait: no such key, did you mean reward.violence.weight?",
		"zebra=1":                    "--set zebra: no such key",
		"train.augment=maybe":        "--set train.augment: \"maybe\", want true or false",
		"sample.guidance_scale=high": "--set sample.guidance_scale: \"high\", want a number",
	} {
		_, err := Load(nil, []string{flag})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", flag, err, want)
		}
	}
}

func TestValidateReportsAll(t *testing.T) {
	for _, c := range []struct{ set, want string }{
		{"model.path=", "model.path: empty"},
		{"model.dtype=int8", "model.dtype: \"int8\", want auto, float32, bfloat16, float16"},
		{"model.device=gpu", "model.device: \"gpu\", want auto, cpu, cuda or cuda:N"},
		{"sample.scheduler=lms", "sample.scheduler: \"lms\", want ddim, ddim_trailing"},
		{"sample.eta=2", "sample.eta: 2, want 0 to 1"},
		{"sample.size=100x64", "sample.size: 100x64, want multiples of 8"},
		{"lora.targets=time,time", "lora.targets: \"time\" twice"},
		{"lora.targets=", "lora.targets: empty"},
		{"train.steps=0", "train.steps: 0, want 1 to 1e+07"},
		{"train.learning_rate=NaN", "train.learning_rate: NaN, want 1e-09 to 1"},
		{"train.grad_clip=inf", "train.grad_clip: +Inf, want 0 to 1000000"},
		{"train.backprop_steps=11", "train.backprop_steps: 11, want at most sample.num_steps, 10"},
		{"train.noised_copies=2", "train.noised_copies: 2 with train.backprop_steps 3"},
		{"train.prompts=", "train.prompts: empty"},
		{"reward.violence.model=", "reward.violence.model: empty"},
		{"reward.violence.held_out=scenes", "reward.violence.held_out: \"scenes\" is what is trained on"},
		{"reward.violence.weight=0", "reward: none has a weight above 0"},
		{"reward.violence.aspect=Two Words", "reward.aspect: \"Two Words\", want a name"},
		{"gate.action=shrug", "gate.action: \"shrug\", want warn, stop, rollback"},
	} {
		_, err := Load(nil, []string{c.set})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.set, err, c.want)
		}
	}
	_, err := Load(nil, []string{"sample.eta=2", "train.steps=0", "gate.action=shrug"})
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("three problems: got %v", err)
	}
	twice := Default()
	twice.Reward = append(twice.Reward, twice.Reward...)
	if err := twice.Validate(); err == nil || !strings.Contains(err.Error(), `"violence" twice`) {
		t.Errorf("an aspect twice: got %v", err)
	}
}

// Attention may be followed by the words that it is to; nothing else may.
func TestHeatmapOfWords(t *testing.T) {
	for value, ok := range map[string]bool{"attention": true, "attention:hand, knife": true, "attention:": true, "head:hand": false, "attentive": false} {
		c := Default()
		if err := c.Set("reward.violence.heatmap", value); err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); (err == nil) != ok {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestKeysShowValues(t *testing.T) {
	c := Default()
	c.Region.Weight = 3
	for _, k := range c.Keys() {
		if k.Name == "region.weight" && k.Value != 3.0 || k.Name == "reward.violence.heatmap" && len(k.Options) != 4 {
			t.Errorf("got %+v", k)
		}
	}
	if n := len(c.Keys()); n != len(rules) {
		t.Errorf("%d keys, want %d with one reward", n, len(rules))
	}
}

// Any text is refused or gives a configuration that reads back equal.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{ // short: Go spends its time on making what it finds shorter
		"[model]\npath = \"m\"\n", "[sample]\nsize = \"64x64\"\neta = 0.5\n", "[[reward]]\naspect='a'\nmodel='m'\nweight=1\n", "train.steps = 3 # x\n",
		"[lora]\ntargets = [\"time\"]\n", "[gate]\naction = '''warn'''\n", "[region]\nweight = inf\n", "[train]\nprompts = \"\\u001b\"\n",
	} {
		f.Add([]byte(seed), "train.steps=3")
	}
	f.Add([]byte("reward = [{aspect = \"a\", model = \"m\"}]\n[lora]\ntargets = [\n'time']\n"), "reward.a.weight=1")
	f.Add([]byte("[[reward]]\naspect = 3\nx = 1\n"), "=")
	f.Add([]byte("a.b.c = 1\n[a.b]\nd = 1979-05-27"), "sample.size=8x8")
	f.Fuzz(func(t *testing.T, text []byte, flag string) {
		if len(text)+len(flag) > 2000 {
			return
		}
		c, err := Load([]Layer{{"f.toml", text}}, []string{flag})
		if err != nil {
			return
		}
		again, err := Load([]Layer{{"again.toml", c.TOML()}}, nil)
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("does not read back: %v\n%s", err, c.TOML())
		}
	})
}
