package report

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"focusnfix/core"
	"focusnfix/core/run"
	"focusnfix/core/words"
)

// The page is one template. Its script and styles are the only ones that a browser carries out there: the page's policy
// names their checksums, and forbids everything else, the network included. So even text that got past the
// template's escaping could do nothing.
var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// Options is what a page is about.
type Options struct {
	Runs    []run.Folder // the first is the baseline
	Version string
	Now     time.Time
	MaxSize int64 // bytes of the page's images, about: they are made smaller until they fit

	// Fetch sees to an image of a run that is on another machine, as tui/feed has it; nil: runs are here.
	Fetch func(f run.Folder, name string, side int) (string, error)
}

// page is what the template shows.
type page struct {
	Title, Version, Made string
	Policy               string
	CSS                  template.CSS
	JS                   template.JS
	Runs                 []runPart
	Charts               []chart
	Data                 []chartData // of the charts, for the script
	Rows                 []tableRow
	Settings             []settingRow
	SettingsNote         string
	Several              bool
}

// runPart is a run in the page.
type runPart struct {
	Name, Class, State, Preset, Model, Created string
	Step, Steps                                int
	Alarms                                     []alarmRow
	Masks                                      []maskRow // that a person changed
	Images                                     []imagePart
	ImagesAt                                   int
	Left                                       int // images that did not fit
}

type alarmRow struct {
	Step int
	Text string
}

// maskRow is a training image's mask that a person changed.
type maskRow struct {
	Prompt     string
	Seed       uint64
	Own, Drawn string // what the heatmap's own mask covered, and what that one covers
	Note       string
}

// tableRow is one metric in the table of final numbers.
type tableRow struct {
	Title string
	Cells []tableCell // two for each run: last steps, last evaluation
}

type tableCell struct{ Text, Note, Class string }

type settingRow struct {
	Key    string
	Values []string
	Differ bool
}

// gathered is a run and what was read of it.
type gathered struct {
	folder run.Folder
	info   run.Info
	config core.Config
	fetch  func(f run.Folder, name string, side int) (string, error)
	*Measured
}

// Page writes the page.
func Page(ctx context.Context, w io.Writer, o Options) error {
	var all []gathered
	for _, f := range o.Runs {
		g, err := gather(ctx, f)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name(), err)
		}
		g.fetch = o.Fetch
		all = append(all, g)
	}
	p := page{
		Version: o.Version, Made: o.Now.UTC().Format("2006-01-02 15:04 UTC"),
		Policy: policy(), CSS: template.CSS(pageCSS), JS: template.JS(pageJS),
		Several: len(all) > 1,
	}
	var names []string
	for i, g := range all {
		names = append(names, g.folder.Name())
		part := g.part(i)
		edited, err := g.folder.EditedMasks(ctx, g.config.Reward)
		if err != nil {
			return fmt.Errorf("%s: %w", g.folder.Name(), err)
		}
		for _, m := range edited {
			part.Masks = append(part.Masks, maskRow{
				m.Prompt, m.Seed, words.Percent(m.Own.Coverage()) + " %", words.Percent(m.Mask.Coverage()) + " %", m.Alarm(g.config.Region.MaxCoverage),
			})
		}
		p.Runs = append(p.Runs, part)
	}
	p.Title = strings.Join(names, ", ")
	p.Rows = numbers(all)
	p.Settings, p.SettingsNote = settings(all)
	for i, d := range chartsOf(all) {
		p.Data = append(p.Data, d)
		p.Charts = append(p.Charts, d.draw(i))
	}
	if err := addImages(ctx, p.Runs, all, o.MaxSize); err != nil {
		return err
	}
	return pageTemplate.Execute(w, p)
}

// policy is the page's Content-Security-Policy.
func policy() string {
	sum := func(text string) string {
		s := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(s[:]) + "'"
	}
	return "default-src 'none'; img-src data:; style-src " + sum(pageCSS) + "; script-src " + sum(pageJS) +
		"; base-uri 'none'; form-action 'none'"
}

func gather(ctx context.Context, f run.Folder) (g gathered, err error) {
	g.folder = f
	if g.info, err = f.Info(); err != nil {
		return g, err
	}
	if g.config, err = f.Config(); err != nil {
		return g, err
	}
	g.Measured, err = Read(ctx, f)
	return g, err
}

// seriesClass is the class of a color.
func seriesClass(i int) string { return fmt.Sprintf("s%d", i%colors) }

const colors = 8

