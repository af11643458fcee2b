package weights

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// adapterConfig is PEFT's configuration of an adapter: adapter_config.json beside the file that PEFT
// saves, or lora_adapter_metadata in the header that diffusers writes, where keys begin with the
// component unless there is one component only.
type adapterConfig map[string]any

// configName is the file that PEFT's save_pretrained writes beside the weights.
const configName = "adapter_config.json"

// maxConfig is the most bytes that an adapter_config.json may have.
const maxConfig = 16 << 20

// configUsed are the keys of a PEFT configuration that decide what an update is.
var configUsed = []string{
	"peft_type", "r", "rank_pattern", "lora_alpha", "alpha", "alpha_pattern", "use_rslora", "use_dora", "lora_bias",
	"bias", "init_lora_weights", "feedforward_modules",
}

// configIrrelevant are keys that change training only, or repeat what the tensors show, with the reason.
var configIrrelevant = map[string]string{
	"task_type":               "how PEFT wraps a language model",
	"auto_mapping":            "class of the base model",
	"peft_version":            "who wrote the file",
	"base_model_name_or_path": "name of the base model; the shapes tell whether it fits",
	"revision":                "of the base model",
	"inference_mode":          "gradients",
	"target_modules":          "the tensors name their modules",
	"exclude_modules":         "the tensors name their modules",
	"layers_to_transform":     "the tensors name their modules",
	"layers_pattern":          "the tensors name their modules",
	"lora_dropout":            "training",
	"rank_dropout":            "training",
	"rank_dropout_scale":      "training",
	"module_dropout":          "training",
	"megatron_config":         "how layers are split over machines",
	"megatron_core":           "how layers are split over machines",
	"loftq_config":            "init_lora_weights says whether it was used",
	"eva_config":              "start of A; the base is untouched",
	"corda_config":            "init_lora_weights says whether it was used",
	"lora_ga_config":          "init_lora_weights says whether it was used",
	"velora_config":           "backward pass",
	"qalora_group_size":       "use_qalora says whether it was used",
	"runtime_config":          "where things are computed",
	"ensure_weight_tying":     "training of tied layers",
	"init_weights":            "start of the factors",
	"init_ia3_weights":        "start of the factors",
	"use_effective_conv2d":    "the shape of the factors shows it",
	"decompose_both":          "the names of the factors show it",
	"decompose_factor":        "the shapes of the factors show it",
}

// configRefused are keys that must be absent, null, false or empty: what they ask for is not done here.
var configRefused = map[string]string{
	"fan_in_fan_out":          "weights stored as [in,out]",
	"modules_to_save":         "whole modules saved beside the updates",
	"trainable_token_indices": "trained token embeddings",
	"alora_invocation_tokens": "updates that wait for a token",
	"use_qalora":              "QALoRA",
	"monteclora_config":       "MonteCLoRA",
	"layer_replication":       "replicated layers",
	"target_parameters":       "updates of bare parameters",
	"use_bdlora":              "BD-LoRA",
	"arrow_config":            "Arrow routing",
	"kasa_config":             "KaSA",
}

// baseChanging are starts of LoRA that also change the base model: without that changed base the file
// means nothing.
var baseChanging = []string{"pissa", "olora", "corda", "loftq", "lora_ga"}

// readAdapterConfig reads the JSON of a configuration and refuses what cannot be honored.
func readAdapterConfig(text []byte) (adapterConfig, error) {
	var c adapterConfig
	d := json.NewDecoder(bytes.NewReader(finiteJSON(text)))
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("broken JSON: %w", err)
	}
	for _, key := range sortedKeys(c) {
		if err := checkConfigKey(key[strings.LastIndexByte(key, '.')+1:], c[key]); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	return c, nil
}

// finiteJSON replaces the tokens NaN and Infinity, which Python's json writes and Go's refuses, with
// null; no key that is used here may be one of them.
func finiteJSON(text []byte) []byte {
	return notFinite.ReplaceAll(text, []byte("${1}null"))
}

var notFinite = regexp.MustCompile(`([:\[,]\s*)-?(?:NaN|Infinity)\b`)

// configChecks test the values of keys that are used.
var configChecks = map[string]func(value any) error{
	"peft_type": func(value any) error {
		if slices.Contains([]any{"LORA", "LOHA", "LOKR", "IA3", nil}, value) {
			return nil
		}
		return fmt.Errorf("%.40v is not supported, want LORA, LOHA, LOKR or IA3", value)
	},
	"bias": func(value any) error {
		if value == nil || value == "none" {
			return nil
		}
		return fmt.Errorf("%.40v: trained biases are not read", value)
	},
	"init_lora_weights": func(value any) error {
		name, _ := value.(string)
		if !slices.ContainsFunc(baseChanging, func(p string) bool { return strings.HasPrefix(strings.ToLower(name), p) }) {
			return nil
		}
		return fmt.Errorf("%.40s changes the base model too; save the adapter as a plain LoRA (path_initial_model_for_weight_conversion)", name)
	},
	"feedforward_modules": func(value any) error {
		text, _ := value.(string)
		_, err := regexp.Compile(text)
		return err
	},
	"alpha_pattern": checkPatterns, "rank_pattern": checkPatterns,
	"r": checkPositive, "lora_alpha": checkPositive, "alpha": checkPositive,
}

