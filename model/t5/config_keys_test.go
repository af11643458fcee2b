package t5

import (
	"testing"

	"focusnfix/model/config"
	"focusnfix/model/config/configtest"
)

func TestEveryKeyIsKnown(t *testing.T) {
	configtest.EveryKeyIsKnown(t, "T5Config", configKeys, config.Used(&Config{}))
	// The text encoder of Stable Diffusion 3.5, as the hub has it.
	_, err := ParseConfig("config.json", []byte(`{"_name_or_path": "google/t5-v1_1-xxl", "architectures": ["T5EncoderModel"],
		"classifier_dropout": 0.0, "d_ff": 10240, "d_kv": 64, "d_model": 4096, "decoder_start_token_id": 0, "dense_act_fn": "gelu_new",
		"dropout_rate": 0.1, "eos_token_id": 1, "feed_forward_proj": "gated-gelu", "initializer_factor": 1.0, "is_encoder_decoder": true,
		"is_gated_act": true, "layer_norm_epsilon": 1e-06, "model_type": "t5", "num_decoder_layers": 24, "num_heads": 64, "num_layers": 24,
		"output_past": true, "pad_token_id": 0, "relative_attention_max_distance": 128, "relative_attention_num_buckets": 32,
		"tie_word_embeddings": false, "torch_dtype": "float16", "transformers_version": "4.41.2", "use_cache": true, "vocab_size": 32128}`))
	if err != nil {
		t.Error(err)
	}
}

func TestConfigErrors(t *testing.T) {
	configtest.Refuses(t, ParseConfig, map[string][2]string{
		"not JSON":    {`{`, "config.json: not JSON"},
		"another":     {`{"model_type":"umt5"}`, `model_type "umt5", want t5`},
		"activation":  {`{"feed_forward_proj":"gated-silu"}`, `feed_forward_proj "gated-silu", want gated-gelu or relu`},
		"no layers":   {`{"num_layers":0}`, "num_layers 0, want 1 to 4096"},
		"distances":   {`{"relative_attention_max_distance":3}`, "relative_attention_max_distance 3, want 9"},
		"unknown key": {`{"rope_theta":1}`, "rope_theta: unknown key"},
		"not gated":   {`{"feed_forward_proj":"gated-gelu","is_gated_act":false}`, "is_gated_act false, want true"},
		"another act": {`{"dense_act_fn":"silu"}`, `dense_act_fn "silu", want relu`},
		"fraction":    {`{"num_layers":1.5}`, "num_layers: 1.5, want a whole number"},
		"two at once": {`{"d_kv":0,"d_ff":-1}`, "d_ff -1"},
	})
}

func FuzzParseConfig(f *testing.F) {
	configtest.FuzzOneLine(f, ParseConfig)
}
