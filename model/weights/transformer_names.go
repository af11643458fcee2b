package weights

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Names of the rectified-flow transformers: as their own programs and ComfyUI have them, in single files and LoRA
// files, and as diffusers has them, which is what the networks are built by.

// transformerPart is the part that diffusers calls so.
const transformerPart = "transformer"

// sd3Names are modules outside the blocks of Stable Diffusion 3.
var sd3Names = []renaming{
	{"x_embedder.proj", "pos_embed.proj"},
	{"pos_embed", "pos_embed.pos_embed"}, // which is a parameter
	{"t_embedder.mlp.0", "time_text_embed.timestep_embedder.linear_1"},
	{"t_embedder.mlp.2", "time_text_embed.timestep_embedder.linear_2"},
	{"y_embedder.mlp.0", "time_text_embed.text_embedder.linear_1"},
	{"y_embedder.mlp.2", "time_text_embed.text_embedder.linear_2"},
	{"context_embedder", "context_embedder"},
	{"final_layer.linear", "proj_out"},
	{"final_layer.adaLN_modulation.1", "norm_out.linear"},
}

// sd3BlockNames are those inside joint_blocks.N, of diffusers transformer_blocks.N.
var sd3BlockNames = []renaming{
	{"x_block.adaLN_modulation.1", "norm1.linear"},
	{"context_block.adaLN_modulation.1", "norm1_context.linear"},
	{"x_block.attn.proj", "attn.to_out.0"},
	{"x_block.attn.ln_q", "attn.norm_q"},
	{"x_block.attn.ln_k", "attn.norm_k"},
	{"x_block.attn2.proj", "attn2.to_out.0"},
	{"x_block.attn2.ln_q", "attn2.norm_q"},
	{"x_block.attn2.ln_k", "attn2.norm_k"},
	{"x_block.mlp.fc1", "ff.net.0.proj"},
	{"x_block.mlp.fc2", "ff.net.2"},
	{"context_block.attn.proj", "attn.to_add_out"},
	{"context_block.attn.ln_q", "attn.norm_added_q"},
	{"context_block.attn.ln_k", "attn.norm_added_k"},
	{"context_block.mlp.fc1", "ff_context.net.0.proj"},
	{"context_block.mlp.fc2", "ff_context.net.2"},
}

// fused are modules that hold three of diffusers', one below the other.
type fused struct {
	whole  string
	thirds [3]string
}

// in are the names of the three in a block.
func (f fused) in(block string) []string {
	return []string{block + f.thirds[0], block + f.thirds[1], block + f.thirds[2]}
}

// zImageNames are those inside a block of Z-Image that differ.
var zImageNames = []renaming{
	{"attention.out", "attention.to_out.0"},
	{"attention.q_norm", "attention.norm_q"},
	{"attention.k_norm", "attention.norm_k"},
}

var (
	sd3Fused = []fused{
		{"x_block.attn.qkv", [3]string{"attn.to_q", "attn.to_k", "attn.to_v"}},
		{"x_block.attn2.qkv", [3]string{"attn2.to_q", "attn2.to_k", "attn2.to_v"}},
		{"context_block.attn.qkv", [3]string{"attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"}},
	}
	zImageFused = fused{"attention.qkv", [3]string{"attention.to_q", "attention.to_k", "attention.to_v"}}
)

var (
	sd3Block         = regexp.MustCompile(`^joint_blocks\.(\d+)\.(.+)$`)
	diffusersBlock   = regexp.MustCompile(`^transformer_blocks\.(\d+)\.(.+)$`)
	zImageBlock      = regexp.MustCompile(`^((?:layers|noise_refiner|context_refiner)\.\d+)\.(attention|feed_forward|adaLN_modulation|attention_norm\d|ffn_norm\d)(|\..+)$`)
	otherTransformer = regexp.MustCompile(`^(time_text_embed|norm_out|proj_out|pos_embed\.(?:proj|pos_embed)|cap_embedder|all_x_embedder|all_final_layer|t_embedder\.mlp)(\.|$)`)
)

// transformerNames are diffusers' names of a module of a transformer: one, or the three that are fused in it. None is
// no such module.
func transformerNames(module string) []string {
	if m := sd3Block.FindStringSubmatch(module); m != nil {
		block := "transformer_blocks." + m[1] + "."
		for _, f := range sd3Fused {
			if m[2] == f.whole {
				return f.in(block)
			}
		}
		if name, ok := renamed(sd3BlockNames, m[2], ldmName, diffusersName); ok {
			return []string{block + name}
		}
		return nil
	}
	if m := zImageBlock.FindStringSubmatch(module); m != nil {
		block, inside := m[1]+".", m[2]+m[3]
		if inside == zImageFused.whole {
			return zImageFused.in(block)
		}
		if name, ok := renamed(zImageNames, inside, ldmName, diffusersName); ok {
			inside = name
		}
		return []string{block + inside}
	}
	if name, ok := renamed(sd3Names, module, ldmName, diffusersName); ok {
		return []string{name}
	}
	if diffusersBlock.MatchString(module) || otherTransformer.MatchString(module) {
		return []string{module}
	}
	return nil
}

// renamed finds the other name of a whole module.
func renamed(names []renaming, module string, from, to func(renaming) string) (string, bool) {
	i := slices.IndexFunc(names, func(r renaming) bool { return from(r) == module })
	if i < 0 {
		return "", false
	}
	return to(names[i]), true
}

// originalName is the name that ComfyUI and kohya's programs have for a module of a transformer; third is its place
// in a fused one, -1 where it is not fused. Z-Image's trainers do not fuse, and have diffusers' names.
func originalName(module string) (name string, third int) {
	m := diffusersBlock.FindStringSubmatch(module)
	if m == nil {
		if name, ok := renamed(sd3Names, module, diffusersName, ldmName); ok {
			return name, -1
		}
		return module, -1
	}
	block := "joint_blocks." + m[1] + "."
	for _, f := range sd3Fused {
		if third = slices.Index(f.thirds[:], m[2]); third >= 0 {
			return block + f.whole, third
		}
	}
	if name, ok := renamed(sd3BlockNames, m[2], diffusersName, ldmName); ok {
		return block + name, -1
	}
	return module, -1
}

// scaleFirst reports whether the module makes a shift and a scale that diffusers has the other way round: of the last
// layer, and of the last block's text. A matrix that makes six vectors is another block's.
func scaleFirst(original string, rows, width int64) bool {
	return strings.HasSuffix(original, "final_layer.adaLN_modulation.1") ||
		strings.HasSuffix(original, "context_block.adaLN_modulation.1") && rows == 2*width
}

// thirds are the three parts of a tensor of a fused module.
func (t Tensor) thirds() (parts [3]Tensor, err error) {
	if len(t.Shape) == 0 || t.Shape[0]%3 != 0 {
		return parts, fmt.Errorf("%s: shape %s, want three times as many rows as one of its parts has", t.Key, shapeString(t.Shape))
	}
	n := t.Shape[0] / 3
	for i := range parts {
		parts[i] = t.Rows(int64(i)*n, n)
	}
	return parts, nil
}
