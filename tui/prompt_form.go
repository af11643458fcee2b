package tui

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"focusnfix/core"
	"focusnfix/core/run"
)

// Fields of the form.
const (
	fieldPrompt = iota
	fieldNegative
	fieldSeed
	fieldSteps
	fieldGuidance
	fieldCount
	noField = -1
)

var fieldNames = [fieldCount]string{"prompt", "negative", "seed", "steps", "guidance"}

// seedMode is where the seed of the next image comes from.
type seedMode uint8

const (
	seedFixed  seedMode = iota
	seedNext            // one more after each image
	seedRandom          // another one before each image
	seedModes
)

func (m seedMode) String() string { return [...]string{"fixed", "next", "random"}[m] }

// promptForm is what a prompt is drawn with.
type promptForm struct {
	fields  [fieldCount]textinput.Model
	focus   int  // noField: keys are commands
	drawn   bool // the prompt was drawn: what is typed next takes its place
	seed    seedMode
	history *history
	weights string // a checkpoint's folder, from the run folder; "" is the weights of now
}

func newPromptForm(s *shared) promptForm {
	f := promptForm{focus: noField, history: loadHistory(historyFile())}
	f.fields = [fieldCount]textinput.Model{
		s.styles.NewField("type what to draw", 40), s.styles.NewField("what should not be in it", 40),
		s.styles.NewField("0", 8), s.styles.NewField("", 5), s.styles.NewField("", 5),
	}
	f.fields[fieldSeed].SetValue("1")
	return f
}

// focusOn puts the cursor behind the text of a field, or into none.
func (f *promptForm) focusOn(field int) tea.Cmd {
	for i := range f.fields {
		f.fields[i].Blur()
	}
	if f.focus = field; field == noField {
		return nil
	}
	f.fields[field].CursorEnd()
	return f.fields[field].Focus()
}

// key takes a key that is typed; what it does not know is for the caller.
func (f *promptForm) key(msg tea.KeyPressMsg) (cmd tea.Cmd, taken bool) {
	switch msg.String() {
	case "enter", "esc":
		return nil, false
	case "tab":
		return f.focusOn((f.focus + 1) % fieldCount), true
	case "shift+tab":
		return f.focusOn((f.focus + fieldCount - 1) % fieldCount), true
	case "up", "down":
		f.upDown(msg.String() == "up")
		return nil, true
	}
	return f.change(msg, msg.Text != ""), true
}

// change hands a key or a paste to the field with the focus; isText says that it adds text.
func (f *promptForm) change(msg tea.Msg, isText bool) (cmd tea.Cmd) {
	at := &f.fields[f.focus]
	if f.focus == fieldPrompt {
		if f.drawn && isText {
			at.SetValue("")
		}
		f.drawn = false
	}
	*at, cmd = at.Update(msg)
	return cmd
}

// upDown goes through earlier prompts, or changes a number.
func (f *promptForm) upDown(up bool) {
	at := &f.fields[f.focus]
	switch f.focus {
	case fieldPrompt:
		text := f.history.down
		if up {
			text = f.history.up
		}
		at.SetValue(text(at.Value()))
		f.drawn = false
	case fieldSeed, fieldSteps:
		n, err := strconv.ParseUint(at.Value(), 10, 64)
		switch {
		case err == nil && up:
			n++
		case err == nil && n > 0:
			n--
		}
		at.SetValue(strconv.FormatUint(n, 10))
	default:
		return
	}
	at.CursorEnd()
}

// fieldError is why a field's text cannot be sent.
type fieldError struct {
	field int
	error
}

// request is what the form asks for. A random seed is chosen here. The error is a *fieldError.
func (f *promptForm) request() (run.GenerateRequest, error) {
	if f.seed == seedRandom {
		f.fields[fieldSeed].SetValue(strconv.Itoa(rand.IntN(1_000_000)))
	}
	value := func(i int) string { return strings.TrimSpace(f.fields[i].Value()) }
	refuse := func(i int, want string) error {
		return &fieldError{i, fmt.Errorf("%s: %q, want %s", fieldNames[i], value(i), want)}
	}
	r := run.GenerateRequest{Checkpoint: f.weights}
	r.Prompt, r.Negative = strings.Join(strings.Fields(value(fieldPrompt)), " "), value(fieldNegative)
	if r.Prompt == "" {
		return r, refuse(fieldPrompt, "a text")
	}
	var err error
	if r.Seed, err = strconv.ParseUint(value(fieldSeed), 10, 64); err != nil {
		return r, refuse(fieldSeed, "a whole number from 0")
	}
	valid := core.Default().Sample // in place of what is left to the run
	check := func(i int) error {
		if err := valid.Check(func(string) string { return fieldNames[i] }); err != nil {
			return &fieldError{i, err}
		}
		return nil
	}
	if text := value(fieldSteps); text != "" {
		if r.NumSteps, err = strconv.Atoi(text); err != nil {
			return r, refuse(fieldSteps, "a whole number, or nothing for the run's own")
		}
		valid.NumSteps = r.NumSteps
		if err := check(fieldSteps); err != nil {
			return r, err
		}
	}
	if text := value(fieldGuidance); text != "" {
		if r.GuidanceScale, err = strconv.ParseFloat(text, 64); err != nil {
			return r, refuse(fieldGuidance, "a number, or nothing for the run's own")
		}
		valid.GuidanceScale = r.GuidanceScale
		if err := check(fieldGuidance); err != nil {
			return r, err
		}
	}
	return r, nil
}

// ready makes the form ready for the next image.
func (f *promptForm) ready(r run.GenerateRequest) {
	if f.seed == seedNext {
		f.fields[fieldSeed].SetValue(strconv.FormatUint(r.Seed+1, 10))
	}
}

// runsOwn shows what the run itself draws with where a field is empty.
func (f *promptForm) runsOwn(steps int, guidance float64) {
	f.fields[fieldSteps].Placeholder = strconv.Itoa(steps)
	f.fields[fieldGuidance].Placeholder = strconv.FormatFloat(guidance, 'g', -1, 64)
}

// fill puts a request into the form.
func (f *promptForm) fill(r run.GenerateRequest) {
	f.fields[fieldPrompt].SetValue(r.Prompt)
	f.fields[fieldNegative].SetValue(r.Negative)
	f.fields[fieldSeed].SetValue(strconv.FormatUint(r.Seed, 10))
	f.fields[fieldSteps].SetValue("")
	f.fields[fieldGuidance].SetValue("")
	if r.NumSteps > 0 {
		f.fields[fieldSteps].SetValue(strconv.Itoa(r.NumSteps))
	}
	if r.GuidanceScale > 0 {
		f.fields[fieldGuidance].SetValue(strconv.FormatFloat(r.GuidanceScale, 'g', -1, 64))
	}
}
