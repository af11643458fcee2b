package weights

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// loraEndings are how the dialects end a key after the module's name, in the order
// in which they are tried. add belongs to that name.
var loraEndings = []struct {
	text    string
	factor  Factor
	dialect Dialect
	add     string
}{
	{".lora_A.weight", factorDown, PEFT, ""},
	{".lora_B.weight", factorUp, PEFT, ""},
	{".lora_A", factorDown, PEFT, ""},
	{".lora_B", factorUp, PEFT, ""},
	{".lora_B.bias", LoRABias, PEFT, ""},
	{".lora_magnitude_vector.weight", Magnitude, PEFT, ""},
	{".lora_magnitude_vector", Magnitude, PEFT, ""},
	{".lora_linear_layer.down.weight", factorDown, Diffusers, ""},
	{".lora_linear_layer.up.weight", factorUp, Diffusers, ""},
	{".lora.down.weight", factorDown, Diffusers, ""},
	{".lora.up.weight", factorUp, Diffusers, ""},
	{".to_out_lora.down.weight", factorDown, attnProcs, ".to_out.0"},
	{".to_out_lora.up.weight", factorUp, attnProcs, ".to_out.0"},
	{"_lora.down.weight", factorDown, attnProcs, ""},
	{"_lora.up.weight", factorUp, attnProcs, ""},
	{".lora_down.weight", factorDown, Kohya, ""},
	{".lora_up.weight", factorUp, Kohya, ""},
	{".lora_mid.weight", Mid, Kohya, ""},
	{".dora_scale", Magnitude, Kohya, ""},
	{".diff", Diff, Kohya, ""},
	{".diff_b", Bias, Kohya, ""},
	{".hada_w1_a", HadaW1A, Kohya, ""},
	{".hada_w1_b", HadaW1B, Kohya, ""},
	{".hada_w2_a", HadaW2A, Kohya, ""},
	{".hada_w2_b", HadaW2B, Kohya, ""},
	{".hada_t1", HadaT1, Kohya, ""},
	{".hada_t2", HadaT2, Kohya, ""},
	{".lokr_w1", LokrW1, Kohya, ""},
	{".lokr_w1_a", LokrW1A, Kohya, ""},
	{".lokr_w1_b", LokrW1B, Kohya, ""},
	{".lokr_w2", LokrW2, Kohya, ""},
	{".lokr_w2_a", LokrW2A, Kohya, ""},
	{".lokr_w2_b", LokrW2B, Kohya, ""},
	{".lokr_t2", LokrT2, Kohya, ""},
	{".ia3_l", IA3Scale, PEFT, ""},
	{".on_input", InputMark, Kohya, ""},
	{".alpha", factorAlpha, "", ""},
}

// refusedEndings are the endings of methods that are not applied.
var refusedEndings = []struct{ text, method string }{
	{".oft_blocks", "OFT"},
	{".oft_diag", "OFT"},
	{".oft_R", "OFT"},
	{".oft_r", "OFT"},
	{".boft_R", "BOFT"},
	{".boft_s", "BOFT"},
	{".hra_u", "HRA"},
	{".vera_lambda_b", "VeRA"},
	{".fourierft_spectrum", "FourierFT"},
	{".a1.weight", "GLoRA"},
	{".a2.weight", "GLoRA"},
	{".b1.weight", "GLoRA"},
	{".b2.weight", "GLoRA"},
	{".bm1.weight", "GLoRA"},
	{".bm2.weight", "GLoRA"},
	{".w_norm", "updates of normalization layers"},
	{".b_norm", "updates of normalization layers"},
	{".lora_embedding_A", "updates of embeddings"},
	{".lora_embedding_B", "updates of embeddings"},
	{".set_weight", "whole replaced weights"},
	{".reshape_weight", "layers of another shape"},
	{".lora_E", "AdaLoRA"},
	{".scalar", "LyCORIS' trained scalars"},
	{".bias", "trained biases"},
}

// refusedMethod names the method that a key belongs to and that is not applied; "" is none.
func refusedMethod(key string) string {
	for _, r := range refusedEndings {
		if strings.HasSuffix(key, r.text) || strings.Contains(key, r.text+".") {
			return r.method
		}
	}
	return ""
}

