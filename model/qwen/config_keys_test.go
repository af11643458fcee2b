package qwen

import (
	"testing"

	"focusnfix/model/config"
	"focusnfix/model/config/configtest"
)

func TestEveryKeyIsKnown(t *testing.T) {
	configtest.EveryKeyIsKnown(t, "Qwen3Config", configKeys, config.Used(&Config{}))
	// Qwen3-4B, as the hub has it.
	_, err := ParseConfig("config.json", []byte(`{"architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
		"bos_token_id": 151643, "eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu", "hidden_size": 2560, "initializer_range": 0.02,
		"intermediate_size": 9728, "max_position_embeddings": 40960, "max_window_layers": 36, "model_type": "qwen3", "num_attention_heads": 32,
		"num_hidden_layers": 36, "num_key_value_heads": 8, "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000,
		"sliding_window": null, "tie_word_embeddings": true, "torch_dtype": "bfloat16", "transformers_version": "4.51.0", "use_cache": true,
		"use_sliding_window": false, "vocab_size": 151936}`))
	if err != nil {
		t.Error(err)
	}
}

func TestConfigErrors(t *testing.T) {
	configtest.Refuses(t, ParseConfig, map[string][2]string{
		"not JSON": {`{`, "config.json: not JSON"},
		"another":  {`{"model_type":"qwen2"}`, `model_type "qwen2", want qwen3`},
		"groups":   {`{"num_key_value_heads":5}`, "num_attention_heads 32, want a multiple of num_key_value_heads, 5"},
		"rope":     {`{"rope_scaling":{"rope_type":"yarn"}}`, `rope_scaling: rope_type "yarn", want default`},
		"theta":    {`{"rope_parameters":{"rope_theta":0.5,"rope_type":"default"}}`, "rope_theta 0.5, want more than 1"},
		"stretch":  {`{"rope_scaling":{"rope_type":"default","factor":4}}`, "rope_scaling: factor 4 is not supported"},
		"unknown":  {`{"num_experts":8}`, "num_experts: unknown key"},
		"layers":   {`{"layer_types":["full_attention","sliding_attention"]}`, "layer_types: "},
		"window":   {`{"use_sliding_window":true}`, "use_sliding_window is not supported"},
	})
}

func FuzzParseConfig(f *testing.F) {
	configtest.FuzzOneLine(f, ParseConfig)
}
