package cmd

import (
	"context"
	"sync"

	"focusnfix/core"
	"focusnfix/core/notify"
	"focusnfix/core/run"
	"focusnfix/core/words"
)

// notifier runs the user's notify.command for the news of an engine in this process.
type notifier struct {
	settings notify.Settings
	run      string
	warn     func(string)
	running  sync.WaitGroup
}

// newNotifier reads the user's settings; where they are broken it warns and tells nothing.
func newNotifier(f run.Folder, warn func(string)) *notifier {
	s, err := notify.Load()
	if err != nil {
		warn(err.Error())
	}
	return &notifier{settings: s, run: f.Name(), warn: warn}
}

// event tells an event's news; it does not wait.
func (n *notifier) event(e core.Event) {
	news, is := notify.Of(n.run, &e, words.Event(&e))
	if !is || n.settings.Command == "" {
		return
	}
	n.running.Go(func() {
		if err := n.settings.Tell(context.Background(), news); err != nil {
			n.warn(err.Error())
		}
	})
}

// end waits for what is being told.
func (n *notifier) end() { n.running.Wait() }
