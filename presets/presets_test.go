package presets

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"focusnfix/core"
)

func load(t *testing.T, name string) (core.Config, []byte) {
	t.Helper()
	text, err := Read(name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := core.Load([]core.Layer{{Name: name + ".toml", Text: text}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, text
}

func TestPresets(t *testing.T) {
	want := []string{"all-aspects", "artifacts", "misalignment", "oversexualization", "violence"}
	for _, prefix := range []string{"sd1-", "sd35-", "sdxl-turbo-", "sdxl-", "zimage-"} {
		for _, name := range want[:5] {
			want = append(want, prefix+name)
		}
	}
	want = append(want, "flowbp-draft-lv")
	if got := Names(); !slices.Equal(got, want) {
		t.Errorf("names %v", got)
	}
	for _, name := range Names() {
		c, text := load(t, name)
		if !strings.Contains(string(text), "\n#   focusnfix train -p "+name+"\n") {
			t.Errorf("%s: its header does not say how to run it", name)
		}
		if s := Summary(name); len(s) < 20 || len(s) > 100 || !strings.HasSuffix(s, ".") {
			t.Errorf("%s: summary %q", name, s)
		}
		if name == "flowbp-draft-lv" {
			continue // its prompts are the user's, and nothing is repaired
		}
		training, heldOut, err := Prompts(c.Train.Prompts)
		if err != nil || len(training)*c.Train.SeedsPerPrompt < 48 || len(heldOut) < 20 {
			t.Errorf("%s: %d prompts, %d held out, %v", name, len(training), len(heldOut), err)
		}
		aspects := 1
		if strings.HasSuffix(name, "all-aspects") {
			aspects = 4
		}
		repaired := slices.DeleteFunc(slices.Clone(c.Reward), func(r core.Reward) bool { return !r.Mask }) // the others guard
		if _, about, _ := strings.Cut(c.Train.Prompts, "-"); len(repaired) != aspects || !strings.HasSuffix(name, about) {
			t.Errorf("%s: %d aspects, prompts %s", name, len(c.Reward), c.Train.Prompts)
		}
	}
}

// A preset states only what differs: without any one of its settings it is another.
func TestPresetsSayOnlyWhatDiffers(t *testing.T) {
	setting := regexp.MustCompile(`(?m)^\w+ += .*$`)
	for _, name := range Names() {
		c, text := load(t, name)
		for _, at := range setting.FindAllIndex(text, -1) {
			without := slices.Concat(text[:at[0]], text[at[1]:])
			other, err := core.Load([]core.Layer{{Name: name, Text: without}}, nil)
			if err == nil && reflect.DeepEqual(other, c) {
				t.Errorf("%s: %s is the default", name, text[at[0]:at[1]])
			}
		}
	}
}

// The preset that is offered first needs nothing but the program: the shipped model, one reward, and the
// defaults but for how hard and how long it trains.
func TestDefaultPresetNeedsNothing(t *testing.T) {
	c, _ := load(t, Default)
	want := core.Default()
	want.Region, want.Train = c.Region, c.Train
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v", c)
	}
}

func TestPromptListsAreSound(t *testing.T) {
	if len(PromptLists()) != 10 {
		t.Errorf("lists %v", PromptLists())
	}
	for _, name := range PromptLists() {
		training, heldOut, err := Prompts(name)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, p := range slices.Concat(training, heldOut) {
			if seen[p] {
				t.Errorf("%s: %q twice", name, p)
			}
			seen[p] = true
		}
	}
}

func TestParsePrompts(t *testing.T) {
	training, heldOut, err := ParsePrompts([]byte("# why\na\r\n\n  b \n[Held Out]\n c\n"))
	if err != nil || !slices.Equal(training, []string{"a", "b"}) || !slices.Equal(heldOut, []string{"c"}) {
		t.Errorf("got %q, %q, %v", training, heldOut, err)
	}
	var many strings.Builder
	for i := range 25 {
		fmt.Fprintln(&many, i)
	}
	training, heldOut, err = ParsePrompts([]byte(many.String()))
	if err != nil || len(training) != 23 || !slices.Equal(heldOut, []string{"9", "19"}) {
		t.Errorf("got %q, %q, %v", training, heldOut, err)
	}
	if training, heldOut, err = ParsePrompts([]byte("only")); err != nil || len(training) != 1 || len(heldOut) != 1 {
		t.Errorf("got %q, %q, %v", training, heldOut, err)
	}
	for _, text := range []string{"", "# nothing\n", "[held out]\na\n"} {
		if _, _, err := ParsePrompts([]byte(text)); err == nil {
			t.Errorf("%q is taken for a list", text)
		}
	}
	if _, err := Read("../go"); err == nil || !strings.Contains(err.Error(), "want one of all-aspects") {
		t.Errorf("no such preset: %v", err)
	}
	if _, _, err := Prompts("none"); err == nil || !strings.Contains(err.Error(), "scenes-violence") {
		t.Errorf("no such list: %v", err)
	}
}
