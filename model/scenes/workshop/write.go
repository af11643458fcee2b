package workshop

import (
	"encoding/json"
	"image"
	"image/draw"
	"os"
	"path/filepath"
)

// classed is a configuration with the keys that diffusers' loaders want beside it.
func classed(class string, config any, more map[string]any) map[string]any {
	keys := map[string]any{}
	text, err := json.Marshal(config)
	if err == nil {
		err = json.Unmarshal(text, &keys)
	}
	if err != nil {
		panic(err) // our own configurations always marshal
	}
	for key, value := range more {
		keys[key] = value
	}
	keys["_class_name"], keys["_diffusers_version"] = class, "0.30.0"
	return keys
}

func repeated(s string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = s
	}
	return list
}

// writeJSON writes an indented file, its folder too.
func writeJSON(path string, value any) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o666)
}

// tiled lays images of one size out in columns.
func tiled(pictures []*image.RGBA, columns int) *image.RGBA {
	const gap = 2
	side := pictures[0].Bounds().Size().Add(image.Pt(gap, gap))
	rows := (len(pictures) + columns - 1) / columns
	sheet := image.NewRGBA(image.Rect(0, 0, columns*side.X, rows*side.Y))
	draw.Draw(sheet, sheet.Bounds(), image.White, image.Point{}, draw.Src)
	for i, m := range pictures {
		at := image.Pt(i%columns*side.X, i/columns*side.Y)
		draw.Draw(sheet, m.Bounds().Add(at), m, image.Point{}, draw.Src)
	}
	return sheet
}
