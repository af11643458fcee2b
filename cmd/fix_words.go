package cmd

import (
	"errors"
	"fmt"

	"focusnfix/core"
	"focusnfix/core/engine"
)

// inWords makes the fault that is said in words the one that is judged, in place of the configuration's.
func (x *fixFlags) inWords(c *core.Config) error {
	if x.fault == "" {
		return nil
	}
	r, err := engine.RewardInWords(c.Reward[0], x.fault, x.clip, x.heldOutCLIP)
	if missing := (engine.NoCLIPError{}); errors.As(err, &missing) {
		return hintedError{err, "--clip names another folder"}
	}
	if err != nil {
		return usageError{fmt.Errorf("--%w", err)}
	}
	x.aspect, c.Reward = r.Aspect, []core.Reward{r}
	return nil
}
