package clip

import "focusnfix/model/config"

// Why a key of a tokenizer does not matter.
const (
	aboutFile = "about the file or the class, not the tokens"
	aboutCall = "what a call returns, or how it computes the same"
)

var (
	textKeys   = config.Transformers(nil, nil)
	visionKeys = config.Transformers(nil, nil)
	wholeKeys  = config.Transformers(nil, map[string]string{
		"text_config": "read on its own", "vision_config": "read on its own",
		"text_config_dict": "read with text_config", "vision_config_dict": "read with vision_config",
		"logit_scale_init_value": "how weights began",
	})
)
