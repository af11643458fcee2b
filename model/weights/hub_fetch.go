package weights

import (
	"cmp"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// busyError is an answer that says to come back later.
type busyError struct {
	error
	wait time.Duration
}

// fetch brings one file into the folder, unless it is there and right.
func (p *puller) fetch(ctx context.Context, f hubFile) error {
	if f.becomes != "" {
		return p.fetchPickle(ctx, f)
	}
	return p.fetchTo(ctx, f, p.target(f))
}

// target is where a file ends up.
func (p *puller) target(f hubFile) string { return filepath.Join(p.dir, filepath.FromSlash(f.name())) }

// fetchTo brings one file to target, unless it is there and right.
func (p *puller) fetchTo(ctx context.Context, f hubFile, target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o777); err != nil {
		return describe(target, err)
	}
	if have, err := f.verified(target); err != nil || have {
		p.moved(f.path, f.size)
		return err
	}
	part := f.partName(target)
	best := int64(0) // a hub that ignores Range and cuts every answer short makes no progress
	err := p.retry(ctx, func() (bool, error) {
		reached, err := p.attempt(ctx, f, part)
		further := reached > best
		best = max(best, reached)
		return further, err
	})
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s: %w", f.path, err)
	}
	if err := os.Rename(part, target); err != nil {
		return describe(target, err)
	}
	return syncDir(filepath.Dir(target))
}

// partName is where a file grows. It carries the sum, so that a part of another
// revision is never continued.
func (f hubFile) partName(target string) string {
	sum := f.sha256 + f.blob
	return filepath.Join(filepath.Dir(target), fmt.Sprintf(".%s.%.12s.part", filepath.Base(target), sum))
}

// newHash is how the hub sums this file; nil if it gave no sum.
func (f hubFile) newHash() (sum hash.Hash, want string) {
	switch {
	case f.sha256 != "":
		return sha256.New(), f.sha256
	case f.blob != "":
		sum = sha1.New() // not for safety: it is how git names what it stores
		fmt.Fprintf(sum, "blob %d\x00", f.size)
		return sum, f.blob
	}
	return nil, ""
}

// verified reports whether the file at path is this one.
func (f hubFile) verified(path string) (bool, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, describe(path, err)
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil || info.Size() != f.size {
		return false, err
	}
	sum, want := f.newHash()
	if sum == nil {
		return true, nil
	}
	if _, err := io.Copy(sum, file); err != nil {
		return false, describe(path, err)
	}
	return hex.EncodeToString(sum.Sum(nil)) == want, nil
}

// attempt continues the file at part, and checks it once it is whole. It returns how many bytes of the
// file there are then.
func (p *puller) attempt(ctx context.Context, f hubFile, part string) (reached int64, err error) {
	file, err := os.OpenFile(part, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return 0, &finalError{describe(part, err)}
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	start, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, &finalError{describe(part, err)}
	}
	if start > f.size {
		start = 0
	}
	counted := start
	p.moved(f.path, counted)
	defer func() {
		if err != nil {
			p.moved(f.path, -counted) // the next attempt counts what the part holds again
		}
	}()
	if start < f.size || f.size == 0 {
		n, err := p.download(ctx, f, file, &start)
		counted = start + n
		if err != nil {
			return counted, err
		}
	}
	right, err := f.verified(part)
	if err != nil {
		return counted, &finalError{err}
	}
	if !right {
		err := errors.Join(errors.New("wrong bytes: the sum is not the hub's; is there a proxy in between, or a broken disk?"), file.Truncate(0))
		if start == 0 { // not the fault of what was there before
			err = &finalError{err}
		}
		return 0, err
	}
	if err := file.Sync(); err != nil {
		return counted, &finalError{describe(part, err)}
	}
	return counted, nil
}

// download appends what is missing to file from *start, which becomes 0 if the hub
// does not continue where it was asked to. It returns the number of bytes that came.
func (p *puller) download(ctx context.Context, f hubFile, file *os.File, start *int64) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	address := cmp.Or(f.address, fmt.Sprintf("%s/%s/resolve/%s/%s", p.Endpoint, p.repo, url.PathEscape(p.commit), escaped(f.path)))
	response, err := p.get(ctx, address, *start)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }() // only read
	if *start > 0 && !continues(response, *start) {
		p.moved(f.path, -*start)
		*start = 0
		if response.StatusCode != http.StatusOK {
			return 0, errors.Join(errors.New("the hub answered with another range"), file.Truncate(0))
		}
	}
	if err := file.Truncate(*start); err != nil {
		return 0, &finalError{describe(file.Name(), err)}
	}
	if _, err := file.Seek(*start, io.SeekStart); err != nil {
		return 0, &finalError{describe(file.Name(), err)}
	}
	silence := time.AfterFunc(p.Stall, func() { cancel(fmt.Errorf("no data for %s", p.Stall)) })
	defer silence.Stop()
	n, err := p.copy(f, file, response.Body, f.size-*start, silence)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return n, err
}

