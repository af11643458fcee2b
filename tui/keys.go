package tui

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// meaning is what a key does. It does so in every pane: the key table has each key once.
type meaning struct {
	keys  []string // as tea.KeyPressMsg.String writes them; the first is the one that is shown
	short string   // one or two words for the footer; "" is not shown there
	help  string   // begins with a verb
	// ofPane marks keys of which a pane says more exactly what they do there: arrows, enter, esc.
	ofPane bool
}

func key(keys, short, help string) *meaning {
	return &meaning{strings.Fields(keys), short, help, false}
}

func paneKey(keys, help string) *meaning { return &meaning{strings.Fields(keys), "", help, true} }

// The key table. Dispatch, help, footer, palette and docs/keys.md follow from it.
var (
	keyRuns      = key("1", "", "Show the list of runs")
	keyDashboard = key("2", "", "Show the run's dashboard")
	keyImages    = key("3", "", "Show the run's images")
	keyPrompt    = key("4", "", "Try a prompt")
	keyFix       = key("5", "", "Repair a region of an image")
	keyCompare   = key("7", "", "Compare the marked runs")
	keyDetails   = key("8", "", "Show the run's settings, devices and engine log")
	keyNextTab   = key("tab", "", "Go to the next tab")
	keyPrevTab   = key("shift+tab", "", "Go to the previous tab")
	keyHelp      = key("? f1", "help", "Show the keys")
	keyPalette   = key(": ctrl+p", "commands", "List all commands; typing narrows them down")
	keySettings  = key("S", "", "Change settings of the screen: colors, smoothing, images")
	keyCopy      = key("Y", "", "Copy a value, prompt, path or command to the clipboard")
	keyReport    = key("W", "", "Write a page about the run, or the marked runs, to send to others")
	keySuspend   = key("ctrl+z", "", "Suspend to the shell; fg resumes")
	keyQuit      = key("q ctrl+c", "quit", "Leave the screen; runs go on")

	keyEnter      = paneKey("enter", "Do the main thing: open, start, draw, repair")
	keyEsc        = paneKey("esc", "Cancel or go back")
	keyUp         = paneKey("up k", "Move up")
	keyDown       = paneKey("down j", "Move down")
	keyLeft       = paneKey("left", "Move left")
	keyRight      = paneKey("right", "Move right")
	keyShiftUp    = paneKey("shift+up", "Move up by more, or the corner of the box")
	keyShiftDown  = paneKey("shift+down", "Move down by more, or the corner of the box")
	keyShiftLeft  = paneKey("shift+left", "Move left by more, or the corner of the box")
	keyShiftRight = paneKey("shift+right", "Move right by more, or the corner of the box")
	keyPageUp     = paneKey("pgup", "Go back by a page")
	keyPageDown   = paneKey("pgdown", "Go on by a page")
	keyHome       = paneKey("home", "Go to the first")
	keyEnd        = paneKey("end G", "Go to the last, and follow")
	keyLarger     = paneKey("+ =", "Zoom in, or make the box larger")
	keySmaller    = paneKey("-", "Zoom out, or make the box smaller")

	keyPause      = key("p", "pause", "Pause or resume training")
	keyResume     = key("r", "resume", "Resume a run that was stopped or has crashed")
	keyStop       = key("x", "stop", "Stop the run, with a checkpoint; asks first")
	keyMeasure    = key("J", "measure", "Measure the run: evaluate it on held-out prompts")
	keyExport     = key("ctrl+e", "export", "Export the LoRA of the newest checkpoint")
	keyCheckpoint = key("c", "checkpoint", "Save a checkpoint now")
	keyEdit       = paneKey("e", "Edit: settings of a run or of a new one, or the prompt")
	keyNewRun     = key("ctrl+n", "new run", "Go to the presets, to start a run")
	keyMark       = key("m", "mark", "Mark the run: the curves of marked runs are drawn together")
	keyFind       = key("/", "find", "Find: runs by words, state:running, cfg.region.weight>=6, has:alarm, and, or, not; charts, log lines and earlier prompts by text or pattern")
	keySort       = key("O", "", "Sort the runs in another way: by age, name, state, steps, reward")
	keyChanged    = key("!", "changed", "Show only settings that are not defaults, or all")
	keyLabel      = key("L", "", "Give the run a title, a note, or tags")
	keyBaseline   = key("*", "", "Pin the run as the baseline that others are compared with, or unpin it")
	keyTrash      = key("delete", "", "Move the run to the trash; asks first")
	keyOpenFolder = key("o", "folder", "Open a run folder from anywhere, such as a copy from another machine")

	keyNextChart = key("]", "chart", "Make the next chart the large one")
	keyPrevChart = key("[", "", "Make the previous chart the large one")
	keyMoreCols  = key("}", "", "Show the charts in one column more")
	keyFewerCols = key("{", "", "Show the charts in one column less")
	keyMoreRows  = key(")", "", "Show the charts in one row more")
	keyFewerRows = key("(", "", "Show the charts in one row less")
	keyInspect   = key("i", "inspect", "Show a hairline with the values at one place; arrows move it")
	keyWhole     = key("0", "", "Show the whole curve")
	keyAxis      = key("X", "", "Change the x axis: step, time since the start, time of day")
	keyLogY      = key("y", "", "Switch the y axis between linear and logarithmic")
	keySmoother  = key(">", "", "Smooth curves more; the raw curve stays behind them, pale")
	keyRougher   = key("<", "", "Smooth curves less")
	keyCurve     = key("v", "curve", "Show or hide the curve of the chosen row")
	keyHeldOut   = key("H", "", "Show or hide the curves of held-out judges (dashed)")

	keyNextImage = key("n", "image", "Go to the next image")
	keyPrevImage = key("N", "", "Go to the previous image")
	keyEarlier   = key(",", "", "Show images of an earlier step, and stay there")
	keyLater     = key(".", "", "Show images of a later step")
	keyHeat      = key("h", "heat", "Change what lies over images: mask outline, heatmap, nothing")
	keyAspect    = key("a", "aspect", "Go to the next aspect, or its next judge")
	keyDiff      = key("d", "diff", "Show the difference from the base image, 4 times as strong")
	keyFlip      = key("f", "flip", "Swap base and tuned, or before and after, in place")
	keyBlink     = key("b", "blink", "Flip by itself, or stop")
	keyPlay      = key("space", "play", "Play through the steps, or the healing of a repair, or stop")
	keyGrid      = key("g", "grid", "Show many at once, or one large: images, charts")
	keyGridOver  = key("|", "", "Show the grid over steps, or over prompts")
	keySave      = key("s", "save", "Save what is shown: images as PNG, the chosen chart as PNG, SVG or CSV")
	keyRepair    = key("F", "fix", "Repair a region of this image")

	keySeed    = key("t", "seed", "Change the random seed: fixed, the next one, or random")
	keyWeights = key("w", "weights", "Change the weights: the current ones, or a checkpoint's")
	keyReuse   = key("u", "", "Put this result's prompt and settings into the form")
	keyCorner  = key("C", "corner", "Choose what arrows move: the box or one of its corners")
	keyRepairs = key("l", "repairs", "Show the repairs of this run")

	keyZen      = key("z", "alone", "Show the image alone, over the whole screen, or go back")
	keyTool     = key("T", "tool", "Change the tool: box, brush, polygon, heatmap")
	keyErase    = key("E", "erase", "Erase with brush and polygon, or add again")
	keyPoint    = key("P", "", "Paint a dab, or set a corner, where the cursor is")
	keyTakeBack = key("backspace", "", "Take back the last stroke or corner")
	keyUndo     = key("U", "undo", "Undo the repair: show the image before it")
	keyRedo     = key("R", "", "Redo the repair that was undone")
	keyKeep     = key("K", "keep", "Keep the repair in the run's set of fixes, or take it out")
	keyBegin    = key("B", "", "Begin with the base model's weights, or with the run's")
	keyInWords  = key("I", "", "Say the fault in words, such as: the sword")
	keyTry      = key("V", "try", "Try the repair on other seeds and prompts")
	keyMasks    = key("6", "", "Look at the masks of the training images, and change them")
	keyApply    = key("A", "apply", "Make the rule of the sliders the run's, for all masks")
	keyExclude  = key("D", "exclude", "Exclude the image: make its mask empty")
	keyReset    = key("Q", "", "Take the heatmap's own mask again")
	keySend     = key("M", "", "Make the region the image's mask in training")
)

