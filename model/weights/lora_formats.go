package weights

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// A LoRA file holds, for some modules of a model, the two factors of an update
// loraAlpha/rank · up · down to the weight (Hu et al., arXiv 2106.09685). Programs
// agree on that and on nothing else: each names the modules in its own way and keeps
// alpha in another place. ReadLoRA understands
//
//	PEFT         unet.MODULE.lora_A.weight                alpha in the header, or in adapter_config.json
//	diffusers    unet.MODULE.lora.down.weight for the attention, PEFT's for the rest
//	old diffusers  MODULE.processor.to_q_lora.down.weight   no alpha
//	kohya        lora_unet_MODULE_WITH_UNDERSCORES.lora_down.weight and .alpha
//	ComfyUI      diffusion_model.MODULE, text_encoders.clip_l.transformer.MODULE
//
// and WriteLoRA writes all but the third, ComfyUI's for transformers alone. Its second kind of file has
// diffusers' names throughout: diffusers 0.42 looks at the first key of a file only,
// and so loses the attention from the mixed files that its own scripts write.
// The other methods of LyCORIS and PEFT (Method) come with the same names of modules.

// Dialect is a way to name the tensors of a LoRA file.
type Dialect string

// The dialects that WriteLoRA knows.
const (
	PEFT      Dialect = "peft"
	Diffusers Dialect = "diffusers"
	Kohya     Dialect = "kohya"
	ComfyUI   Dialect = "comfyui"              // of transformers
	attnProcs Dialect = "attention processors" // only read
)

// LoRA is what a LoRA file says, in diffusers' names.
type LoRA struct {
	Path     string
	Dialect  Dialect           // PEFT only if every tensor is named so
	Modules  []LoRAModule      // by name
	Metadata map[string]string // the file's header
}

// LoRAModule is the update of one module. Convolutions have Down [rank,in,kh,kw] and
// Up [out,rank,1,1], linear layers Down [rank,in] and Up [out,rank]. Methods other than
// plain LoRA have more, or other, Factors.
type LoRAModule struct {
	Component string // unet, transformer, text_encoder, text_encoder_2
	Path      string // inside the component: "down_blocks.0.attentions.0.proj_in"
	Method    Method // "" is LoRA
	Down, Up  Tensor
	Factors   map[Factor]Tensor
	Alpha     float64 // the update is Alpha/rank · Up · Down
	OnInput   bool    // of IA3: its vector scales inputs
}

// Plain reports whether the module is Up · Down and nothing else.
func (m LoRAModule) Plain() bool {
	return (m.Method == "" || m.Method == PlainLoRA) && len(m.Factors) == 0
}

// Rank is the inner dimension of the factors, and 1 where there is none.
func (m LoRAModule) Rank() int64 {
	for _, t := range []Tensor{m.Down, m.Factors[HadaW1B], m.Factors[LokrW1B], m.Factors[LokrW2B]} {
		if len(t.Shape) > 0 {
			return t.Shape[0]
		}
	}
	return 1
}

// ReadLoRA sorts the tensors of f by module. A file with anything in it that would not be
// applied is refused by name: half of an update is not an update.
func ReadLoRA(f *File) (*LoRA, error) {
	lora := &LoRA{Path: f.Path, Metadata: f.Metadata}
	if what := Identify(f); what.What == WhatLoRA && what.Family != "" && !what.known() {
		return nil, fmt.Errorf("%s: %w", f.Path, refuseLoRA(f, nil))
	}
	modules, alphas, err := lora.collect(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	config, err := configOf(f)
	if err != nil {
		return nil, err
	}
	for _, name := range sortedKeys(modules) {
		m := modules[name]
		if err := m.check(); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", f.Path, name, err)
		}
		m.OnInput = m.OnInput || config.feedsForward(m)
		alpha, known := alphas[name]
		if err := m.setAlpha(alpha, known, config); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		parts, err := m.inDiffusersNames()
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", f.Path, name, err)
		}
		lora.Modules = append(lora.Modules, parts...)
	}
	slices.SortFunc(lora.Modules, func(a, b LoRAModule) int { return cmp.Compare(a.Name(), b.Name()) })
	return lora, nil
}

// setAlpha sets alpha to the file's own, if that is known, or what the configuration says.
func (m *LoRAModule) setAlpha(alpha float64, known bool, config adapterConfig) error {
	if known && m.unranked() {
		alpha = 1
	}
	if !known {
		alpha, known = config.alpha(m)
	}
	switch {
	case known:
		m.Alpha = alpha
	case m.scaled() && strings.HasPrefix(m.anyKey(), peftPrefix):
		return fmt.Errorf("saved by PEFT, and no %s beside it tells lora_alpha; put that file there", configName)
	default:
		m.Alpha = float64(m.Rank()) // a scale of 1
	}
	return nil
}

