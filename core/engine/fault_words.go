package engine

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/model/reward"
)

// A fault can be said in words: "the sword", or "remove the sword". A CLIP then compares images of it with others
// (zero-shot classification), in place of the configuration's judges; another CLIP is the held-out judge.

// Folders of the CLIPs that judge words, unless others are named.
const (
	WordsCLIP        = "clip-vit-large-patch14"
	WordsHeldOutCLIP = "PickScore_v1"
)

// longestFault is of a fault said in words, in letters: it names files, too.
const longestFault = 80

// RewardInWords is a reward, like another but for its judges and its name, that finds what is said in words. clip and
// heldOut are folders of CLIPs; without the second there is no held-out judge.
func RewardInWords(like core.Reward, fault, clip, heldOut string) (core.Reward, error) {
	what := faultOf(fault)
	if bad := func(r rune) bool { return unicode.IsControl(r) || strings.ContainsRune(`/\:`, r) }; what == "" ||
		strings.ContainsFunc(what, bad) || utf8.RuneCountInString(what) > longestFault {
		return like, fmt.Errorf("fault %q: want words for what is to go, at most %d letters, such as \"the sword\"", fault, longestFault)
	}
	if _, err := os.Stat(clip); err != nil {
		return like, NoCLIPError{clip}
	}
	r := like
	r.Aspect, r.Weight, r.Mask, r.HeldOut, r.Heatmap = what, 1, true, "", "head"
	r.Model = zeroShot(clip, what)
	if _, err := os.Stat(heldOut); err == nil {
		r.HeldOut = zeroShot(heldOut, what)
	}
	return r, nil
}

// NoCLIPError says that there is no CLIP to judge words with.
type NoCLIPError struct{ Folder string }

func (e NoCLIPError) Error() string {
	return fmt.Sprintf("a fault in words needs the weights of a CLIP, and there is no folder %s; "+
		"`focusnfix pull openai/clip-vit-large-patch14` downloads them, 1.7 GB", e.Folder)
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

// inWords is a session on the same model whose judges find what a request says in words. The last one is kept: people
// try several regions and images with the same words.
func (s *Session) inWords(r *run.FixRequest) (*Session, error) {
	reward, err := RewardInWords(s.Config.Reward[0], r.Fault, WordsCLIP, WordsHeldOutCLIP)
	if err != nil {
		return nil, err
	}
	r.Aspect = reward.Aspect
	if s.worded != nil && s.worded.Config.Reward[0] == reward {
		return s.worded, nil
	}
	s.forgetWords()
	fresh := &Session{Config: s.Config, Pipeline: s.Pipeline}
	fresh.Config.Reward = []core.Reward{reward}
	if err := fresh.openRewards(nil); err != nil {
		closeAll(fresh.loaded)
		return nil, err
	}
	s.worded = fresh
	return fresh, nil
}

// forgetWords frees the judges of the words that were said last.
func (s *Session) forgetWords() {
	if s.worded != nil {
		closeAll(s.worded.loaded)
		s.worded = nil
	}
}

func closeAll(rewards []reward.Reward) {
	for _, r := range rewards {
		r.Close()
	}
}
