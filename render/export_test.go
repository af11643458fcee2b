package render

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"image"
	"image/color"
	"math"
	"strings"
	"testing"
)

// figure is two curves, one of which has a gap.
func figure(n int) *Figure {
	var a, b Series
	for i := range n {
		a.Append(float64(i), math.Sin(float64(i)/9))
		if i%2 == 0 {
			b.Append(float64(i), float64(i)/float64(n))
		}
	}
	b.Append(float64(n), math.NaN())
	return &Figure{
		Title: "reward <&>", X: "step", Size: image.Pt(640, 400), Names: []string{"violence", "held out"},
		Lines: []Line{{Series: &a, Color: color.RGBA{200, 0, 0, 255}}, {Series: &b, Color: color.RGBA{0, 0, 200, 255}, Dashed: true}},
	}
}

func TestFigureAsCSV(t *testing.T) {
	f := figure(100)
	f.XMin, f.XMax = 10, 20
	var out bytes.Buffer
	if err := f.WriteCSV(&out); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(rows) != 12 || strings.Join(rows[0], ",") != "step,violence,held out" {
		t.Fatalf("%d rows, %v: %v", len(rows), err, rows)
	}
	if rows[1][0] != "10" || rows[1][2] != "0.1" || rows[2][2] != "" || rows[11][0] != "20" {
		t.Errorf("rows %v", rows)
	}
}

func TestFigureAsSVG(t *testing.T) {
	for _, n := range []int{0, 1, 50, 100_000} {
		var out bytes.Buffer
		if err := figure(n).WriteSVG(&out); err != nil {
			t.Fatal(err)
		}
		if out.Len() > 300_000 {
			t.Errorf("%d points take %d bytes", n, out.Len())
		}
		for d := xml.NewDecoder(&out); ; {
			token, err := d.Token()
			if token == nil {
				break
			}
			if err != nil {
				t.Fatalf("%d points: %v", n, err)
			}
		}
	}
	var out bytes.Buffer
	if err := figure(50).WriteSVG(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "%!") {
		t.Errorf("a number is not written: %.300s", out.String())
	}
	for _, want := range []string{"reward &lt;&amp;&gt;", "violence", "held out", "stroke-dasharray", "polyline", "#c80000"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s", want)
		}
	}
}

// Curves, guides and text are in the image, within its area.
func TestFigureAsImage(t *testing.T) {
	for _, dark := range []bool{false, true} {
		f := figure(200)
		f.Dark = dark
		img := f.Image()
		area := f.frame().area
		red, blue, outside := 0, 0, 0
		for y := range img.Rect.Dy() {
			for x := range img.Rect.Dx() {
				c := img.RGBAAt(x, y)
				isRed, isBlue := c.R > 150 && c.G < 80 && c.B < 80, c.B > 150 && c.R < 80 && c.G < 80
				if isRed {
					red++
				}
				if isBlue {
					blue++
				}
				if (isRed || isBlue) && !image.Pt(x, y).In(area.Inset(-4)) && y > 3*figureRow {
					outside++
				}
			}
		}
		if red < 300 || blue < 100 || outside > 0 {
			t.Errorf("dark %v: %d red pixels, %d blue ones, %d outside of %v", dark, red, blue, outside, area)
		}
	}
}
