package sd

import (
	"slices"
	"testing"

	"focusnfix/model/backbone"
	"focusnfix/model/nn/nntest"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// The maps of words are those that an attention processor of diffusers finds.
func TestWordMaps(t *testing.T) {
	g := nntest.OpenGolden(t, "testdata/ref/attention.safetensors")
	const prompt = "a chef in the old park, a tree"
	for _, name := range []string{"sd1", "sdxl"} {
		p := loadTiny(t, name, backbone.LoadOptions{})
		before := torch.Live()
		torchtest.Run(t, func() {
			torch.NoGrad(func() {
				var spans [][]int64
				for _, word := range []string{"chef", "park", "old park"} {
					spans = append(spans, p.Encoders[0].tokensOf(prompt, word))
				}
				got, err := p.wordMaps(torchtest.Place(g.Tensor(t, name+".latents")), prompt, spans, 3)
				if err != nil {
					t.Fatal(err)
				}
				g.Check(t, name+".maps", got, 1e-4)
			})
		})
		if now := torch.Live(); now != before {
			t.Errorf("%s: %d tensors are alive, %d before", name, now, before)
		}
	}
}

func TestAttentionMap(t *testing.T) {
	p := loadTiny(t, "sd1", backbone.LoadOptions{})
	torchtest.Run(t, func() {
		image := torchtest.Place(nntest.Uniform("image", 1, 3, 32, 24).AddScalar(1).DivScalar(2))
		find := func(prompt string, words ...string) torch.Tensor {
			heat, err := p.AttentionMap(image, prompt, words, 2)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(heat.Shape(), []int64{1, 1, 32, 24}) || !(heat.Min().Item() >= 0 && heat.Max().Item() <= 1) {
				t.Errorf("%q, %q: %v from %g to %g", prompt, words, heat.Shape(), heat.Min().Item(), heat.Max().Item())
			}
			return heat
		}
		one, other := find("a chef and a tree", "chef"), find("a chef and a tree", "tree")
		if both := find("a chef and a tree"); torchtest.MaxDiff(both, one.Maximum(other)) > 1e-5 {
			t.Error("without words all that carry meaning are taken")
		}
		if torchtest.MaxDiff(one, other) < 1e-3 {
			t.Error("two words have one map")
		}
		if again := find("a chef and a tree", "chef", "zebra"); torchtest.MaxDiff(again, one) != 0 {
			t.Error("a word that the prompt has not counts, or chance does")
		}
		if none := find("a chef", "zebra"); none.Max().Item() != 0 {
			t.Error("a map without a word is not 0")
		}
	})
	if got := meaningful("A chef's hand, holding the knife; near a chef's TREE."); !slices.Equal(got, []string{"chef's", "hand", "holding", "knife", "tree"}) {
		t.Errorf("meaningful words %q", got)
	}
}
