package core

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// ReadPNGText returns the text of a PNG file under a keyword: of its tEXt chunks, or of those iTXt chunks that are not
// compressed; ok is false where it has none.
func ReadPNGText(data []byte, key string) (text string, ok bool) {
	const signature = "\x89PNG\r\n\x1a\n"
	if !bytes.HasPrefix(data, []byte(signature)) {
		return "", false
	}
	for data = data[len(signature):]; len(data) >= 12; {
		length := uint64(binary.BigEndian.Uint32(data))
		if length+12 > uint64(len(data)) {
			return "", false
		}
		kind, body := string(data[4:8]), data[8:8+length]
		data = data[12+length:]
		keyword, rest, found := bytes.Cut(body, []byte{0})
		if !found || string(keyword) != key {
			continue
		}
		switch {
		case kind == "tEXt":
			var b strings.Builder
			for _, c := range rest {
				b.WriteRune(rune(c)) // Latin-1
			}
			return b.String(), true
		case kind == "iTXt" && len(rest) > 2 && rest[0] == 0:
			if parts := bytes.SplitN(rest[2:], []byte{0}, 3); len(parts) == 3 {
				return strings.ToValidUTF8(string(parts[2]), "�"), true
			}
		}
	}
	return "", false
}

// loraTag is how the web UI names a LoRA in a prompt.
var loraTag = regexp.MustCompile(`\s*<lora:([^:<>]+):([^<>]*)>`)

// ParseParameters reads what Parameters.String writes, and what the web UI does. Keys that it does not know are
// skipped.
func ParseParameters(text string) (p Parameters, err error) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	at := strings.LastIndex(text, "\nSteps: ")
	if at < 0 {
		return p, errors.New("no line \"Steps: …\" in its parameters")
	}
	words, line := text[:at], text[at+1:]
	p.Prompt, p.Negative, _ = strings.Cut(words, "\nNegative prompt: ")
	for _, tag := range loraTag.FindAllStringSubmatch(p.Prompt, -1) {
		scale, err := strconv.ParseFloat(tag[2], 64)
		if err != nil {
			return p, fmt.Errorf("parameters: strength %q of LoRA %s, want a number", tag[2], tag[1])
		}
		p.LoRA = append(p.LoRA, LoRAUse{tag[1], scale})
	}
	p.Prompt = Clean(strings.TrimSpace(loraTag.ReplaceAllString(p.Prompt, "")))
	p.Negative = Clean(p.Negative)
	if p.Prompt == "" {
		return p, errors.New("no prompt in its parameters")
	}
	for key, value := range pairsOf(line) {
		var err error
		switch key {
		case "Steps":
			p.NumSteps, err = strconv.Atoi(value)
		case "CFG scale":
			p.GuidanceScale, err = strconv.ParseFloat(value, 64)
		case "Seed":
			p.Seed, err = strconv.ParseUint(value, 10, 64)
		case "Size":
			p.Size, err = ParseSize(value)
		case "Eta":
			p.Eta, err = strconv.ParseFloat(value, 64)
		case "Sampler":
			p.Sampler = value
		case "Model":
			p.Model = value
		case "Version":
			p.Version = value
		}
		if err != nil {
			return p, fmt.Errorf("parameters: %s: %q is no number", key, value)
		}
	}
	return p, nil
}

// pairsOf are the values of "key: value, key: \"value, with a comma\"".
func pairsOf(line string) map[string]string {
	pairs := map[string]string{}
	for line != "" {
		key, rest, found := strings.Cut(line, ": ")
		if !found {
			break
		}
		value, next := "", ""
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			value, _ = strconv.Unquote(quoted)
			_, next, _ = strings.Cut(rest[len(quoted):], ", ")
		} else {
			value, next, _ = strings.Cut(rest, ", ")
		}
		pairs[strings.TrimSpace(key)] = strings.TrimSpace(value)
		line = next
	}
	return pairs
}
