package reward

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// Every wrong config.json of a judge is one line that names the file and what is wrong.
func TestJudgeConfigErrors(t *testing.T) {
	torchtest.Need(t)
	for name, c := range map[string]struct{ spec, config, want string }{
		"segformer, another":    {"segformer:", `{"model_type":"mask2former"}`, `model_type "mask2former", want segformer`},
		"segformer, lists":      {"segformer:", `{"model_type":"segformer","depths":[1,2]}`, "must be lists of one length"},
		"segformer, heads":      {"segformer:", `{"model_type":"segformer","num_attention_heads":[3,2,5,8]}`, "no SegFormer can have, in stage 0"},
		"segformer, flat":       {"segformer:", `{"model_type":"segformer","reshape_last_stage":false}`, "reshape_last_stage false is not supported"},
		"segformer, activation": {"segformer:", `{"model_type":"segformer","hidden_act":"relu"}`, `hidden_act "relu", want gelu`},
		"segformer, no label":   {"segformer:", `{"model_type":"segformer"}`, `label "", want ?label=`},
		"eva, another":          {"eva:", `{"architecture":"vit_base_patch16_384","num_classes":2}`, `architecture "vit_base_patch16_384", want eva02_tiny`},
		"eva, sizes":            {"eva:", `{"architecture":"eva02_base_patch14_448","num_classes":2,"model_args":{"num_heads":7}}`, "sizes that no EVA-02 can have"},
		"eva, classes":          {"eva:", `{"architecture":"eva02_base_patch14_448","num_classes":2,"label_names":["a"]}`, "num_classes 2 with 1 label_names"},
		"eva, harmless label":   {"eva:", `{"architecture":"eva02_base_patch14_448","num_classes":2,"label_names":["safe","nsfw"]}`, `label "safe" is the first`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(c.config), 0o600); err != nil {
				t.Fatal(err)
			}
			spec := c.spec + dir
			if strings.Contains(name, "harmless") {
				spec += "?label=safe"
			}
			_, err := Open(spec, torch.CPU)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %s", err, c.want)
			}
		})
	}
}

// The keys of older versions of transformers become those of version 5.
func TestSegFormerNames(t *testing.T) {
	for old, want := range map[string]string{
		"segformer.encoder.patch_embeddings.2.proj.weight":           "segformer.stages.2.patch_embeddings.proj.weight",
		"segformer.encoder.layer_norm.0.bias":                        "segformer.stages.0.layer_norm.bias",
		"segformer.encoder.block.1.3.attention.self.query.weight":    "segformer.stages.1.blocks.3.attention.q_proj.weight",
		"segformer.encoder.block.1.3.attention.self.sr.weight":       "segformer.stages.1.blocks.3.attention.sequence_reduction.sequence_reduction.weight",
		"segformer.encoder.block.1.3.attention.self.layer_norm.bias": "segformer.stages.1.blocks.3.attention.sequence_reduction.layer_norm.bias",
		"segformer.encoder.block.0.0.mlp.dwconv.dwconv.weight":       "segformer.stages.0.blocks.0.mlp.dwconv.dwconv.weight",
		"segformer.encoder.block.0.0.layer_norm_2.weight":            "segformer.stages.0.blocks.0.layernorm_after.weight",
		"decode_head.linear_c.1.proj.weight":                         "decode_head.linear_projections.1.proj.weight",
		"segformer.stages.1.blocks.3.attention.q_proj.weight":        "segformer.stages.1.blocks.3.attention.q_proj.weight",
		"decode_head.classifier.weight":                              "decode_head.classifier.weight",
	} {
		if got := segFormerNames(old); got != want {
			t.Errorf("%s becomes %s, want %s", old, got, want)
		}
	}
}
