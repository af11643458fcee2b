package core

import (
	"fmt"
	"math"
	"reflect"
	"strings"
)

// GPU is what the driver says of one GPU. A number that it does not tell is NaN.
type GPU struct {
	Index     int          `json:"index"` // as the driver counts
	UUID      string       `json:"uuid"`
	Name      string       `json:"name"`
	Use       float64      `json:"use"`        // share of time in which a kernel ran, in [0,1]
	MemoryMiB float64      `json:"memory_mib"` // in use, by all processes
	TotalMiB  float64      `json:"total_mib"`
	Celsius   float64      `json:"celsius"`
	Watts     float64      `json:"watts"`
	MostWatts float64      `json:"most_watts"` // the power limit
	Processes []GPUProcess `json:"processes"`  // that compute on it
}

// GPUProcess is a process that computes on a GPU.
type GPUProcess struct {
	PID       int     `json:"pid"` // of the host: in a container, processes have other numbers
	MemoryMiB float64 `json:"memory_mib"`
}

// String is the GPU's state in a line: "42 % busy, 3.1 of 80.0 GiB in use, 41 °C, 68 of 700 W". What is unknown is
// left out.
func (g GPU) String() string {
	var parts []string
	add := func(known float64, format string, values ...any) {
		if !math.IsNaN(known) {
			parts = append(parts, fmt.Sprintf(format, values...))
		}
	}
	add(g.Use, "%.0f %% busy", 100*g.Use)
	add(g.MemoryMiB+g.TotalMiB, "%.1f of %.1f GiB in use", g.MemoryMiB/1024, g.TotalMiB/1024)
	add(g.Celsius, "%.0f °C", g.Celsius)
	if math.IsNaN(g.MostWatts) {
		add(g.Watts, "%.0f W", g.Watts)
	} else {
		add(g.Watts, "%.0f of %.0f W", g.Watts, g.MostWatts)
	}
	return strings.Join(parts, ", ")
}

var gpuCodec = newStructCodec(reflect.TypeFor[GPU]())

// MarshalJSON leaves out what is unknown, as the event log does.
func (g GPU) MarshalJSON() ([]byte, error) {
	return gpuCodec.append(nil, reflect.ValueOf(&g).Elem()), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (g *GPU) UnmarshalJSON(text []byte) error {
	return gpuCodec.read(&scanner{text: text}, reflect.ValueOf(g).Elem())
}
