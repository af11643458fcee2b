package far

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"focusnfix/core"
	"focusnfix/core/run"
)

// protocol is the version of what the two ends speak. It grows when an older end would misunderstand a newer.
const protocol = 1

const (
	maxFrame    = 1 << 20  // bytes of a frame
	maxGreeting = 200      // bytes of a greeting
	maxBefore   = 64 << 10 // bytes that a far shell may print before it
)

// kind is what a frame is.
type kind byte

// What the near end sends.
const (
	kindHello   kind = 'h' // hello
	kindWant    kind = 'w' // want: an image
	kindCommand kind = 'c' // command to the engine, or to start one
	kindCancel  kind = 'x' // cancel: nobody waits for the answer
	kindAck     kind = 'k' // 8 bytes: how many bytes of log and image frames have come
	kindPing    kind = 'p'
)

// What the far end sends.
const (
	kindFile   kind = 'r' // file: run.json or config.toml, as it is now
	kindState  kind = 's' // state
	kindLog    kind = 'l' // a piece of a log: see logHead
	kindVerify kind = 'v' // verify: the checksum of a log's beginning
	kindImage  kind = 'i' // a piece of an image: see imageHead
	kindAnswer kind = 'a' // answer to a command
	kindPong   kind = 'o'
	kindEnd    kind = 'e' // end: why there is no more
)

type (
	hello struct {
		ReadOnly bool        `json:"read_only,omitempty"` // refuse commands
		Logs     [2]position `json:"logs"`                // what is here of each log
		Verify   bool        `json:"verify,omitempty"`    // send the checksum of all of it
	}
	position struct {
		Size int64  `json:"size"`
		Sum  string `json:"sum"` // SHA-256 of the last sumBytes, or of all where it is shorter
	}
	want struct {
		ID   uint32 `json:"id"`
		Path string `json:"path"` // from the run folder
		Side int    `json:"side"` // pixels of the longer side that are enough; 0: the file itself
	}
	command struct {
		ID   uint32 `json:"id"`
		Verb string `json:"verb"` // of the control socket; or train and wake, which start an engine
		Body []byte `json:"body,omitempty"`
	}
	cancel struct {
		ID uint32 `json:"id"`
	}
	file struct {
		Name string `json:"name"`
		Text []byte `json:"text"`
	}
	state struct {
		Folder      string    `json:"folder"` // of the run, absolute
		State       string    `json:"state"`
		Engine      bool      `json:"engine"` // one works on the run
		OnlyDraws   bool      `json:"only_draws,omitempty"`
		Checkpoints []int     `json:"checkpoints,omitempty"` // steps
		Space       run.Space `json:"space,omitzero"`
	}
	verify struct {
		Log  int    `json:"log"`
		Size int64  `json:"size"`
		Sum  string `json:"sum"`
	}
	answer struct {
		ID     uint32 `json:"id"`
		Status int    `json:"status"` // of HTTP
		Body   []byte `json:"body"`
	}
	end struct {
		Error string `json:"error"`
		Hint  string `json:"hint,omitempty"`
	}
)

// frame is one frame.
type frame struct {
	kind kind
	data []byte
}

// message is a frame with JSON in it.
func message(k kind, v any) frame {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // of our own structs
	}
	return frame{k, data}
}

func writeFrame(w io.Writer, f frame) error {
	if len(f.data) > maxFrame {
		return fmt.Errorf("frame %q: %d bytes, want at most %d", f.kind, len(f.data), maxFrame)
	}
	text := make([]byte, 5, 5+len(f.data))
	text[0] = byte(f.kind)
	binary.BigEndian.PutUint32(text[1:], uint32(len(f.data)))
	_, err := w.Write(append(text, f.data...))
	return err
}

// frameReader reads frames. A frame's bytes are valid until the next one.
type frameReader struct {
	in   *bufio.Reader
	data []byte
}

