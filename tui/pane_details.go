package tui

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/words"
	"focusnfix/presets"
	"focusnfix/tui/feed"
	"focusnfix/tui/find"
	"focusnfix/tui/widget"
)

// detailsPane is what a run works with: every setting and where it comes from, the devices, and the engine's own log,
// which is followed.
type detailsPane struct {
	*shared
	w, h     int
	visible  bool
	top      int  // first visible setting
	changed  bool // only settings that are not the program's defaults
	filter   string
	log      []string // the end of log.txt
	reading  bool
	back     int // lines of the log below the last visible one
	space    run.Space
	measured time.Time // when space was
	preset   presetValues
}

// presetValues are a preset's settings. Reading one takes longer than everything else in a frame.
type presetValues struct {
	name string
	of   map[string]string // by name; nil before the first is read
}

// logTailMsg is the end of the engine's log, and now and then the room on the disk.
type logTailMsg struct {
	run   *feed.Run
	lines []string
	space run.Space // zero: not measured
}

func newDetailsPane(s *shared) *detailsPane { return &detailsPane{shared: s} }

func (p *detailsPane) title() string { return "Details" }
func (p *detailsPane) typing() bool  { return false }

func (p *detailsPane) keys() []binding {
	do := func(f func()) func() tea.Cmd {
		return func() tea.Cmd {
			f()
			p.bound()
			return nil
		}
	}
	return []binding{
		here(keyDown, "", "Go down in the settings", do(func() { p.top++ })),
		here(keyUp, "", "Go up in the settings", do(func() { p.top-- })),
		here(keyHome, "", "Go to the first setting", do(func() { p.top = 0 })),
		here(keyEnd, "", "Go to the last setting, and follow the log", do(func() { p.top, p.back = 1<<20, 0 })),
		here(keyPageUp, "", "Scroll the engine's log back", do(func() { p.back += p.logRows() })),
		here(keyPageDown, "", "Scroll the engine's log forward", do(func() { p.back -= p.logRows() })),
		on(keyFind, p.find),
		on(keyChanged, do(func() { p.changed = !p.changed })),
		here(keyEsc, "", "Show all settings", do(func() { p.filter, p.changed = "", false })),
	}
}

// find asks for a pattern that settings and log lines are to have.
func (p *detailsPane) find() tea.Cmd {
	return p.askValue("Find settings and lines of the log", p.filter, func(text string) (tea.Cmd, error) {
		p.filter, p.top, p.back = text, 0, 0
		return nil, nil
	}, "Text, a glob (train.*) or a regular expression; nothing shows all.")
}

func (p *detailsPane) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case sizeMsg:
		p.w, p.h = msg.w, msg.h
	case visibleMsg:
		p.visible = bool(msg)
		return p.read()
	case openedMsg:
		p.log, p.top, p.back, p.reading, p.space, p.measured = nil, 0, 0, false, run.Space{}, time.Time{}
		return p.read()
	case tickMsg:
		return p.read()
	case logTailMsg:
		p.reading = false
		if msg.run == p.run {
			if more := len(msg.lines) - len(p.log); p.back > 0 && more > 0 { // what is being read stays
				p.back += more
			}
			if p.log = msg.lines; msg.space.Total > 0 {
				p.space = msg.space
			}
		}
	case widget.Mouse:
		if p.w >= wideDetails && msg.X > p.split() {
			p.back -= 3 * msg.Lines()
		} else {
			p.top += 3 * msg.Lines()
		}
	default:
		return nil
	}
	p.bound()
	return nil
}

// bound keeps what is visible within what there is.
func (p *detailsPane) bound() {
	p.top = max(min(p.top, len(p.settingRows())-p.settingsHeight()), 0)
	p.back = max(min(p.back, len(p.found())-p.logRows()), 0)
}

// maxLogTail is how much of the end of the engine's log is shown, in bytes.
const maxLogTail = 256 << 10

// measureEvery is how often the room on the disk is measured, for which every file of the run is looked at.
const measureEvery = 10 * time.Second

// read reads the end of the engine's log and measures the room on the disk.
func (p *detailsPane) read() tea.Cmd {
	if p.run == nil || !p.visible || p.reading {
		return nil
	}
	p.reading = true
	opened := p.run
	measure := p.now().Sub(p.measured) >= measureEvery
	if measure {
		p.measured = p.now()
	}
	return func() tea.Msg {
		msg := logTailMsg{run: opened, lines: opened.LogTail(maxLogTail)}
		if measure {
			msg.space, _ = opened.Folder.Space() // of a folder that is gone, nothing is known
		}
		return msg
	}
}

