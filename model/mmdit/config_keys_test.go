package mmdit

import (
	"testing"

	"focusnfix/model/config"
	"focusnfix/model/config/configtest"
)

func TestEveryKeyIsKnown(t *testing.T) {
	configtest.EveryKeyIsKnown(t, "SD3Transformer2DModel", configKeys, config.Used(&Config{}))
}
