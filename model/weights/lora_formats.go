package weights

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// A LoRA file holds, for some modules of a model, the two factors of an update
// loraAlpha/rank · up · down to the weight (Hu et al., arXiv 2106.09685). Programs
// agree on that and on nothing else: each names the modules in its own way and keeps
// alpha in another place. ReadLoRA understands
//
//	PEFT         unet.MODULE.lora_A.weight                alpha in the header
//	diffusers    unet.MODULE.lora.down.weight for the attention, PEFT's for the rest
//	old diffusers  MODULE.processor.to_q_lora.down.weight   no alpha
//	kohya        lora_unet_MODULE_WITH_UNDERSCORES.lora_down.weight and .alpha
//
// and WriteLoRA writes the first, the second and the last. Its second kind of file has
// diffusers' names throughout: diffusers 0.42 looks at the first key of a file only,
// and so loses the attention from the mixed files that its own scripts write.

// Dialect is a way to name the tensors of a LoRA file.
type Dialect string

// The dialects that WriteLoRA knows.
const (
	PEFT      Dialect = "peft"
	Diffusers Dialect = "diffusers"
	Kohya     Dialect = "kohya"
	attnProcs Dialect = "attention processors" // only read
)

// LoRA is what a LoRA file says, in diffusers' names.
type LoRA struct {
	Path    string
	Dialect Dialect      // PEFT only if every tensor is named so
	Modules []LoRAModule // by name
}

// LoRAModule is the update of one module. Convolutions have Down [rank,in,kh,kw] and
// Up [out,rank,1,1], linear layers Down [rank,in] and Up [out,rank].
type LoRAModule struct {
	Component string // unet, text_encoder, text_encoder_2
	Path      string // inside the component: "down_blocks.0.attentions.0.proj_in"
	Down, Up  Tensor
	Alpha     float64 // the update is Alpha/rank · Up · Down
}

// Rank is the inner dimension of the two factors.
func (m LoRAModule) Rank() int64 { return m.Down.Shape[0] }

// ReadLoRA sorts the tensors of f by module. A file with anything but plain LoRA in
// it (DoRA, LoHa, LoKr, biases) is refused: half of an update is not an update.
func ReadLoRA(f *File) (*LoRA, error) {
	lora := &LoRA{Path: f.Path}
	modules, alphas, err := lora.collect(f.Tensors)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	meta, err := readAdapterMetadata(f.Metadata["lora_adapter_metadata"])
	if err != nil {
		return nil, fmt.Errorf("%s: lora_adapter_metadata: %w", f.Path, err)
	}
	for _, name := range sortedKeys(modules) {
		m := modules[name]
		if err := m.check(); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", f.Path, name, err)
		}
		var ok bool
		if m.Alpha, ok = alphas[name]; !ok {
			m.Alpha = meta.alpha(m)
		}
		lora.Modules = append(lora.Modules, *m)
	}
	return lora, nil
}

// collect finds the tensors of every module, and the alphas that are tensors.
func (l *LoRA) collect(tensors []Tensor) (modules map[string]*LoRAModule, alphas map[string]float64, err error) {
	modules, alphas = map[string]*LoRAModule{}, map[string]float64{}
	var strange []string
	for _, t := range tensors {
		k, ok := parseLoRAKey(t.Key)
		if !ok {
			strange = append(strange, t.Key)
			continue
		}
		if l.Dialect == "" || l.Dialect == PEFT {
			l.Dialect = cmp.Or(k.dialect, l.Dialect)
		}
		name := k.component + "." + k.module
		if k.role == roleAlpha {
			if alphas[name], err = t.scalar(); err != nil {
				return nil, nil, err
			}
			continue
		}
		if modules[name] == nil {
			modules[name] = &LoRAModule{Component: k.component, Path: k.module}
		}
		into := &modules[name].Down
		if k.role == roleUp {
			into = &modules[name].Up
		}
		if into.Shape != nil {
			return nil, nil, fmt.Errorf("%s: both %s and %s stand for it", name, into.Key, t.Key)
		}
		*into = t
	}
	switch {
	case len(strange) > 0:
		return nil, nil, fmt.Errorf("no plain LoRA: cannot read %s", enumerate(strange))
	case len(modules) == 0:
		return nil, nil, errors.New("holds no LoRA")
	}
	return modules, alphas, nil
}