// found are the lines of the log that the filter leaves.
func (p *detailsPane) found() []string {
	if p.filter == "" {
		return p.log
	}
	pattern := find.NewPattern(p.filter)
	return slices.DeleteFunc(slices.Clone(p.log), func(line string) bool { return !pattern.Match(line) })
}

// wideDetails is from how many columns on settings and log stand beside each other.
const wideDetails = 120

func (p *detailsPane) split() int {
	if p.w < wideDetails {
		return p.w
	}
	return p.w / 2
}

func (p *detailsPane) settingsHeight() int {
	if p.w < wideDetails {
		return max(p.h-p.logRows()-len(p.deviceLines(p.w))-3, 3)
	}
	return max(p.h-2, 1)
}

func (p *detailsPane) logRows() int {
	if p.w < wideDetails {
		return max(p.h/4, 3)
	}
	return max(p.h-len(p.deviceLines(p.w-p.split()))-3, 1)
}

// settingRow is a setting, its value and where that comes from.
type settingRow struct {
	name, value, source string
	own                 bool // not the program's default
}

// settingRows are the settings that the filter leaves. A value comes from the last change while it trained, the preset,
// the program, or else a file or flag of whoever started the run.
func (p *detailsPane) settingRows() []settingRow {
	if p.run == nil || !p.run.HasConfig {
		return nil
	}
	p.preset.read(p.run.Info.Preset)
	defaults, preset := defaultValues(), p.preset.of
	changes := p.changes()
	pattern := find.NewPattern(p.filter)
	var rows []settingRow
	for _, k := range p.run.Config.Keys() {
		r := settingRow{name: k.Name, value: fmt.Sprint(k.Value), own: true}
		e, changed := changes[k.Name]
		switch {
		case changed:
			r.value, r.source = e.Control.To, fmt.Sprintf("changed at step %d", e.Step)
		case r.value == defaults[k.Name] && (preset[k.Name] == "" || preset[k.Name] == r.value):
			r.source, r.own = "default", false
		case r.value == preset[k.Name]:
			r.source = "preset " + p.run.Info.Preset
		default:
			r.source = "file or flag"
		}
		if pattern.Match(r.name+" "+r.value+" "+r.source) && (r.own || !p.changed) {
			rows = append(rows, r)
		}
	}
	return rows
}

// changes are the last changes of settings while it trained.
func (p *detailsPane) changes() map[string]core.Event {
	changes := map[string]core.Event{}
	for _, e := range p.run.Store.Log {
		if e.Control != nil && e.Control.To != "" {
			changes[e.Control.Key] = e
		}
	}
	return changes
}

// read makes them those of the preset of that name; one that cannot be read has none.
func (v *presetValues) read(name string) {
	if v.of != nil && v.name == name {
		return
	}
	v.name, v.of = name, map[string]string{}
	if text, err := presets.Read(name); err == nil {
		if c, err := core.Load([]core.Layer{{Name: name, Text: text}}, nil); err == nil {
			v.of = values(c)
		}
	}
}

var defaultValues = sync.OnceValue(func() map[string]string { return values(core.Default()) })

// values are the settings of a configuration by name.
func values(c core.Config) map[string]string {
	all := map[string]string{}
	for _, k := range c.Keys() {
		all[k.Name] = fmt.Sprint(k.Value)
	}
	return all
}

func (p *detailsPane) view(w, h int) string {
	if p.run == nil {
		return widget.Message(w, h, "No run is open.", "", "1 lists the runs.")
	}
	left := p.viewSettings(p.split(), p.settingsHeight()+1)
	if w < wideDetails {
		return widget.Stack(w, h, left, "", strings.Join(p.viewRest(w), "\n"))
	}
	return widget.Stack(w, h, widget.Beside(left, widget.FitBlock(p.viewRest(w-p.split()), w-p.split(), p.settingsHeight()+1)))
}

