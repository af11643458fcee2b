package zimage

import (
	"testing"

	"focusnfix/model/config"
	"focusnfix/model/config/configtest"
)

func TestEveryKeyIsKnown(t *testing.T) {
	configtest.EveryKeyIsKnown(t, "ZImageTransformer2DModel", configKeys, config.Used(&Config{}))
}
