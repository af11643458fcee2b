package weights

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// refuseForeign recognizes what people most often have in place of a safetensors
// file and says what to do about it. data is the content of the file at path.
func refuseForeign(path string, data []byte) error {
	head := data[:min(len(data), 512)]
	switch {
	case beginsAsSafetensors(head):
		return nil
	case beginsAsPickle(head):
		return pickleError(path)
	case bytes.HasPrefix(head, []byte("version https://git-lfs")):
		return fmt.Errorf("%s: is a git LFS pointer, not the file; run git lfs pull", path)
	case bytes.HasPrefix(head, []byte("GGUF")):
		return fmt.Errorf("%s: is a GGUF file; only safetensors can be read", path)
	case bytes.HasPrefix(bytes.TrimSpace(head), []byte("<")):
		return fmt.Errorf("%s: is a web page, not a checkpoint; was the download a log-in page?", path)
	}
	return nil
}

// beginsAsSafetensors tells a header length of less than 4 GiB and a brace. A length may look like
// anything: 640 begins as a pickle does, 15392 as a web page after a space.
func beginsAsSafetensors(head []byte) bool {
	return len(head) > 8 && head[8] == '{' && string(head[4:8]) == "\x00\x00\x00\x00"
}

// beginsAsPickle reports the beginning of torch.save since 1.6, and of pickle protocols 2 to 5.
func beginsAsPickle(head []byte) bool {
	return !beginsAsSafetensors(head) &&
		(bytes.HasPrefix(head, []byte("PK\x03\x04")) || len(head) > 1 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5)
}

// isPickleName reports the file names that PyTorch's pickles have.
func isPickleName(name string) bool {
	switch filepath.Ext(name) {
	case ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".p":
		return true
	}
	return false
}

// pickleError refuses a pickle as it is, with the command that makes a safetensors file of it.
func pickleError(path string) error {
	to := strings.TrimSuffix(path, filepath.Ext(path)) + ".safetensors"
	if to == path {
		to = path + ".converted.safetensors"
	}
	return errors.New(path + ": is a Python pickle; `focusnfix convert " + shellQuote(path) + " -o " + shellQuote(to) +
		"` makes a safetensors file of it, without executing anything in it")
}

// shellQuote makes s one word of a POSIX shell.
func shellQuote(s string) string {
	plain := strings.IndexFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_-+=:,@", r)
	}) < 0
	if plain && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
