package tui

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// historyLength is how many prompts are kept.
const historyLength = 500

// history is the prompts that were typed before, the newest last. It is kept in a file of the user's,
// one a line.
type history struct {
	path  string
	lines []string
	at    int    // what is shown; len(lines) is the line being typed
	typed string // that line, while another is shown
}

// historyFile is where the prompts are kept, after the XDG base directory specification. It is "" where
// there is no home.
func historyFile() string {
	dir := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(dir, "focusnfix", "prompts")
}

// loadHistory reads the file; one that cannot be read is an empty history.
func loadHistory(path string) *history {
	h := &history{path: path, lines: readHistory(path)}
	h.at = len(h.lines)
	return h
}

func readHistory(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(strings.ToValidUTF8(line, "")); line != "" {
			lines = append(lines, line)
		}
	}
	return newest(lines)
}

func newest(lines []string) []string { return lines[max(len(lines)-historyLength, 0):] }

// withLine is the lines with one more at the end, which is nowhere else.
func withLine(lines []string, line string) []string {
	lines = slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return l == line })
	return newest(append(lines, line))
}

// add makes line the newest. The function that comes back writes it down, in a command; what another
// screen has written since stays.
func (h *history) add(line string) func() error {
	line = strings.Join(strings.Fields(line), " ")
	h.lines = withLine(h.lines, line)
	h.at, h.typed = len(h.lines), ""
	path := h.path
	return func() error {
		if path == "" || line == "" {
			return nil
		}
		return writeHistory(path, withLine(readHistory(path), line))
	}
}

// writeHistory replaces the file, which only the user may read.
func writeHistory(path string, lines []string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".prompts-")
	if err != nil {
		return err
	}
	_, err = file.WriteString(strings.Join(lines, "\n") + "\n")
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// up is the line before the one that is shown, which is current.
func (h *history) up(current string) string {
	if h.at == len(h.lines) {
		h.typed = current
	}
	if h.at == 0 {
		return current
	}
	h.at--
	return h.lines[h.at]
}

// down is the line after it, and at last what was being typed.
func (h *history) down(current string) string {
	if h.at == len(h.lines) {
		return current
	}
	if h.at++; h.at == len(h.lines) {
		return h.typed
	}
	return h.lines[h.at]
}
