package picture

import (
	"context"
	"fmt"
	"image"
	"os"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"

	"focusnfix/render"
)

// answerTime is how long a terminal may take to answer: slow lines need seconds, and a terminal that
// answers is known by the fence long before.
const answerTime = 3 * time.Second

// Probe finds out what the terminal can do: it asks everything in one burst, the primary device
// attributes last. Every terminal answers those, and in order, so that their answer ends the burst.
// Answers that come after [answerTime] still count.
type Probe struct {
	term   Terminal
	images Protocol
	forced bool
	cell   image.Point // the user's, or zero
	window func() (cells, pixels image.Point)
	fences int // DA1 answers
}

// NewProbe reads --images (or, if it is empty, FNF_IMAGES) and --cell-size; both may be empty. The
// terminal is tty, which may be nil.
func NewProbe(tty *os.File, images, cellSize string, getenv func(string) string) (*Probe, error) {
	p := &Probe{window: func() (a, b image.Point) { return }}
	if images == "" {
		images = getenv("FNF_IMAGES")
	}
	var err error
	if p.images, p.forced, err = ParseProtocol(images); err != nil {
		return nil, err
	}
	if cellSize != "" {
		if p.cell, err = parseCell(cellSize); err != nil {
			return nil, err
		}
	}
	if tty != nil {
		p.window = func() (image.Point, image.Point) { return windowPixels(tty) }
	}
	p.term.sync = -1
	p.term.env = readEnvironment(getenv)
	p.term.Profile = p.term.env.profile(getenv)
	p.conclude()
	return p, nil
}

func parseCell(s string) (image.Point, error) {
	w, h, ok := strings.Cut(s, "x")
	x, errX := strconv.Atoi(w)
	y, errY := strconv.Atoi(h)
	if !ok || errX != nil || errY != nil || !believable(image.Pt(x, y)) {
		return image.Point{}, fmt.Errorf("cell-size: %q: want WxH in pixels, as 10x20", s)
	}
	return image.Pt(x, y), nil
}

// Query is the burst of questions. In tmux the last ones go to the terminal around it as well.
func (p *Probe) Query() string {
	const kittyQuery = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
	inner := ansi.RequestNameVersion + "\x1b[16t\x1b[14t" + "\x1b[?1;1;0S\x1b[?2;1;0S" +
		ansi.RequestModeSynchronizedOutput
	if p.term.mux() == "tmux" { // which answers DA1 at once: what comes from around it comes later, see Ask
		return inner + ansi.TmuxPassthrough(ansi.RequestNameVersion+kittyQuery) + ansi.RequestPrimaryDeviceAttributes
	}
	return inner + kittyQuery + ansi.RequestPrimaryDeviceAttributes
}

// Terminal is what is known up to now.
func (p *Probe) Terminal() Terminal { return p.term }

// Size is the terminal's columns and rows, or zero.
func (p *Probe) Size() (cols, rows int) { return p.term.cells.X, p.term.cells.Y }

// Init asks the terminal: the command to be run when the program starts.
func (p *Probe) Init() tea.Cmd { return tea.Raw(p.Query()) }

// Update learns from a message. It returns true when something about pictures has changed, and after
// a resize the command that asks for the new sizes.
func (p *Probe) Update(msg tea.Msg) (bool, tea.Cmd) {
	before := p.term
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		cmd = tea.Raw("\x1b[16t\x1b[?2;1;0S")
	case tea.ColorProfileMsg:
		p.term.Profile = map[string]render.Profile{
			"TrueColor": render.TrueColor, "ANSI256": render.ANSI256, "ANSI": render.ANSI16,
		}[msg.String()]
		if msg.String() == "Ascii" || msg.String() == "NoTTY" {
			p.term.Profile = render.ASCII
			if p.term.env.utf8 && p.term.env.term != "dumb" {
				p.term.Profile = render.Mono
			}
		}
	case tea.TerminalVersionMsg:
		p.learnName(msg.Name)
	case tea.ModeReportMsg:
		p.learnMode(msg.Mode, msg.Value)
	default:
		p.learn(msg)
	}
	p.conclude()
	t := &p.term
	return t.Protocol != before.Protocol || t.Cell != before.Cell || t.Profile != before.Profile ||
		t.maxSixel != before.maxSixel || t.keepsPixelsUnderText() != before.keepsPixelsUnderText(), cmd
}

// learn takes an event that bubbletea passes on as it is.
func (p *Probe) learn(event uv.Event) {
	t := &p.term
	switch e := event.(type) {
	case uv.PrimaryDeviceAttributesEvent:
		p.fences++
		if t.attributes == nil {
			t.attributes = append([]int{}, e...)
		}
	case uv.TerminalVersionEvent:
		p.learnName(e.Name)
	case uv.CellSizeEvent:
		t.cellReport = image.Pt(e.Width, e.Height)
	case uv.PixelSizeEvent:
		t.textReport = image.Pt(e.Width, e.Height)
	case uv.ModeReportEvent:
		p.learnMode(e.Mode, e.Value)
	case uv.KittyGraphicsEvent:
		t.kitty = t.kitty || e.Options.ID == 31 && string(e.Payload) == "OK"
	case uv.UnknownCsiEvent:
		p.learnGraphics(string(e))
	}
}