// collect finds the tensors of every module, and the alphas that are tensors.
func (l *LoRA) collect(f *File) (modules map[string]*LoRAModule, alphas map[string]float64, err error) {
	modules, alphas = map[string]*LoRAModule{}, map[string]float64{}
	var strange []string
	for _, t := range f.Tensors {
		if isMark(t) {
			continue
		}
		k, ok := parseLoRAKey(t.Key)
		if !ok {
			strange = append(strange, t.Key)
			continue
		}
		if l.Dialect == "" || l.Dialect == PEFT {
			l.Dialect = cmp.Or(k.dialect, l.Dialect)
		}
		name := k.component + "." + k.module
		if k.factor == factorAlpha {
			if alphas[name], err = t.scalar(); err != nil {
				return nil, nil, err
			}
			continue
		}
		if modules[name] == nil {
			modules[name] = &LoRAModule{Component: k.component, Path: k.module, Factors: map[Factor]Tensor{}}
		}
		if err := modules[name].add(k.factor, t); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(strange) > 0 || len(modules) == 0 {
		return nil, nil, refuseLoRA(f, strange)
	}
	return modules, alphas, nil
}

// isMark reports an empty tensor whose key alone says something, as ComfyUI and LyCORIS write them.
func isMark(t Tensor) bool { return slices.Contains([]string{"bypass_mode", "lora_te_marker"}, t.Key) }

// refuseLoRA says why a file is not read as a LoRA: what it is instead, a method that is not applied, or
// the keys that mean nothing here.
func refuseLoRA(f *File, strange []string) error {
	what := Identify(f)
	switch {
	case what.What != WhatLoRA && what.What != "":
		return fmt.Errorf("not a LoRA: it is %s", what)
	case what.Family != "" && !what.known():
		return fmt.Errorf("is %s; want one for %s, %s, %s, %s or %s", what, SD1, SD2, SDXL, SD3, ZImage)
	}
	for _, key := range strange {
		if method := refusedMethod(key); method != "" {
			return fmt.Errorf("holds %s (%s), which is not supported", method, key)
		}
	}
	if len(strange) == 0 {
		return errors.New("holds no LoRA")
	}
	return fmt.Errorf("not a LoRA file, or of an unknown kind: cannot read %s", enumerate(strange))
}

// add puts a tensor in its place.
func (m *LoRAModule) add(f Factor, t Tensor) error {
	switch f {
	case factorDown, factorUp:
		into := &m.Down
		if f == factorUp {
			into = &m.Up
		}
		if into.Shape != nil {
			return fmt.Errorf("both %s and %s stand for it", into.Key, t.Key)
		}
		*into = t
	default:
		if other, ok := m.Factors[f]; ok {
			return fmt.Errorf("both %s and %s stand for it", other.Key, t.Key)
		}
		m.Factors[f] = t
	}
	return nil
}

// anyKey is the key of one of the module's tensors.
func (m *LoRAModule) anyKey() string {
	for _, t := range m.tensors() {
		return t.Key
	}
	return ""
}

// tensors are the module's, in a fixed order.
func (m *LoRAModule) tensors() []Tensor {
	var all []Tensor
	for _, t := range []Tensor{m.Down, m.Up} {
		if t.Shape != nil {
			all = append(all, t)
		}
	}
	for _, f := range sortedKeys(m.Factors) {
		all = append(all, m.Factors[f])
	}
	return all
}

// scalar is the one value of t, which must be a number.
func (t Tensor) scalar() (float64, error) {
	values, err := t.Float32s()
	if err != nil || len(values) != 1 || math.IsInf(float64(values[0]), 0) || math.IsNaN(float64(values[0])) {
		return 0, fmt.Errorf("%s: %s %s, want one number", t.Key, t.DType, shapeString(t.Shape))
	}
	return float64(values[0]), nil
}

// Kind tells what model the LoRA was made for, a UNet by the width of the text states its
// cross-attention reads; ok is false if it has none of that.
func (l *LoRA) Kind() (kind Kind, ok bool) {
	for _, m := range l.Modules {
		if m.Component == transformerPart {
			if zImageBlock.MatchString(m.Path) {
				return ZImage, true
			}
			return SD3, true
		}
		if m.Component == "unet" && m.Plain() && (strings.HasSuffix(m.Path, "attn2.to_k") || strings.HasSuffix(m.Path, "attn2.to_v")) {
			return kindOfContext(m.Down.Shape[1])
		}
	}
	return "", false
}

// Check reports the modules that a model does not have, or has in another size, all
// at once. shape is the weight's shape of a module of the model.
func (l *LoRA) Check(shape func(component, path string) ([]int64, bool)) error {
	var bad []string
	for _, m := range l.Modules {
		weight, ok := shape(m.Component, m.Path)
		switch {
		case !ok:
			bad = append(bad, m.Name())
		case !m.fits(weight):
			bad = append(bad, fmt.Sprintf("%s (%s for %s)", m.Name(), m.shapes(), shapeString(weight)))
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %d of %d modules do not fit the model: %s; %s",
		l.Path, len(bad), len(l.Modules), enumerate(bad), l.madeFor())
}

// madeFor is the hint of an error about modules that do not fit.
func (l *LoRA) madeFor() string {
	if kind, ok := l.Kind(); ok {
		return fmt.Sprintf("it was made for %s", kind)
	}
	var keys []string
	for _, m := range l.Modules {
		for _, t := range m.tensors() {
			keys = append(keys, t.Key)
		}
	}
	if family := familyOf(keys); family != "" {
		return fmt.Sprintf("it is a LoRA for %s", family)
	}
	if base := l.Metadata["ss_base_model_version"]; base != "" {
		return fmt.Sprintf("its header says it was made for %.40q", base)
	}
	return "is it for another model?"
}

// shapes are those of the factors, for an error.
func (m LoRAModule) shapes() string {
	if m.Method == PlainLoRA || m.Method == "" {
		return shapeString(m.Up.Shape) + "·" + shapeString(m.Down.Shape)
	}
	var texts []string
	for _, t := range m.tensors() {
		texts = append(texts, shapeString(t.Shape))
	}
	return string(m.Method) + " of " + strings.Join(texts, " ")
}
