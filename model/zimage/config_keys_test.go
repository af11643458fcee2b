package zimage

import (
	"testing"

	"focusnfix/model/config"
	"focusnfix/model/config/configtest"
)

func TestEveryKeyIsKnown(t *testing.T) {
	configtest.EveryKeyIsKnown(t, "ZImageTransformer2DModel", configKeys, config.Used(&Config{}))
}

func TestConfigErrors(t *testing.T) {
	configtest.Refuses(t, ParseConfig, map[string][2]string{
		"not JSON":      {`[`, "config.json: not JSON"},
		"another class": {`{"_class_name":"FluxTransformer2DModel"}`, `want "ZImageTransformer2DModel"`},
		"unknown key":   {`{"guidance_embeds":true}`, "guidance_embeds: unknown key"},
		"editing":       {`{"siglip_feat_dim":1152}`, "siglip_feat_dim: an editing model"},
		"axes":          {`{"axes_dims":[32,48,46]}`, "axes_dims [32 48 46] sum to 126, want 128"},
		"two patches":   {`{"all_patch_size":[2,4],"all_f_patch_size":[1,1]}`, "want one size"},
		"no heads":      {`{"n_heads":0}`, "n_heads 0, want 1 to 1024"},
	})
}

func FuzzParseConfig(f *testing.F) {
	for _, arch := range readGolden(f).Configs {
		f.Add([]byte(arch))
	}
	configtest.FuzzOneLine(f, ParseConfig, `{"axes_dims":[],"all_patch_size":null,"n_heads":-1}`)
}