func (p *Probe) learnName(name string) {
	t := &p.term
	if t.mux() == "tmux" && !strings.HasPrefix(name, "tmux") {
		t.outer = name
	} else {
		t.name = name
	}
}

func (p *Probe) learnMode(mode ansi.Mode, value ansi.ModeSetting) {
	if mode == ansi.ModeSynchronizedOutput {
		p.term.sync = int(value)
	}
}

// learnGraphics reads the answer to XTSMGRAPHICS: CSI ? item ; status ; values S, status 0 is success.
func (p *Probe) learnGraphics(s string) {
	tok, ok := nextToken([]byte(s))
	if !ok || tok.kind != tokenCSI || tok.prefix != '?' || tok.final != 'S' || tok.param(1, 0) != 0 {
		return
	}
	switch tok.param(0, 0) {
	case 1:
		p.term.registers = tok.param(2, 0)
	case 2:
		p.term.maxSixel = image.Pt(tok.param(2, 0), tok.param(3, 0))
	}
}

// Choose takes another value of --images; one that is none changes nothing.
func (p *Probe) Choose(images string) {
	if protocol, forced, err := ParseProtocol(images); err == nil {
		p.images, p.forced = protocol, forced
		p.conclude()
	}
}

func (p *Probe) conclude() {
	p.term.cells, p.term.windowPixels = p.window()
	p.term.chooseCell(p.cell)
	p.term.choose(p.images, p.forced)
}

// windowSize is the terminal's size in cells.
func windowSize(tty *os.File) (w, h int, ok bool) {
	w, h, err := uv.NewSizeNotifier(tty).GetSize()
	return w, h, err == nil
}

// IsTerminal reports whether f is a terminal.
func IsTerminal(f *os.File) bool {
	_, _, ok := windowSize(f)
	return ok
}

// Facts asks the terminal that f, the program's output, writes to, and lists what follows for pictures. If
// f is not a terminal, that is the only fact.
func Facts(ctx context.Context, f *os.File, getenv func(string) string) ([]Fact, error) {
	p, err := NewProbe(f, "", "", getenv)
	if err != nil {
		return nil, err
	}
	if !IsTerminal(f) {
		return []Fact{{Name: "terminal", Value: "the output is not a terminal"}}, nil
	}
	p.AskTTY(ctx)
	t := p.Terminal()
	return t.Report(), nil
}

// AskTTY runs [Probe.Ask] on the process's terminal, if it has one. What is not known by then stays as
// the environment has it.
func (p *Probe) AskTTY(ctx context.Context) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer tty.Close() //nolint:errcheck // it was only read
	_ = p.Ask(ctx, tty)
}

// windowPixels is the terminal's size in cells and in pixels (TIOCGWINSZ); zero where it does not say.
func windowPixels(tty *os.File) (cells, pixels image.Point) {
	c, px, err := uv.NewSizeNotifier(tty).GetWindowSize()
	if err != nil {
		return image.Point{}, image.Point{}
	}
	return image.Pt(c.Width, c.Height), image.Pt(px.Width, px.Height)
}

// outerTime is how long the terminal around tmux may take after tmux itself has answered.
const outerTime = 500 * time.Millisecond

// Ask runs the probe on a terminal that no program reads from, and waits for the answers until ctx ends
// or [answerTime] is over. Without answers the environment has to do; that is no error.
func (p *Probe) Ask(ctx context.Context, tty *os.File) error {
	console := uv.NewConsole(tty, tty, nil)
	if _, err := console.MakeRaw(); err != nil {
		return fmt.Errorf("%s: ask the terminal: %w", tty.Name(), err)
	}
	defer console.Restore() //nolint:errcheck // nothing is left to be done
	reader, err := uv.NewCancelReader(tty)
	if err != nil {
		return fmt.Errorf("%s: read the terminal: %w", tty.Name(), err)
	}
	defer reader.Close() // its own descriptors, not tty
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	events, ended := make(chan uv.Event), make(chan struct{})
	go func() {
		defer close(ended)
		_ = uv.NewTerminalReader(reader, p.term.env.term).StreamEvents(ctx, events)
	}()
	if _, err = tty.WriteString(p.Query()); err == nil {
		p.collect(ctx, events)
	}
	cancel()
	reader.Cancel()
	<-ended
	p.conclude()
	return err
}

// collect learns from events until the fence.
func (p *Probe) collect(ctx context.Context, events <-chan uv.Event) {
	var outer <-chan time.Time
	for {
		select {
		case e := <-events:
			p.learn(e)
			switch {
			case p.fences == 0:
			case p.term.mux() != "tmux" || p.term.kitty:
				return
			case outer == nil:
				outer = time.After(outerTime)
			}
		case <-outer:
			return
		case <-ctx.Done():
			return
		}
	}
}
