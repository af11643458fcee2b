package cmd

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"charm.land/lipgloss/v2"
)

// Marks in front of a line of the report; they read without colors too.
const (
	markGood = "✓"
	markWarn = "!"
	markBad  = "✗"
	markNone = "·"
)

var markStyles = map[string]lipgloss.Style{
	markGood: lipgloss.NewStyle().Foreground(lipgloss.Green),
	markWarn: lipgloss.NewStyle().Foreground(lipgloss.Yellow).Bold(true),
	markBad:  lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true),
	markNone: lipgloss.NewStyle().Faint(true),
}

// line is one line of the report: a mark, a label, a short value, and detail that may be long.
type line struct{ mark, label, value, detail string }

// printReport writes the report as a table; lipgloss leaves out colors where w cannot show them.
func printReport(w io.Writer, r doctorReport) error {
	lines := slices.Concat(r.torchLines(), r.deviceLines(), r.modelLines(), terminalLines(r.Terminal))
	labels, values := 0, 0
	for _, l := range lines {
		labels = max(labels, lipgloss.Width(l.label))
		values = max(values, lipgloss.Width(l.value))
	}
	faint := lipgloss.NewStyle().Faint(true)
	label, value := lipgloss.NewStyle().Width(labels+2), lipgloss.NewStyle().Width(values+2)
	var b strings.Builder
	fmt.Fprintf(&b, "focusnfix %s (%s, %s)\n\n", r.Version, r.Go, r.Platform)
	for _, l := range lines {
		row := label.Render(l.label) + value.Render(l.value)
		if l.detail == "" {
			row = strings.TrimRight(row, " ")
		} else {
			row += faint.Render(l.detail)
		}
		fmt.Fprintln(&b, markStyles[l.mark].Render(l.mark), row)
	}
	bold := lipgloss.NewStyle().Bold(true)
	for _, a := range r.Advice {
		fmt.Fprintf(&b, "\n%s %s\n    %s\n", markStyles[markWarn].Render(markWarn), a.Problem, bold.Render(a.Command))
	}
	_, err := lipgloss.Fprint(w, b.String())
	return err
}

// modelLines lists the families of models.
func (r doctorReport) modelLines() []line {
	if len(r.Models) == 0 {
		return nil
	}
	return []line{{markNone, "models", strings.Join(r.Models, ", "), ""}}
}

func (r doctorReport) torchLines() []line {
	p := r.Processor
	lines := []line{{markGood, "processor", fmt.Sprintf("%d cores, %.0f GiB", p.Cores, p.Memory), p.Name}}
	if r.Torch == nil {
		return append(lines, line{markBad, "libtorch", "none", ""})
	}
	t := r.Torch
	found := ""
	if t.FoundBy != "" {
		found = " (" + t.FoundBy + ")"
	}
	blasMark := markGood
	if t.BLAS.Slow {
		blasMark = markWarn
	}
	return append(
		lines,
		line{markGood, "libtorch", t.Version, t.Path + found},
		line{markGood, "shim", fmt.Sprintf("ABI %d", t.ABI), t.Shim},
		line{blasMark, "BLAS", t.BLAS.Name, t.BLAS.Path},
		line{markGood, "threads", fmt.Sprint(p.Threads), "for one operator; OMP_NUM_THREADS sets it"},
		groupLine(t),
	)
}

// groupLine tells which process groups a run on several machines or GPUs could use.
func groupLine(t *torchReport) line {
	var names []string
	if t.NCCL {
		names = append(names, "nccl")
	}
	if t.Gloo {
		names = append(names, "gloo")
	}
	if len(names) == 0 {
		return line{markNone, "data parallel", "no", "neither the headers of gloo nor of NCCL were found"}
	}
	return line{markGood, "data parallel", strings.Join(names, ", "), ""}
}

func (r doctorReport) deviceLines() []line {
	var lines []line
	for _, d := range r.CUDA {
		const gib = 1 << 30
		lines = append(lines, line{
			markGood, string(d.Device), d.Name,
			fmt.Sprintf("%.1f of %.1f GiB free, CUDA %s, driver %s",
				float64(d.Memory.Free)/gib, float64(d.Memory.Total)/gib, d.Driver, r.Driver),
		})
	}
	if len(r.CUDA) == 0 {
		lines = append(lines, line{markNone, "CUDA", "none", ""})
	}
	for _, g := range r.GPUs {
		lines = append(lines, line{markGood, fmt.Sprintf("GPU %d", g.Index), g.Name, g.String()})
		for _, p := range g.Processes {
			size := "memory unknown"
			if !math.IsNaN(p.MemoryMiB) {
				size = fmt.Sprintf("%.1f GiB", p.MemoryMiB/1024)
			}
			lines = append(lines, line{markNone, "", fmt.Sprintf("process %d", p.PID), size})
		}
	}
	for _, s := range r.Speed {
		lines = append(lines, line{markGood, "speed, " + string(s.Device), fmt.Sprintf("%.1f GFLOP/s", s.GFLOPS), s.Operation + ", float32"})
	}
	return lines
}