// check tests that the two factors are there and can be multiplied.
func (m *LoRAModule) check() error {
	down, up := m.Down.Shape, m.Up.Shape
	switch {
	case down == nil || up == nil:
		return errors.New("one of its two matrices is missing")
	case len(down) != len(up) || len(down) != 2 && len(down) != 4:
		return fmt.Errorf("shapes %s and %s are not those of a LoRA", shapeString(down), shapeString(up))
	case up[1] != down[0] || down[0] == 0:
		return fmt.Errorf("shapes %s and %s have no common rank", shapeString(down), shapeString(up))
	}
	return nil
}

// scalar is the one value of t, which must be a number.
func (t Tensor) scalar() (float64, error) {
	values, err := t.Float32s()
	if err != nil || len(values) != 1 || math.IsInf(float64(values[0]), 0) || math.IsNaN(float64(values[0])) {
		return 0, fmt.Errorf("%s: %s %s, want one number", t.Key, t.DType, shapeString(t.Shape))
	}
	return float64(values[0]), nil
}

// adapterMetadata is PEFT's configuration as diffusers writes it into the header:
// one flat object whose keys begin with the component, or a lone component's without.
type adapterMetadata map[string]any

func readAdapterMetadata(text string) (adapterMetadata, error) {
	if text == "" {
		return nil, nil
	}
	var meta adapterMetadata
	if err := json.Unmarshal([]byte(text), &meta); err != nil {
		return nil, err
	}
	for key, value := range meta {
		switch field := key[strings.LastIndexByte(key, '.')+1:]; field {
		case "use_dora":
			if value == true {
				return nil, errors.New("use_dora: only plain LoRA can be read")
			}
		case "alpha_pattern":
			patterns, _ := value.(map[string]any)
			for pattern := range patterns {
				if _, err := regexp.Compile(pattern); err != nil {
					return nil, fmt.Errorf("alpha_pattern: %w", err)
				}
			}
		}
	}
	return meta, nil
}

// alpha is what the metadata says about m, and the rank where it says nothing, which
// makes the scale 1. With use_rslora the scale is alpha over the root of the rank
// (arXiv 2312.03732).
func (meta adapterMetadata) alpha(m *LoRAModule) float64 {
	field := func(name string) any {
		if value, ok := meta[m.Component+"."+name]; ok {
			return value
		}
		return meta[name]
	}
	rank := float64(m.Rank())
	alpha, ok := field("lora_alpha").(float64)
	if !ok {
		return rank
	}
	patterns, _ := field("alpha_pattern").(map[string]any)
	for _, pattern := range sortedKeys(patterns) { // PEFT matches whole names or their ends
		value, isNumber := patterns[pattern].(float64)
		if ok, err := regexp.MatchString(`^(?:.*\.)?(?:`+pattern+`)$`, m.Path); ok && err == nil && isNumber {
			alpha = value
			break
		}
	}
	if field("use_rslora") == true {
		alpha *= math.Sqrt(rank)
	}
	return alpha
}

// Kind tells what model the LoRA was made for by the width of the text states its
// cross-attention reads; ok is false if it has none of that.
func (l *LoRA) Kind() (kind Kind, ok bool) {
	for _, m := range l.Modules {
		if m.Component == "unet" && (strings.HasSuffix(m.Path, "attn2.to_k") || strings.HasSuffix(m.Path, "attn2.to_v")) {
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
			bad = append(bad, fmt.Sprintf("%s (%s·%s for %s)",
				m.Name(), shapeString(m.Up.Shape), shapeString(m.Down.Shape), shapeString(weight)))
		}
	}
	if len(bad) == 0 {
		return nil
	}
	hint := "is it for another model?"
	if kind, ok := l.Kind(); ok {
		hint = fmt.Sprintf("it was made for %s", kind)
	}
	return fmt.Errorf("%s: %d of %d modules do not fit the model: %s; %s",
		l.Path, len(bad), len(l.Modules), enumerate(bad), hint)
}

// fits tests the update against the weight, [out,in] or [out,in,kh,kw]. A linear
// layer and a 1x1 convolution are the same thing.
func (m LoRAModule) fits(weight []int64) bool {
	trim := func(shape []int64) []int64 {
		if len(shape) == 4 && shape[2] == 1 && shape[3] == 1 {
			return shape[:2]
		}
		return shape
	}
	down, weight := trim(m.Down.Shape), trim(weight)
	return len(weight) >= 2 && len(down) == len(weight) && slices.Equal(down[1:], weight[1:]) && m.Up.Shape[0] == weight[0]
}
