package far

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"

	"focusnfix/core/run"
)

const (
	rawPiece = 64 << 10 // bytes of a log that are deflated together
	longLine = 512 << 10
	sumBytes = 64 << 10 // of a log's end that hello has the checksum of
)

// logTail sends a log as it grows.
type logTail struct {
	folder run.Folder
	log    int // of logs
	have   position
	begun  bool
	anew   bool  // the next piece replaces what is at the near end
	at     int64 // bytes that the near end has
	was    fs.FileInfo
	packed bytes.Buffer
	packer *flate.Writer
}

// next is the next piece, if the log has grown. Of events only whole lines are sent: a half one may be cut off.
func (t *logTail) next() (f frame, ok bool, err error) {
	file, err := t.folder.Open(logs[t.log])
	if errors.Is(err, fs.ErrNotExist) {
		return frame{}, false, nil
	}
	if err != nil {
		return frame{}, false, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	info, err := file.Stat()
	if err != nil {
		return frame{}, false, err
	}
	t.place(file, info)
	piece, err := t.piece(file)
	if err != nil || len(piece) == 0 && !t.anew {
		return frame{}, false, err
	}
	head := logHead{t.log, t.anew, t.at, info.Size()}
	t.at, t.anew = t.at+int64(len(piece)), false
	t.packed.Reset()
	t.packed.Write(head.append(nil))
	if err := t.pack(piece); err != nil {
		return frame{}, false, err
	}
	return frame{kindLog, bytes.Clone(t.packed.Bytes())}, true, nil
}

// place decides where to go on: where the near end is, or at the beginning if that is another log.
func (t *logTail) place(file *os.File, info fs.FileInfo) {
	if !t.begun {
		t.begun = true
		t.at = t.have.Size
		sum, err := sumRange(file, max(0, t.at-sumBytes), t.at)
		t.anew = err != nil || t.at > info.Size() || sum != t.have.Sum
	} else if info.Size() < t.at || !os.SameFile(t.was, info) {
		t.anew = true
	}
	if t.anew {
		t.at = 0
	}
	t.was = info
}

func (t *logTail) piece(file *os.File) ([]byte, error) {
	for size := rawPiece; ; size *= 8 {
		block := make([]byte, size)
		n, err := file.ReadAt(block, t.at)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		block = block[:n]
		if t.log > 0 {
			return block, nil
		}
		if end := bytes.LastIndexByte(block, '\n') + 1; end > 0 || n < size {
			return block[:end], nil
		}
		if size >= longLine {
			return block, nil // readers skip such a line
		}
	}
}

func (t *logTail) pack(piece []byte) (err error) {
	if t.packer == nil {
		t.packer, err = flate.NewWriter(&t.packed, flate.DefaultCompression)
	} else {
		t.packer.Reset(&t.packed)
	}
	if err == nil {
		_, err = t.packer.Write(piece)
	}
	if err == nil {
		err = t.packer.Close()
	}
	return err
}

// sumRange is the SHA-256 of a part of a file, in hexadecimal. A file that ends before is an error.
func sumRange(file io.ReaderAt, from, to int64) (string, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, io.NewSectionReader(file, from, to-from))
	if err == nil && n != to-from {
		err = io.ErrUnexpectedEOF
	}
	return hex.EncodeToString(sum.Sum(nil)), err
}

// sumOf is sumRange of a file of a run.
func sumOf(ctx context.Context, f run.Folder, name string, from, to int64) (sum string, err error) {
	file, err := f.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close() //nolint:errcheck // it was only read
	return sumRange(untilDone{ctx, file}, from, to)
}

// untilDone reads until a context ends.
type untilDone struct {
	ctx context.Context
	io.ReaderAt
}

func (u untilDone) ReadAt(p []byte, off int64) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.ReaderAt.ReadAt(p, off)
}