func (g gathered) part(i int) runPart {
	p := runPart{
		Name: g.folder.Name(), Class: seriesClass(i), State: words.State(g.folder.State(g.info)), Preset: g.info.Preset, Model: g.info.Model,
		Created: g.info.Created.UTC().Format("2006-01-02 15:04 UTC"), Step: g.info.Step, Steps: g.info.Steps,
	}
	if n := len(g.Rows); n > 0 {
		p.Step = max(p.Step, g.Rows[n-1].Step)
	}
	for i := range g.Alarms {
		p.Alarms = append(p.Alarms, alarmRow{g.Alarms[i].Step, words.Alarm(&g.Alarms[i])})
	}
	return p
}

// numbers is the table of final numbers: of each run the mean of its last steps, and its last evaluation.
func numbers(all []gathered) (rows []tableRow) {
	var names []string
	for _, g := range all {
		for _, name := range g.Names {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for _, name := range names {
		var row tableRow
		first := math.NaN()
		for i, g := range all {
			m, known := g.Of[name]
			if !known {
				row.Cells = append(row.Cells, tableCell{Text: "–"}, tableCell{Text: "–"})
				continue
			}
			row.Title = title(m, name)
			mean, half := g.Mean(name)
			cell := tableCell{Text: m.Text(mean)}
			if !math.IsNaN(half) {
				cell.Note = "± " + cmp.Or(m.Number(half), "0")
			}
			held := g.Newest(Evaluation, name)
			row.Cells = append(row.Cells, cell, judged(m, held, first, i > 0).with(g.interval(name)))
			if i == 0 {
				first = held
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// judged is a number of an evaluation, with the difference from the baseline's.
func judged(m core.Metric, v, first float64, differs bool) tableCell {
	cell := tableCell{Text: m.Text(v)}
	if change := v - first; differs && !math.IsNaN(change) {
		cell.Note = fmt.Sprintf("%+.*f", m.Digits, m.Shown(change))
		cell.Class = map[int]string{1: "better", -1: "worse"}[m.Judge(change)]
	}
	return cell
}

// with adds to a cell's note.
func (c tableCell) with(note string) tableCell {
	if c.Note != "" && note != "" {
		note = c.Note + "; " + note
	}
	c.Note = cmp.Or(note, c.Note)
	return c
}

// interval says how certain the share of fixed faults in the last evaluation is, where the log says how many faults
// there were.
func (m *Measured) interval(name string) string {
	aspect, isFixed := strings.CutPrefix(name, "fixed/")
	if !isFixed {
		return ""
	}
	for _, r := range slices.Backward(m.Rows) {
		share, faulty := m.Value(r, name), m.Value(r, "faulty/"+aspect)
		if r.Kind != Evaluation || math.IsNaN(share) {
			continue
		}
		if !(faulty >= 1) {
			return ""
		}
		n := int(math.Round(faulty))
		fixed := int(math.Round(share * faulty))
		low, high := core.Wilson(fixed, n)
		return fmt.Sprintf("%d of %d, 95 %% interval %.0f–%.0f %%", fixed, n, 100*low, 100*high)
	}
	return ""
}

// title is what people call a metric, of an aspect or not.
func title(m core.Metric, name string) string {
	if _, aspect, found := strings.Cut(name, "/"); found {
		return words.Aspect(aspect) + ": " + m.Title
	}
	return m.Title
}

// settings are the configuration, or of several runs the settings in which they differ.
func settings(all []gathered) (rows []settingRow, note string) {
	var keys []string
	values := make([]map[string]string, len(all))
	for i, g := range all {
		values[i] = map[string]string{}
		for _, k := range g.config.Keys() {
			if values[i][k.Name] = fmt.Sprint(k.Value); !slices.Contains(keys, k.Name) {
				keys = append(keys, k.Name)
			}
		}
	}
	same := 0
	for _, key := range keys {
		row := settingRow{Key: key}
		for i := range all {
			value, has := values[i][key]
			if !has {
				value = "–"
			}
			row.Values = append(row.Values, value)
			row.Differ = row.Differ || value != row.Values[0]
		}
		if len(all) > 1 && !row.Differ {
			same++
		}
		rows = append(rows, row)
	}
	if len(all) > 1 {
		slices.SortStableFunc(rows, func(a, b settingRow) int { return rank(a.Differ) - rank(b.Differ) })
		note = fmt.Sprintf("%s differ; %d are the same in all runs.", words.Plural(len(keys)-same, "setting"), same)
	}
	return rows, note
}

func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}