// viewSettings is the visible settings below a head.
func (p *detailsPane) viewSettings(w, h int) string {
	st := p.styles
	name, source := min(max(w/2-2, 18), 36), min(max(w/4, 18), 24)
	value := max(w-name-source-3, 6)
	head := "settings"
	if p.changed {
		head = "settings that are not defaults"
	}
	if p.filter != "" {
		head += " /" + p.filter
	}
	rows := p.settingRows()
	lines := []string{" " + st.FaintText.Render(widget.Spread(head, fmt.Sprintf("%d ", len(rows)), w-2))}
	if !p.run.HasConfig {
		lines = append(lines, " the configuration cannot be read")
	}
	for _, r := range rows[min(p.top, len(rows)):] {
		style := st.FaintText
		if r.own {
			style = st.Text
		}
		lines = append(lines, " "+style.Render(widget.FitLine(r.name, name))+" "+style.Bold(r.own).Render(widget.FitLine(widget.OneLine(r.value), value))+" "+st.FaintText.Render(widget.FitLine(r.source, source)))
	}
	return widget.FitBlock(lines, w, h)
}

// viewRest is the devices and, below them, the engine's log.
func (p *detailsPane) viewRest(w int) []string {
	st := p.styles
	lines := p.deviceLines(w)
	found := p.found()
	head := " engine log  " + st.Text.Hyperlink("file://"+p.logFile()).Render(filepath.Base(p.logFile()))
	if p.back > 0 {
		head += st.FaintText.Render(fmt.Sprintf("   %d later", p.back))
	} else {
		head += st.FaintText.Render("   followed")
	}
	lines = append(lines, widget.FitLine(st.Bold.Render(head), w))
	end := len(found) - p.back
	for _, line := range found[max(0, end-p.logRows()):max(end, 0)] {
		lines = append(lines, " "+st.FaintText.Render(ansi.Truncate(line, max(w-2, 1), "…")))
	}
	if len(found) == 0 {
		lines = append(lines, " "+st.FaintText.Render("nothing in it"))
	}
	return lines
}

// logFile is the whole path of the engine's log.
func (p *detailsPane) logFile() string { return whole(filepath.Join(p.run.Folder.Dir, "log.txt")) }

// deviceLines are the GPUs as the newest event has them, or what training measures of the device, and the disk.
func (p *detailsPane) deviceLines(w int) []string {
	if p.run == nil {
		return nil
	}
	st, store := p.styles, p.run.Store
	lines := []string{st.Bold.Render(" devices")}
	bar := min(max(w/5, 8), 24)
	for _, g := range store.GPUs {
		name := fmt.Sprintf(" GPU %d %s", g.Index, g.Name)
		if math.IsNaN(g.Use) {
			lines = append(lines, widget.FitLine(name+"  "+g.String(), w))
			continue
		}
		lines = append(lines, widget.FitLine(name, w), widget.FitLine("   "+st.Progress(g.Use, bar, p.probe.Terminal().Profile)+"  "+g.String(), w))
		if others := othersOn(g, p.run); others != "" {
			lines = append(lines, widget.FitLine("   "+st.WarnText.Render(others), w))
		}
	}
	if t := store.Train; t != nil && len(store.GPUs) == 0 {
		text := fmt.Sprintf(" %-4s", p.run.Info.Device)
		if !math.IsNaN(t.DeviceUse) {
			text += "  " + st.Progress(t.DeviceUse, bar, p.probe.Terminal().Profile) + fmt.Sprintf("  %.0f %%", 100*t.DeviceUse)
		}
		if !math.IsNaN(t.MemoryMiB) {
			text += fmt.Sprintf("   %.0f MiB", t.MemoryMiB)
		}
		lines = append(lines, widget.FitLine(text, w))
	}
	if s := p.space; s.Total > 0 {
		text := " disk  " + st.Progress(1-float64(s.Free)/float64(s.Total), bar, p.probe.Terminal().Profile) +
			fmt.Sprintf("  %s free; the run has %s", words.Memory(float64(s.Free)/(1<<20)), words.Memory(math.Ceil(float64(s.Used)/(1<<20))))
		lines = append(lines, widget.FitLine(text, w))
	}
	if len(lines) == 1 {
		lines = append(lines, " "+st.FaintText.Render("nothing was measured yet"))
	}
	return append(lines, "")
}

// othersOn says how much memory of a GPU other processes than the run's use.
func othersOn(g core.GPU, o *feed.Run) string {
	n, mib := 0, 0.0
	for _, process := range g.Processes {
		if o.Info.Engine == nil || process.PID != o.Info.Engine.PID {
			n++
			mib += process.MemoryMiB
		}
	}
	if n == 0 || o.Info.Engine == nil || n == len(g.Processes) { // in a container the run's own number is not known
		return ""
	}
	return fmt.Sprintf("%.1f GiB of other processes", mib/1024)
}
