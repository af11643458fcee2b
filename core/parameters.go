package core

import (
	"fmt"
	"strconv"
	"strings"
)

// ParametersKey is the PNG keyword under which AUTOMATIC1111's web UI, and the many programs that
// read its images, look for how an image was drawn.
const ParametersKey = "parameters"

// Parameters is the text in a PNG: how the image was drawn, and with what.
type Parameters struct {
	Drawing
	LoRA     []LoRAUse
	Sampler  string // as the web UI names it: "DDIM", "Euler a", "DPM++ 2M Karras"
	Model    string
	ClipSkip int    // layers left out; the web UI counts from 1, so it shows one more
	Version  string // of this program
}

// LoRAUse names a LoRA file, without folder and ending, and its scale.
type LoRAUse struct {
	Name  string
	Scale float64
}

// String writes the parameters as the web UI does: prompt, negative prompt, then one line of
// "key: value" pairs in which values with a comma, colon or newline are quoted.
func (p Parameters) String() string {
	var b strings.Builder
	b.WriteString(p.Prompt)
	for _, l := range p.LoRA {
		fmt.Fprintf(&b, " <lora:%s:%s>", l.Name, number(l.Scale))
	}
	if p.Negative != "" {
		b.WriteString("\nNegative prompt: " + p.Negative)
	}
	pairs := []string{
		"Steps: " + strconv.Itoa(p.NumSteps), "Sampler: " + p.Sampler, "CFG scale: " + number(p.GuidanceScale),
		"Seed: " + strconv.FormatUint(p.Seed, 10), "Size: " + p.Size.String(),
	}
	if p.Model != "" {
		pairs = append(pairs, "Model: "+quoteValue(p.Model))
	}
	if p.GuidanceRescale != 0 {
		pairs = append(pairs, "CFG Rescale: "+number(p.GuidanceRescale))
	}
	if p.Eta != 0 {
		pairs = append(pairs, "Eta: "+number(p.Eta))
	}
	if p.ClipSkip > 0 {
		pairs = append(pairs, "Clip skip: "+strconv.Itoa(p.ClipSkip+1))
	}
	if p.Version != "" {
		pairs = append(pairs, "Version: "+quoteValue(p.Version))
	}
	b.WriteString("\n" + strings.Join(pairs, ", "))
	return b.String()
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

func quoteValue(s string) string {
	if strings.ContainsAny(s, ",:\n") {
		return strconv.Quote(s)
	}
	return s
}