// loraKey is what the key of a LoRA file says.
type loraKey struct {
	component, module string
	factor            Factor
	dialect           Dialect
}

// adapterName is the name of an adapter in PEFT's keys: default, default_0.
var adapterName = regexp.MustCompile(`(\.(?:lora_A|lora_B|lora_magnitude_vector|hada_\w+|lokr_\w+|ia3_l|oft_R|oft_r))\.(\w+)(\.weight|\.bias|)$`)

// withoutAdapter takes the adapter's name out of a key.
func withoutAdapter(key string) string {
	m := adapterName.FindStringSubmatchIndex(key)
	if m == nil || key[m[4]:m[5]] == "weight" || key[m[4]:m[5]] == "bias" {
		return key
	}
	return key[:m[3]] + key[m[6]:]
}

// parseLoRAKey understands one key by itself, so that files which mix dialects, as
// diffusers' own scripts write them, need no special case.
func parseLoRAKey(key string) (loraKey, bool) {
	short := withoutAdapter(key)
	for _, e := range loraEndings {
		if module, ok := strings.CutSuffix(short, e.text); ok && module != "" {
			return newLoRAKey(module+e.add, e.factor, e.dialect)
		}
	}
	for _, prefix := range []string{"lora_", "lycoris_"} { // LyCORIS' IA3; elsewhere a weight is a weight
		if module, ok := strings.CutSuffix(key, ".weight"); ok && strings.HasPrefix(module, prefix) && refusedMethod(key) == "" {
			return newLoRAKey(module, IA3Shift, Kohya)
		}
	}
	return loraKey{}, false
}

func newLoRAKey(name string, f Factor, d Dialect) (loraKey, bool) {
	k := loraKey{factor: f, dialect: d}
	k.component, k.module = loraModule(name)
	if strings.HasPrefix(name, "lora_") || strings.HasPrefix(name, "lycoris_") {
		k.dialect = Kohya
	}
	return k, k.module != ""
}

// peftPrefix begins every key that PEFT itself saves.
const peftPrefix = "base_model.model."

// loraPrefixes are how programs begin the name of a module: kohya and LyCORIS flat, OneTrainer and ComfyUI
// with dots.
var loraPrefixes = []struct{ prefix, component string }{
	{"lora_unet_", "unet"},
	{"lora_unet.", "unet"},
	{"lora_te_", "text_encoder"},
	{"lora_te.", "text_encoder"},
	{"lora_te1_", "text_encoder"},
	{"lora_te1.", "text_encoder"},
	{"lora_te2_", "text_encoder_2"},
	{"lora_te2.", "text_encoder_2"},
	{"lora_te3_", "text_encoder_3"},
	{"lora_transformer_", transformerPart},
	{"lora_transformer.", transformerPart},
	{"text_encoders.clip_l.transformer.", "text_encoder"},
	{"text_encoders.clip_g.transformer.", "text_encoder_2"},
	{"text_encoders.clip_h.transformer.", "text_encoder"},
	{"model.diffusion_model.", "unet"},
	{"diffusion_model.", "unet"},
	{"lycoris_", "unet"},
	{"unet.", "unet"},
	{"transformer.", transformerPart},
	{"text_encoder.", "text_encoder"},
	{"text_encoder_2.", "text_encoder_2"},
}

// loraModule splits the name of a module, in any dialect, into the part of the model
// and diffusers' name of the module inside it.
func loraModule(name string) (component, module string) {
	name = strings.TrimPrefix(name, peftPrefix)
	name = strings.ReplaceAll(name, ".processor.", ".")
	component = "unet"
	for _, p := range loraPrefixes {
		if rest, ok := strings.CutPrefix(name, p.prefix); ok {
			component, name = p.component, strings.TrimPrefix(rest, peftPrefix)
			break
		}
	}
	switch {
	case !strings.Contains(name, "."):
		name = nestedName(name)
	case strings.HasPrefix(name, "text_model."):
		component = cmp.Or(map[string]string{"unet": "text_encoder"}[component], component)
	default:
		if ours, ok := unetFromLDM(name); ok && component == "unet" {
			name = ours
		}
	}
	if component == "unet" || component == transformerPart {
		return ofTransformer(component, name)
	}
	return component, textName(component, name)
}

