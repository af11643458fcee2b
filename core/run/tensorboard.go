package run

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"os"
	"path"
	"slices"
	"time"
)

// TensorBoard writes an event file that TensorBoard opens: TFRecords of protobuf Event messages
// (tensorflow/core/util/event.proto), of which we need so few fields that they are encoded by hand.
type TensorBoard struct{ file file }

// tensorBoard is the folder of the event files, in a run's.
const tensorBoard = "tensorboard"

// Field numbers of event.proto and summary.proto, with their wire types.
const (
	eventWallTime    = 1<<3 | wireFixed64
	eventStep        = 2<<3 | wireVarint
	eventFileVersion = 3<<3 | wireBytes
	eventSummary     = 5<<3 | wireBytes
	eventSessionLog  = 7<<3 | wireBytes
	sessionStatus    = 1<<3 | wireVarint
	summaryValue     = 1<<3 | wireBytes
	valueTag         = 1<<3 | wireBytes
	valueSimple      = 2<<3 | wireFixed32

	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// HasTensorBoard reports whether the run has event files already.
func (f Folder) HasTensorBoard() bool {
	return f.on(func(d disk) error { return wantFolder(d, tensorBoard) }) == nil
}

// NewTensorBoard begins a further event file of the run, at a step: TensorBoard forgets later steps of
// the files before, which a resumed training makes again.
func (f Folder) NewTensorBoard(step int) (b *TensorBoard, err error) {
	err = f.on(func(d disk) error { b, err = newTensorBoard(d, step); return err })
	return b, err
}

func newTensorBoard(d disk, step int) (*TensorBoard, error) {
	if err := makeFolder(d, tensorBoard); err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	now := time.Now()
	name := fmt.Sprintf("events.out.tfevents.%d.%s.%d", now.UnixMicro(), host, os.Getpid())
	file, err := d.OpenFile(path.Join(tensorBoard, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	b := &TensorBoard{file}
	version := appendBytes(event(now, 0), eventFileVersion, []byte("brain.Event:2"))
	start := appendBytes(event(now, step+1), eventSessionLog, []byte{sessionStatus, 1}) // START
	if err := b.write(append(record(version), record(start)...)); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return b, nil
}

// Add writes numbers of a step, by the tags that TensorBoard shows; those that are none are left out.
func (b *TensorBoard) Add(step int, numbers map[string]float64) error {
	return b.write(record(appendBytes(event(time.Now(), step), eventSummary, summary(numbers))))
}

// summary is a Summary message, by tags in their order.
func summary(numbers map[string]float64) (m []byte) {
	for _, tag := range slices.Sorted(maps.Keys(numbers)) {
		if v := numbers[tag]; !math.IsNaN(v) {
			value := appendBytes(nil, valueTag, []byte(tag))
			value = binary.LittleEndian.AppendUint32(append(value, valueSimple), math.Float32bits(float32(v)))
			m = appendBytes(m, summaryValue, value)
		}
	}
	return m
}

// write appends records. What a full disk took only by half is cut off again.
func (b *TensorBoard) write(records []byte) error {
	info, err := b.file.Stat()
	if err != nil {
		return fmt.Errorf("tensorboard: %w", err)
	}
	if _, err := b.file.WriteAt(records, info.Size()); err != nil {
		return errors.Join(fmt.Errorf("tensorboard: %w", err), b.file.Truncate(info.Size()))
	}
	return nil
}

// Close ends the file.
func (b *TensorBoard) Close() error { return b.file.Close() }

// event is the begin of an Event message.
func event(at time.Time, step int) []byte {
	m := binary.LittleEndian.AppendUint64([]byte{eventWallTime}, math.Float64bits(float64(at.UnixMicro())/1e6))
	return binary.AppendUvarint(append(m, eventStep), uint64(max(step, 0)))
}

func appendBytes(m []byte, field byte, data []byte) []byte {
	return append(binary.AppendUvarint(append(m, field), uint64(len(data))), data...)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record is a TFRecord: length, its checksum, data, its checksum (tensorflow/core/lib/io/record_writer.h).
func record(data []byte) []byte {
	r := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	r = binary.LittleEndian.AppendUint32(r, masked(r))
	r = append(r, data...)
	return binary.LittleEndian.AppendUint32(r, masked(data))
}

// masked is the checksum as TFRecords have it (tensorflow/core/lib/hash/crc32c.h).
func masked(data []byte) uint32 {
	sum := crc32.Checksum(data, castagnoli)
	return (sum>>15 | sum<<17) + 0xa282ead8
}
