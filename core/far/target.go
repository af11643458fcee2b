package far

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// Target is a run on another machine, as HOST:RUN names it.
type Target struct {
	Host string // as ssh has it: an alias of its configuration, a name or an address, or user@ before one
	Run  string // name, part of a name, or folder there; "" is the newest run, or all
}

// Parse reads HOST:RUN as scp does: what has a slash before its first colon is a path on this machine, and an
// IPv6 address stands in brackets. remote is false for what names nothing on another machine.
func Parse(text string) (t Target, remote bool, err error) {
	user, rest := "", text
	if at := strings.IndexByte(text, '@'); at >= 0 && !strings.ContainsAny(text[:at], ":/[") {
		user, rest = text[:at+1], text[at+1:]
	}
	host, run, found := strings.Cut(rest, ":")
	if inner, isAddress := strings.CutPrefix(rest, "["); isAddress {
		if host, run, found = strings.Cut(inner, "]:"); found && !strings.ContainsAny(host, "/[") {
			t = Target{user + host, run}
			return t, true, t.check()
		}
		return Target{}, false, nil
	}
	if !found || strings.Contains(host, "/") {
		return Target{}, false, nil
	}
	t = Target{user + host, run}
	return t, true, t.check()
}

// check refuses what ssh or a far shell could take for something else than a host and a run.
func (t Target) check() error {
	odd := func(text string) bool {
		return strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar })
	}
	switch {
	case t.Host == "" || strings.HasSuffix(t.Host, "@"):
		return errors.New("no host before the colon; want HOST:RUN, or ./NAME for a folder here")
	case t.Host[0] == '-':
		return fmt.Errorf("host %q: a host does not begin with -", t.Host)
	case odd(t.Host) || strings.ContainsAny(t.Host, " '\"`$;&|<>()\\*?!#~{}"):
		return fmt.Errorf("host %q: want a name as ssh has it, without spaces and quotes", t.Host)
	case odd(t.Run) || len(t.Run) > 1000:
		return fmt.Errorf("run %q: want a name or folder without control characters", t.Run)
	}
	return nil
}

// CacheDir is the folder of the copies: $XDG_CACHE_HOME/focusnfix/far, or the system's place for it.
func CacheDir() (string, error) {
	dir := os.Getenv("XDG_CACHE_HOME")
	if !filepath.IsAbs(dir) {
		var err error
		if dir, err = os.UserCacheDir(); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "focusnfix", "far"), nil
}