// ofTransformer is the module in diffusers' names if it is a transformer's, whatever the file calls the part. Fused
// ones and those to be turned keep their names until their factors are known.
func ofTransformer(component, name string) (string, string) {
	names := transformerNames(name)
	switch {
	case component == transformerPart && sd3Block.FindString(name) == "" && len(names) < 3: // diffusers' names
		return component, name
	case len(names) == 0:
		return component, name
	case len(names) > 1 || scaleFirst(name, 2, 1):
		return transformerPart, name
	}
	return transformerPart, names[0]
}

// textName undoes what the attention processors of old diffusers were called in
// the text encoder, where they had the UNet's names.
func textName(component, module string) string {
	if component == "unet" || component == "text_encoder_3" { // a T5
		return module
	}
	module = canonicalText(module)
	for _, r := range []renaming{{"to_q", "q_proj"}, {"to_k", "k_proj"}, {"to_v", "v_proj"}, {"to_out.0", "out_proj"}} {
		if start, ok := strings.CutSuffix(module, ".self_attn."+r.ldm); ok {
			return start + ".self_attn." + r.diffusers
		}
	}
	return module
}

// compounds are the words with an underscore in the module names of UNets and text
// encoders, in diffusers' layout and the original one, the longest first. They make
// kohya's names, in which dots have become underscores, readable again.
var compounds = func() []string {
	words := strings.Fields(`
		down_blocks mid_block up_blocks transformer_blocks conv_in conv_out conv_norm_out conv_shortcut
		time_emb_proj time_embedding add_embedding linear_1 linear_2 proj_in proj_out to_q to_k to_v to_out
		input_blocks middle_block output_blocks in_layers out_layers emb_layers skip_connection time_embed label_emb
		joint_blocks x_block context_block adaLN_modulation ln_q ln_k context_embedder x_embedder y_embedder t_embedder final_layer
		feed_forward noise_refiner context_refiner cap_embedder all_x_embedder all_final_layer
		add_q_proj add_k_proj add_v_proj to_add_out ff_context norm1_context norm_out time_text_embed timestep_embedder text_embedder pos_embed
		text_model self_attn q_proj k_proj v_proj out_proj text_projection token_embedding position_embedding`)
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
	return words
}()

// nestedName turns kohya's name of a module into diffusers'. SDXL LoRAs of its own
// trainer name the UNet's modules as the original does.
func nestedName(flat string) string {
	var parts []string
	for flat != "" {
		part, rest, _ := strings.Cut(flat, "_")
		for _, word := range compounds {
			if tail, ok := strings.CutPrefix(flat, word); ok && (tail == "" || tail[0] == '_') {
				part, rest = word, strings.TrimPrefix(tail, "_")
				break
			}
		}
		parts, flat = append(parts, part), rest
	}
	name := strings.Join(parts, ".")
	if ours, ok := unetFromLDM(name); ok {
		return ours
	}
	return name
}

// keys are the names that a module's tensors have in a dialect; alpha is "" where the
// dialect has none. textPrefix is kohya's for the first text encoder.
func (d Dialect) keys(m LoRAModule, textPrefix string) (down, up, alpha string) {
	name := m.Name()
	switch {
	case d == ComfyUI:
		name = "diffusion_model." + m.Path
		return name + ".lora_A.weight", name + ".lora_B.weight", name + ".alpha"
	case d == PEFT || d == Diffusers && m.Component == transformerPart: // diffusers has had no other names there
		return name + ".lora_A.weight", name + ".lora_B.weight", ""
	case d == Kohya:
		prefix := map[string]string{"unet": "lora_unet_", transformerPart: "lora_unet_", "text_encoder": textPrefix, "text_encoder_2": "lora_te2_"}
		flat := prefix[m.Component] + strings.ReplaceAll(m.Path, ".", "_")
		return flat + ".lora_down.weight", flat + ".lora_up.weight", flat + ".alpha"
	}
	if m.Component == "unet" {
		return name + ".lora.down.weight", name + ".lora.up.weight", ""
	}
	return name + ".lora_linear_layer.down.weight", name + ".lora_linear_layer.up.weight", ""
}

// Name is the full name of the module: "unet.mid_block.attentions.0.proj_in".
func (m LoRAModule) Name() string { return fmt.Sprintf("%s.%s", m.Component, m.Path) }
