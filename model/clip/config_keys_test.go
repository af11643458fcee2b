package clip

import (
	"testing"

	"focusnfix/model/config"
	"focusnfix/model/config/configtest"
)

func TestEveryKeyIsKnown(t *testing.T) {
	textFields := config.Used(&TextConfig{})
	configtest.EveryKeyIsKnown(t, "CLIPTextConfig", textKeys, textFields)
	configtest.EveryKeyIsKnown(t, "PreTrainedConfig", textKeys, textFields)
	configtest.EveryKeyIsKnown(t, "CLIPVisionConfig", visionKeys, config.Used(&VisionConfig{}))
	configtest.EveryKeyIsKnown(t, "CLIPConfig", wholeKeys, []string{"projection_dim"})
	configtest.EveryKeyIsKnown(t, "CLIPTokenizer", tokenizerKeys, config.Used(&tokenizerConfig{}))
}
