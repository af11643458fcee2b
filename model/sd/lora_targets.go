package sd

import "focusnfix/model/backbone"

// loraTargets are the groups of UNet layers that low-rank updates can be put on, by how the layers'
// names end. conv_in and conv_out belong to none.
var loraTargets = map[string][]string{
	"attention":   {".to_q", ".to_k", ".to_v", ".to_out.0"},
	"feedforward": {".ff.net.0.proj", ".ff.net.2", ".proj_in", ".proj_out"},
	"convolution": {".conv1", ".conv2", ".conv_shortcut", ".conv"},
	"time":        {".time_emb_proj", "time_embedding.linear_1", "time_embedding.linear_2", "add_embedding.linear_1", "add_embedding.linear_2"},
}

// LoRATargets makes the choice of layers that nn.NewAdapter wants out of group names: attention,
// feedforward (with the projections into and out of transformers), convolution, time.
func LoRATargets(groups []string) (func(layer string) bool, error) {
	return backbone.Targets(loraTargets, groups)
}
