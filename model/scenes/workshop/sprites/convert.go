//go:build ignore

// Convert makes the sprites of this folder from the npm package @lobehub/fluent-emoji-3d 1.1.0:
//
//	npm pack @lobehub/fluent-emoji-3d@1.1.0 && tar xzf lobehub-fluent-emoji-3d-1.1.0.tgz
//	go run convert.go package/assets
//
// Each 256x256 webp file is cropped to its visible pixels, scaled to 128 pixels on the long side
// and written as NAME.png.
package main

import (
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"

	"golang.org/x/image/draw"
	"golang.org/x/image/webp"
)

const longSide = 128 // pixels

// sources maps our names to the package's files, which are named by code points.
var sources = map[string]string{
	"chef": "1f9d1-200d-1f373", "detective": "1f575-fe0f", "guard": "1f482", "wizard": "1f9d9",
	"princess": "1f478", "singer": "1f9d1-200d-1f3a4", "elf": "1f9dd",
	"astronaut": "1f9d1-200d-1f680", "doctor": "1f9d1-200d-2695-fe0f", "robot": "1f916",
	"cat": "1f408", "penguin": "1f427", "rabbit": "1f407", "elephant": "1f418", "dinosaur": "1f996", "panda": "1f43c",

	"car": "1f697", "bicycle": "1f6b2", "guitar": "1f3b8", "train": "1f682",
	"tree": "1f333", "balloon": "1f388", "umbrella": "2602-fe0f", "snowman": "26c4", "cake": "1f382",
	"cactus": "1f335", "rocket": "1f680", "sunflower": "1f33b",

	"dagger": "1f5e1-fe0f", "axe": "1fa93", "bomb": "1f4a3",
	"bikini": "1f459", "swimsuit": "1fa71", "kiss": "1f48b",
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run convert.go package/assets")
		os.Exit(2)
	}
	for name, codes := range sources {
		if err := convert(filepath.Join(os.Args[1], codes+".webp"), name+".png"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func convert(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	picture, err := webp.Decode(in)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	crop := visible(picture)
	scale := longSide / float64(max(crop.Dx(), crop.Dy()))
	w, h := int(float64(crop.Dx())*scale+0.5), int(float64(crop.Dy())*scale+0.5)
	small := image.NewRGBA(image.Rect(0, 0, w, h)) // premultiplied, so that edges get no halo
	draw.CatmullRom.Scale(small, small.Bounds(), picture, crop, draw.Src, nil)

	out, err := os.Create(to)
	if err != nil {
		return err
	}
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(out, small); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// visible returns the smallest rectangle around the pixels that are not transparent.
func visible(picture image.Image) image.Rectangle {
	var box image.Rectangle
	for y := picture.Bounds().Min.Y; y < picture.Bounds().Max.Y; y++ {
		for x := picture.Bounds().Min.X; x < picture.Bounds().Max.X; x++ {
			if _, _, _, a := picture.At(x, y).RGBA(); a > 0x0400 {
				box = box.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return box
}
