package weights

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// WriteLoRA writes modules in a dialect to path; extra goes into the header. Alpha
// keeps its value: kohya files have it beside the matrices, the others in the header,
// where programs older than 2025 do not look: bake it in first (Alpha = rank) if it
// must work there too.
func WriteLoRA(path string, dialect Dialect, modules []LoRAModule, extra map[string]string) error {
	return writeLoRA(path, dialect, modules, extra, "")
}

func writeLoRA(path string, dialect Dialect, modules []LoRAModule, extra map[string]string, dtype DType) error {
	if !slices.Contains([]Dialect{PEFT, Diffusers, Kohya, ComfyUI}, dialect) {
		return fmt.Errorf("%s: LoRA dialect %q, want %s, %s, %s or %s", path, dialect, PEFT, Diffusers, Kohya, ComfyUI)
	}
	modules, err := dialect.named(modules)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	lora := &LoRA{Path: path, Modules: modules}
	var entries []Entry
	for _, m := range modules {
		if err := m.check(); err != nil {
			return fmt.Errorf("%s: %s: %w", path, m.Name(), err)
		}
		if !m.Plain() {
			return fmt.Errorf("%s: %s: is %s; only plain LoRA can be written", path, m.Name(), m.Describe())
		}
		down, up, alpha := dialect.keys(m, lora.textPrefix())
		for _, e := range []Entry{{down, m.Down.stored(), m.Down.Shape, m.Down.writeTo}, {up, m.Up.stored(), m.Up.Shape, m.Up.writeTo}} {
			if dtype != "" {
				var err error
				if e, err = Cast(e, dtype); err != nil {
					return fmt.Errorf("%s: %w", path, err)
				}
			}
			entries = append(entries, e)
		}
		if alpha != "" {
			bits := binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(m.Alpha)))
			entries = append(entries, Entry{alpha, F32, []int64{}, FromBytes(bits)})
		}
	}
	metadata, err := lora.header(dialect)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	maps.Copy(metadata, extra)
	return Write(path, metadata, entries)
}

// keptHeader are the starts of header keys about training and model that a rewritten file keeps.
var keptHeader = []string{"ss_", "modelspec.", "focusnfix_"}

// RewriteLoRA writes what ReadLoRA has read in a dialect, with its matrices as dtype unless that is "".
func RewriteLoRA(path string, dialect Dialect, lora *LoRA, dtype DType) error {
	kept := map[string]string{}
	for key, value := range lora.Metadata {
		if key != "modelspec.hash_sha256" && slices.ContainsFunc(keptHeader, func(start string) bool { return strings.HasPrefix(key, start) }) {
			kept[key] = value
		}
	}
	return writeLoRA(path, dialect, lora.Modules, kept, dtype)
}

// textPrefix is kohya's for the first text encoder: it depends on there being two.
func (l *LoRA) textPrefix() string {
	kind, _ := l.Kind()
	second := func(m LoRAModule) bool { return m.Component == "text_encoder_2" }
	if kind == SDXL || slices.ContainsFunc(l.Modules, second) {
		return "lora_te1_"
	}
	return "lora_te_"
}

// header is the metadata that other programs look for.
func (l *LoRA) header(dialect Dialect) (map[string]string, error) {
	rank, alpha := l.usual(func(LoRAModule) bool { return true })
	if dialect == Kohya {
		metadata := map[string]string{
			"ss_network_module": "networks.lora",
			"ss_network_dim":    strconv.FormatInt(rank, 10),
			"ss_network_alpha":  strconv.FormatFloat(alpha, 'g', -1, 64),
		}
		if kind, ok := l.Kind(); ok {
			metadata["ss_base_model_version"] = map[Kind]string{SD1: "sd_v1", SD2: "sd_v2", SDXL: "sdxl_base_v1-0", SD3: "sd3", ZImage: "z_image"}[kind]
			metadata["ss_v2"] = map[bool]string{true: "True", false: "False"}[kind == SD2]
		}
		return metadata, nil
	}
	config := map[string]any{}
	for _, component := range []string{"unet", transformerPart, "text_encoder", "text_encoder_2"} {
		l.addConfig(component, config)
	}
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return nil, err
	}
	return map[string]string{"format": "pt", "lora_adapter_metadata": string(text)}, nil
}

// addConfig adds the fields of PEFT's LoraConfig for one component to config.
func (l *LoRA) addConfig(component string, config map[string]any) {
	ours := func(m LoRAModule) bool { return m.Component == component }
	if !slices.ContainsFunc(l.Modules, ours) {
		return
	}
	rank, alpha := l.usual(ours)
	targets, ranks, alphas := []string{}, map[string]int64{}, map[string]float64{}
	for _, m := range l.Modules {
		if !ours(m) {
			continue
		}
		targets = append(targets, m.Path)
		if m.Rank() != rank {
			ranks[m.Path] = m.Rank()
		}
		if m.Alpha != alpha {
			alphas[m.Path] = m.Alpha
		}
	}
	slices.Sort(targets)
	for field, value := range map[string]any{
		"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "target_modules": targets,
		"rank_pattern": ranks, "alpha_pattern": alphas, "use_rslora": false, "use_dora": false, "bias": "none",
	} {
		config[component+"."+field] = value
	}
}

// usual is the most frequent rank, and alpha, of the modules that which selects.
func (l *LoRA) usual(which func(LoRAModule) bool) (rank int64, alpha float64) {
	ranks, alphas := map[int64]int{}, map[float64]int{}
	for _, m := range l.Modules {
		if !which(m) {
			continue
		}
		ranks[m.Rank()]++
		alphas[m.Alpha]++
		if n := ranks[m.Rank()]; n > ranks[rank] || n == ranks[rank] && m.Rank() < rank {
			rank = m.Rank()
		}
		if n := alphas[m.Alpha]; n > alphas[alpha] || n == alphas[alpha] && m.Alpha < alpha {
			alpha = m.Alpha
		}
	}
	return rank, alpha
}