// continues reports whether response begins at byte start of the file.
func continues(response *http.Response, start int64) bool {
	return response.StatusCode == http.StatusPartialContent &&
		strings.HasPrefix(response.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", start))
}

// copy writes the want bytes of f that are missing to file, and winds up the timer
// whenever some have come.
func (p *puller) copy(f hubFile, file *os.File, body io.Reader, want int64, silence *time.Timer) (int64, error) {
	total, buffer := int64(0), make([]byte, 256<<10)
	for {
		n, readErr := body.Read(buffer)
		silence.Reset(p.Stall)
		if total+int64(n) > want {
			return total, errors.Join(fmt.Errorf("the hub sent more than the %d bytes it announced", f.size), file.Truncate(0))
		}
		if _, err := file.Write(buffer[:n]); err != nil {
			return total, &finalError{describe(file.Name(), err)}
		}
		total += int64(n)
		p.moved(f.path, int64(n))
		switch {
		case errors.Is(readErr, io.EOF) && total == want:
			return total, nil
		case errors.Is(readErr, io.EOF):
			return total, io.ErrUnexpectedEOF
		case readErr != nil:
			return total, readErr
		}
	}
}

// get asks for address from byte start on.
func (p *puller) get(ctx context.Context, address string, start int64) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, &finalError{err}
	}
	if start > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", start))
	}
	response, err := p.client.Do(request)
	if err != nil {
		return nil, err
	}
	switch code := response.StatusCode; {
	case code == http.StatusOK, code == http.StatusPartialContent, code == http.StatusRequestedRangeNotSatisfiable && start > 0:
		return response, nil
	default:
		_ = response.Body.Close() // only its head matters
		return nil, p.statusError(response)
	}
}

// statusError says what a refusal means and what to do about it.
func (p *puller) statusError(response *http.Response) error {
	err := fmt.Errorf("the hub answered %s", response.Status)
	page, code := p.Endpoint+"/"+p.repo, response.StatusCode
	switch {
	case code == http.StatusForbidden && response.Header.Get("X-Ratelimit-Remaining") == "0": // GitHub's
		return &finalError{fmt.Errorf("%w: its hourly limit of requests is used up; try again later", err)}
	case code == http.StatusUnauthorized && p.Token == "":
		return &finalError{fmt.Errorf("%w: misspelled, private or gated; if %s asks you to accept a license, do so, then set HF_TOKEN to a token of your account", err, page)}
	case code == http.StatusUnauthorized:
		return &finalError{fmt.Errorf("%w: HF_TOKEN is expired, or may not read this; %s/settings/tokens makes another", err, p.Endpoint)}
	case code == http.StatusForbidden && p.Token == "":
		return &finalError{fmt.Errorf("%w: gated; accept the license at %s, then set HF_TOKEN to a token of your account", err, page)}
	case code == http.StatusForbidden:
		return &finalError{fmt.Errorf("%w: gated; accept the license at %s with the token's account, and let the token read gated repositories", err, page)}
	case code == http.StatusNotFound:
		return &finalError{fmt.Errorf("%w: no such repository, revision or file", err)}
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		wait := retryAfter(response.Header.Get("Retry-After"), time.Now())
		if wait > 0 {
			err = fmt.Errorf("%w and asks to wait %s", err, wait.Round(time.Second))
		}
		return &busyError{err, wait}
	case code >= 500, code == http.StatusRequestTimeout:
		return err
	}
	return &finalError{err}
}

// retryAfter is the wait that a Retry-After header asks for: seconds, or a date. 0 is none.
func retryAfter(header string, now time.Time) time.Duration {
	if date, err := http.ParseTime(header); err == nil {
		return max(date.Sub(now), 0)
	}
	seconds, _ := strconv.ParseInt(header, 10, 32)
	return time.Duration(max(seconds, 0)) * time.Second
}
