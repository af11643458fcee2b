package cmd

import (
	"fmt"
	"net/url"
	"os"
	"strings"

	"focusnfix/core"
)

// inWords makes the fault that is said in words the one that is judged: a CLIP compares images of it with others
// (zero-shot classification), in place of the configuration's judges.
func (x *fixFlags) inWords(c *core.Config) error {
	if x.fault == "" {
		return nil
	}
	what := faultOf(x.fault)
	if what == "" || len(c.Reward) == 0 {
		return usageError{fmt.Errorf("--fault %q: want words for what is to go, such as \"the sword\"", x.fault)}
	}
	if _, err := os.Stat(x.clip); err != nil {
		return hintedError{
			fmt.Errorf("--fault needs the weights of a CLIP, and there is no folder %s", x.clip),
			"`focusnfix pull openai/clip-vit-large-patch14` downloads them, 1.7 GB; --clip names another folder",
		}
	}
	r := c.Reward[0]
	r.Aspect, r.Weight, r.Mask, r.HeldOut, r.Heatmap = what, 1, true, "", "head"
	r.Model = zeroShot(x.clip, what)
	if _, err := os.Stat(x.heldOutCLIP); err == nil {
		r.HeldOut = zeroShot(x.heldOutCLIP, what)
	}
	x.aspect, c.Reward = what, []core.Reward{r}
	return nil
}

// zeroShot is the reward that a CLIP in a folder makes of images with something and without.
func zeroShot(dir, what string) string {
	return "clip-zeroshot:" + dir + "?" + url.Values{"safe": {"a picture"}, "unsafe": {"a picture with " + what}}.Encode()
}

// faultOf is what is to go: "the sword" of "Remove the sword.".
func faultOf(text string) string {
	what := strings.TrimRight(strings.TrimSpace(text), ".!")
	for _, verb := range []string{"remove ", "delete ", "erase ", "take away ", "no "} {
		if len(what) > len(verb) && strings.EqualFold(what[:len(verb)], verb) {
			return strings.TrimSpace(what[len(verb):])
		}
	}
	return what
}
