package mmdit

import (
	"testing"

	"focusnfix/model/config"
	"focusnfix/model/config/configtest"
)

func TestEveryKeyIsKnown(t *testing.T) {
	configtest.EveryKeyIsKnown(t, "SD3Transformer2DModel", configKeys, config.Used(&Config{}))
}

func TestConfigErrors(t *testing.T) {
	configtest.Refuses(t, ParseConfig, map[string][2]string{
		"not JSON":      {`[`, "config.json: not JSON"},
		"another class": {`{"_class_name":"FluxTransformer2DModel"}`, `_class_name: "FluxTransformer2DModel" is not supported, want "SD3Transformer2DModel"`},
		"unknown key":   {`{"rope_axes":[1]}`, "rope_axes: unknown key"},
		"width":         {`{"caption_projection_dim":7}`, "caption_projection_dim 7, want 1152"},
		"dual":          {`{"dual_attention_layers":[18]}`, "dual_attention_layers has 18, want 0 to 17"},
		"qk_norm":       {`{"qk_norm":"layer_norm"}`, `qk_norm "layer_norm", want rms_norm or null`},
		"size":          {`{"num_layers":0}`, "num_layers 0, want 1 to 1024"},
	})
}

func FuzzParseConfig(f *testing.F) {
	for _, arch := range readGolden(f).Configs {
		f.Add([]byte(arch))
	}
	configtest.FuzzOneLine(f, ParseConfig, `{"qk_norm":null,"dual_attention_layers":null}`)
}