func (r *frameReader) next() (frame, error) {
	var head [5]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return frame{}, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size > maxFrame {
		return frame{}, fmt.Errorf("frame %q: %d bytes, want at most %d", head[0], size, maxFrame)
	}
	if int(size) > cap(r.data) {
		r.data = make([]byte, size)
	}
	r.data = r.data[:size]
	if _, err := io.ReadFull(r.in, r.data); err != nil {
		return frame{}, fmt.Errorf("frame %q: %w", head[0], noEnd(err))
	}
	return frame{kind(head[0]), r.data}, nil
}

// noEnd is an error that is not the regular end of a file.
func noEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// read fills v from a frame of JSON; text in it is clean then.
func (f frame) read(v any) error {
	if err := json.Unmarshal(f.data, v); err != nil {
		return fmt.Errorf("frame %q: %w", f.kind, err)
	}
	core.CleanStrings(v)
	return nil
}

// Names of the ends in their greetings.
const (
	nearEnd = "focusnfix-attach"
	farEnd  = "focusnfix-relay"
)

func greeting(end, version string) []byte {
	return fmt.Appendf(nil, "%s %d %s\n", end, protocol, version)
}

// errNoGreeting is the error of a program that is not the other end.
var errNoGreeting = errors.New("no greeting")

// readGreeting finds the other end's greeting behind what a shell may print, which comes back, too.
func readGreeting(in *bufio.Reader, end string) (number int, version, before string, err error) {
	for len(before) < maxBefore {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			err = nil // a long line is none of ours
		}
		words := strings.Fields(string(line))
		if n := len(line); n <= maxGreeting && len(words) >= 2 && words[0] == end && line[n-1] == '\n' {
			number, err := strconv.Atoi(words[1])
			if err == nil {
				return number, core.Clean(strings.Join(words[2:], " ")), before, nil
			}
		}
		before += string(line)
		if err != nil {
			return 0, "", before, errNoGreeting
		}
	}
	return 0, "", before, errNoGreeting
}

// logs are the files that are followed, in the order of hello.Logs.
var logs = [2]string{"events.jsonl", "log.txt"}

// logHead begins a piece of a log; the rest is deflated.
type logHead struct {
	log    int   // of logs
	anew   bool  // what is here of it is void
	offset int64 // of the piece
	size   int64 // of the whole log there
}

const logHeadBytes = 18

func (h logHead) append(data []byte) []byte {
	anew := byte(0)
	if h.anew {
		anew = 1
	}
	data = append(data, byte(h.log), anew)
	data = binary.BigEndian.AppendUint64(data, uint64(h.offset))
	return binary.BigEndian.AppendUint64(data, uint64(h.size))
}

func parseLogHead(data []byte) (h logHead, rest []byte, err error) {
	if len(data) < logHeadBytes || int(data[0]) >= len(logs) || data[1] > 1 {
		return h, nil, errors.New("a piece of a log without a head")
	}
	h = logHead{
		log: int(data[0]), anew: data[1] == 1,
		offset: int64(binary.BigEndian.Uint64(data[2:])), size: int64(binary.BigEndian.Uint64(data[10:])),
	}
	if h.offset < 0 || h.size < 0 || h.anew && h.offset != 0 {
		return h, nil, fmt.Errorf("a piece of %s at %d of %d", logs[h.log], h.offset, h.size)
	}
	return h, data[logHeadBytes:], nil
}

// imageHead begins a piece of an image; the rest is the file's next bytes, or after failed the reason.
type imageHead struct {
	id     uint32 // of the want
	last   bool
	exact  bool // the file itself
	full   bool // it has all pixels of the file
	failed bool
}

const imageHeadBytes = 5

func (h imageHead) append(data []byte) []byte {
	flags := byte(0)
	for i, set := range []bool{h.last, h.exact, h.full, h.failed} {
		if set {
			flags |= 1 << i
		}
	}
	return append(binary.BigEndian.AppendUint32(data, h.id), flags)
}

func parseImageHead(data []byte) (h imageHead, rest []byte, err error) {
	if len(data) < imageHeadBytes {
		return h, nil, errors.New("a piece of an image without a head")
	}
	flags := data[4]
	h = imageHead{
		id:   binary.BigEndian.Uint32(data),
		last: flags&1 != 0, exact: flags&2 != 0, full: flags&4 != 0, failed: flags&8 != 0,
	}
	return h, data[imageHeadBytes:], nil
}