// binding is a key in a pane.
type binding struct {
	*meaning
	do func() tea.Cmd // nil: the row only explains
}

// on binds a key.
func on(m *meaning, do func() tea.Cmd) binding { return binding{m, do} }

// here binds a key that says more exactly what it does in this pane.
func here(m *meaning, short, help string, do func() tea.Cmd) binding {
	return binding{&meaning{m.keys, short, help, m.ofPane}, do}
}

// note is a row that only explains; its keys may be no key, such as the mouse.
func note(keys, short, help string) binding { return binding{key(keys, short, help), nil} }

// lookup finds the row of a key.
func lookup(table []binding, key string) (binding, bool) {
	for _, b := range table {
		if b.do != nil && slices.Contains(b.keys, key) {
			return b, true
		}
	}
	return binding{}, false
}

// globalKeys work in every pane.
func (a *app) globalKeys() []binding {
	tab := func(n int) func() tea.Cmd { return func() tea.Cmd { return a.show(n) } }
	return []binding{
		on(keyRuns, tab(tabRuns)),
		on(keyDashboard, tab(tabDashboard)),
		on(keyImages, tab(tabImages)),
		on(keyPrompt, tab(tabPrompt)),
		on(keyFix, tab(tabFix)),
		on(keyMasks, tab(tabMasks)),
		on(keyCompare, tab(tabCompare)),
		on(keyDetails, tab(tabDetails)),
		on(keyNextTab, func() tea.Cmd { return a.show((a.tab + 1) % len(a.panes)) }),
		on(keyPrevTab, func() tea.Cmd { return a.show((a.tab + len(a.panes) - 1) % len(a.panes)) }),
		on(keyHelp, a.openHelp),
		on(keyPalette, a.openPalette),
		on(keySettings, a.openSettings),
		on(keyCopy, a.openCopy),
		on(keyReport, a.report),
		on(keySuspend, func() tea.Cmd { return tea.Suspend }),
		on(keyQuit, func() tea.Cmd { return tea.Quit }),
	}
}

// key dispatches a key: to the dialog that is open, to a text field, or by the key table. In a text field
// the keys of the table work with alt.
func (a *app) key(msg tea.KeyPressMsg) tea.Cmd {
	name := msg.String()
	switch {
	case name == "ctrl+c":
		return tea.Quit
	case a.dialog != nil:
		return a.dialogUpdate(msg)
	case a.panes[a.tab].typing():
		command, isCommand := strings.CutPrefix(name, "alt+")
		if !isCommand {
			return a.front(msg)
		}
		name = command
	}
	if b, ok := lookup(a.panes[a.tab].keys(), name); ok {
		return b.do()
	}
	if b, ok := lookup(a.globalKeys(), name); ok {
		return b.do()
	}
	return nil
}

// paste goes where keys go.
func (a *app) paste(msg tea.PasteMsg) tea.Cmd {
	switch {
	case a.dialog != nil:
		return a.dialogUpdate(msg)
	case a.panes[a.tab].typing():
		return a.front(msg)
	}
	return nil
}
