package weights

import (
	"fmt"
	"slices"
	"strings"
)

// role says what a tensor of a LoRA file is to its module.
type role uint8

const (
	roleDown  role = iota + 1 // A, [rank,in]
	roleUp                    // B, [out,rank]
	roleAlpha                 // the numerator of the scale
)

// loraEndings are how the dialects end a key after the module's name, in the order
// in which they are tried. add belongs to that name.
var loraEndings = []struct {
	text    string
	role    role
	dialect Dialect
	add     string
}{
	{".lora_A.weight", roleDown, PEFT, ""},
	{".lora_B.weight", roleUp, PEFT, ""},
	{".lora_A.default.weight", roleDown, PEFT, ""},
	{".lora_B.default.weight", roleUp, PEFT, ""},
	{".lora_linear_layer.down.weight", roleDown, Diffusers, ""},
	{".lora_linear_layer.up.weight", roleUp, Diffusers, ""},
	{".lora.down.weight", roleDown, Diffusers, ""},
	{".lora.up.weight", roleUp, Diffusers, ""},
	{".to_out_lora.down.weight", roleDown, attnProcs, ".to_out.0"},
	{".to_out_lora.up.weight", roleUp, attnProcs, ".to_out.0"},
	{"_lora.down.weight", roleDown, attnProcs, ""},
	{"_lora.up.weight", roleUp, attnProcs, ""},
	{".lora_down.weight", roleDown, Kohya, ""},
	{".lora_up.weight", roleUp, Kohya, ""},
	{".alpha", roleAlpha, "", ""},
}

// loraKey is what the key of a LoRA file says.
type loraKey struct {
	component, module string
	role              role
	dialect           Dialect
}

// parseLoRAKey understands one key by itself, so that files which mix dialects, as
// diffusers' own scripts write them, need no special case.
func parseLoRAKey(key string) (loraKey, bool) {
	for _, e := range loraEndings {
		module, ok := strings.CutSuffix(key, e.text)
		if !ok || module == "" {
			continue
		}
		k := loraKey{role: e.role, dialect: e.dialect}
		k.component, k.module = loraModule(module + e.add)
		if strings.HasPrefix(key, "lora_") {
			k.dialect = Kohya
		}
		return k, k.module != ""
	}
	return loraKey{}, false
}

// loraModule splits the name of a module, in any dialect, into the part of the model
// and diffusers' name of the module inside it.
func loraModule(name string) (component, module string) {
	for _, p := range []struct{ prefix, component string }{
		{"lora_unet_", "unet"},
		{"lora_te_", "text_encoder"},
		{"lora_te1_", "text_encoder"},
		{"lora_te2_", "text_encoder_2"},
	} {
		if flat, ok := strings.CutPrefix(name, p.prefix); ok {
			return p.component, nestedName(flat)
		}
	}
	name = strings.TrimPrefix(name, "base_model.model.")
	name = strings.ReplaceAll(name, ".processor.", ".")
	for _, component := range []string{"unet", "text_encoder", "text_encoder_2"} {
		if module, ok := strings.CutPrefix(name, component+"."); ok {
			return component, textName(component, module)
		}
	}
	if strings.HasPrefix(name, "text_model.") {
		return "text_encoder", textName("text_encoder", name)
	}
	return "unet", name
}

// textName undoes what the attention processors of old diffusers were called in
// the text encoder, where they had the UNet's names.
func textName(component, module string) string {
	if component == "unet" {
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
	switch d {
	case PEFT:
		return name + ".lora_A.weight", name + ".lora_B.weight", ""
	case Kohya:
		prefix := map[string]string{"unet": "lora_unet_", "text_encoder": textPrefix, "text_encoder_2": "lora_te2_"}
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
