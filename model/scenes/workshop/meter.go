package workshop

import (
	"fmt"
	"math"
	"strings"
	"time"

	"focusnfix/model/torch"
)

// meter averages what a lesson shows between two events. The sums stay on the device, so that a GPU
// never waits for them to be read.
type meter struct {
	sum     torch.Tensor // [K], or none
	count   int
	samples int
	since   time.Time
}

func (m *meter) begin() { m.since = time.Now() }

func (m *meter) add(numbers torch.Tensor, samples int) {
	if !m.sum.Defined() {
		m.sum = torch.Own(numbers.ZerosLike())
	}
	m.sum.AddInPlace(numbers, 1)
	m.count++
	m.samples += samples
}

// read gives the means under their names, and the samples a second, and starts anew. A mean that is
// not finite is nil, as JSON has no word for it.
func (m *meter) read(names []string) (map[string]any, error) {
	numbers := map[string]any{}
	if m.count == 0 {
		return numbers, nil
	}
	err := torch.Run(func() {
		for i, v := range m.sum.Doubles() {
			mean := v / float64(m.count)
			numbers[names[i]] = mean
			if math.IsNaN(mean) || math.IsInf(mean, 0) {
				numbers[names[i]] = nil
			}
		}
		torch.NoGrad(m.sum.Zero)
	})
	seconds := time.Since(m.since).Seconds()
	numbers["samples_per_second"] = float64(m.samples) / seconds
	m.count, m.samples, m.since = 0, 0, time.Now()
	return numbers, err
}

func (m *meter) drop() { torch.Drop(m.sum) }

// describe writes the numbers on one line.
func describe(numbers map[string]any, names []string) string {
	var parts []string
	for _, name := range names {
		if v, ok := numbers[name].(float64); ok {
			parts = append(parts, fmt.Sprintf("%s %.4f", name, v))
		}
	}
	if v, ok := numbers["samples_per_second"].(float64); ok {
		parts = append(parts, fmt.Sprintf("%.1f/s", v))
	}
	return strings.Join(parts, "  ")
}