func checkPatterns(value any) error {
	patterns, ok := value.(map[string]any)
	if !ok && value != nil {
		return fmt.Errorf("%.40v: want names and numbers", value)
	}
	for _, pattern := range sortedKeys(patterns) {
		if _, err := regexp.Compile(pattern); err != nil {
			return err
		}
		if err := checkPositive(patterns[pattern]); err != nil {
			return fmt.Errorf("%s: %w", pattern, err)
		}
	}
	return nil
}

func checkPositive(value any) error {
	if n, ok := value.(float64); value != nil && (!ok || !(n > 0)) {
		return fmt.Errorf("%.40v, want a number above 0", value)
	}
	return nil
}

func checkConfigKey(key string, value any) error {
	if check := configChecks[key]; check != nil {
		return check(value)
	}
	if slices.Contains(configUsed, key) || configIrrelevant[key] != "" || isNothing(value) {
		return nil
	}
	if what := configRefused[key]; what != "" {
		return fmt.Errorf("%s: not supported", what)
	}
	return errors.New("unknown key of a newer PEFT; it may change what the file means")
}

// isNothing reports whether a key with this value asks for nothing.
func isNothing(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// configOf is the configuration that belongs to f: of its header, or, for a file that PEFT itself saved,
// of adapter_config.json in its folder; nil if there is none.
func configOf(f *File) (adapterConfig, error) {
	if text := f.Metadata["lora_adapter_metadata"]; text != "" {
		c, err := readAdapterConfig([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("%s: lora_adapter_metadata: %w", f.Path, err)
		}
		return c, nil
	}
	if !slices.ContainsFunc(f.Tensors, func(t Tensor) bool { return strings.HasPrefix(t.Key, peftPrefix) }) {
		return nil, nil
	}
	path := filepath.Join(filepath.Dir(f.Path), configName)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, describe(path, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxConfig {
		return nil, fmt.Errorf("%s: want a regular file of at most %d bytes", path, maxConfig)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, describe(path, err)
	}
	c, err := readAdapterConfig(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// field is what the configuration says about a component.
func (c adapterConfig) field(component, name string) any {
	if value, ok := c[component+"."+name]; ok {
		return value
	}
	return c[name]
}

// number is the value of a key for one module: that of the first pattern which fits it, or the plain one.
func (c adapterConfig) number(m *LoRAModule, name, pattern string) (float64, bool) {
	patterns, _ := c.field(m.Component, pattern).(map[string]any)
	for _, p := range sortedKeys(patterns) { // PEFT matches whole names or their ends
		value, isNumber := patterns[p].(float64)
		if ok, err := regexp.MatchString(`^(?:.*\.)?(?:`+p+`)$`, m.Path); ok && err == nil && isNumber {
			return value, true
		}
	}
	value, ok := c.field(m.Component, name).(float64)
	return value, ok
}

// feedsForward reports whether IA3 scales the inputs of m, which PEFT calls a feedforward module.
func (c adapterConfig) feedsForward(m *LoRAModule) bool {
	switch names := c.field(m.Component, "feedforward_modules").(type) {
	case string:
		ok, err := regexp.MatchString(`^(?:`+names+`)$`, m.Path)
		return ok && err == nil
	case []any:
		return slices.ContainsFunc(names, func(name any) bool {
			text, ok := name.(string)
			return ok && (m.Path == text || strings.HasSuffix(m.Path, "."+text))
		})
	}
	return false
}

// alpha is what the configuration says about m; false if it says nothing. With use_rslora the scale is
// alpha over the root of the rank (arXiv 2312.03732).
func (c adapterConfig) alpha(m *LoRAModule) (float64, bool) {
	alpha, ok := c.number(m, "lora_alpha", "alpha_pattern")
	if !ok {
		alpha, ok = c.number(m, "alpha", "alpha_pattern") // of LoHa and LoKr
	}
	if !ok {
		return 0, false
	}
	if m.unranked() {
		if rank, ok := c.number(m, "r", "rank_pattern"); ok {
			alpha /= rank
		}
	}
	if c.field(m.Component, "use_rslora") == true {
		alpha *= math.Sqrt(float64(m.Rank()))
	}
	return alpha, true
}
