package picture

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	uv "github.com/charmbracelet/ultraviolet"
)

// BenchmarkFrame is one frame of 200x60 cells in which every row changes on both sides of a picture of 80x50
// cells: the renderer's part and the filter's.
func BenchmarkFrame(b *testing.B) {
	const w, h = 200, 60
	for _, name := range []string{"renderer", "filter", "filter without an image"} {
		b.Run(name, func(b *testing.B) {
			var frame, out bytes.Buffer
			p := NewShelf(Terminal{Protocol: Sixel})
			p.Show("a", fake(1, 80, 50))
			middle := strings.Split(p.View("a", 80, 50), "\n")
			if strings.Contains(name, "without") {
				middle = make([]string, 50)
			}
			s := NewScreenOn(&out, p, fixed(w, h))
			r := uv.NewTerminalRenderer(&frame, []string{"TERM=xterm-256color", "COLORTERM=truecolor", "TTY_FORCE=1"})
			r.EnterAltScreen()
			cells := uv.NewScreenBuffer(w, h)
			total, n := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				var view strings.Builder
				for y := range 50 {
					fmt.Fprintf(&view, "%-60s%s%60d\n", fmt.Sprint(n, "log line", y), middle[y], n*y)
				}
				cells.Clear()
				uv.NewStyledString(view.String()).Draw(cells, cells.Bounds())
				r.Render(cells.RenderBuffer)
				if err := r.Flush(); err != nil {
					b.Fatal(err)
				}
				if name != "renderer" {
					if _, err := s.Write(frame.Bytes()); err != nil {
						b.Fatal(err)
					}
				}
				total += out.Len()
				frame.Reset()
				out.Reset()
			}
			b.ReportMetric(float64(total)/float64(b.N), "B/frame")
		})
	}
}
