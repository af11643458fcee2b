package cmd

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"focusnfix/core"
	"focusnfix/core/engine"
	"focusnfix/model/families"
	"focusnfix/model/torch"
	"focusnfix/tui/picture"
)

// doctorReport is what `focusnfix doctor --json` prints. A part that could not be found out is
// absent.
type doctorReport struct {
	Version   string             `json:"version"`
	Go        string             `json:"go"`
	Platform  string             `json:"platform"`
	Processor processorReport    `json:"processor"`
	Torch     *torchReport       `json:"libtorch,omitempty"`
	CUDA      []torch.DeviceInfo `json:"cuda"`
	GPUs      []core.GPU         `json:"gpus,omitempty"`          // as nvidia-smi describes them, whatever libtorch can use
	Driver    string             `json:"nvidia_driver,omitempty"` // kernel module
	Models    []string           `json:"models"`                  // families that are drawn with and trained
	Speed     []speedReport      `json:"speed"`
	Terminal  []picture.Fact     `json:"terminal"`
	Advice    []advice           `json:"advice"`
}

type processorReport struct {
	Name    string  `json:"name,omitempty"`
	Cores   int     `json:"cores"`
	Memory  float64 `json:"memory_gib,omitempty"`
	Threads int     `json:"threads,omitempty"` // that one libtorch operator uses
}

type torchReport struct {
	Version string     `json:"version"`
	Path    string     `json:"path"`               // libtorch_cpu.so
	FoundBy string     `json:"found_by,omitempty"` // FNF_LIBTORCH, python3, system
	Shim    string     `json:"shim"`
	ABI     int        `json:"abi"`
	Gloo    bool       `json:"gloo"`
	NCCL    bool       `json:"nccl"`
	CUDA    bool       `json:"cuda_build"`
	BLAS    blasReport `json:"blas"`
}

type blasReport struct {
	Name string `json:"name"`
	Path string `json:"path,omitempty"` // "" where it is part of libtorch
	Slow bool   `json:"slow"`
}

// advice is something to mend: what is wrong and the command that mends it.
type advice struct {
	Problem string `json:"problem"`
	Command string `json:"command"`
}

func newDoctor() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check libtorch, devices and terminal",
		Long: "Check which libtorch and devices are used and how fast they are, what this terminal can show, and what to install " +
			"or change.",
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			report, err := examine(c.Context())
			if asJSON {
				return cmp.Or(printJSON(c.OutOrStdout(), report), err)
			}
			return cmp.Or(printReport(c.OutOrStdout(), report), err)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// examine looks at the machine and measures it. The error says why tensors cannot be used; the
// report then holds the rest.
func examine(ctx context.Context) (doctorReport, error) {
	r := doctorReport{
		Version:   version,
		Go:        runtime.Version(),
		Platform:  runtime.GOOS + "/" + runtime.GOARCH,
		Processor: processor(),
		CUDA:      []torch.DeviceInfo{},
		Models:    families.Names(),
		Speed:     []speedReport{},
		Advice:    []advice{},
		Driver:    nvidiaDriver(),
		Terminal:  terminalFacts(),
	}
	r.GPUs, _ = engine.GPUs(ctx) // most machines have none
	if err := torch.Load(); err != nil {
		r.Advice = append(r.Advice, advice{"libtorch cannot be used: " + err.Error(), "make setup"})
		return r, hintedError{err, "the advice above installs what is missing"}
	}
	r.Processor.Threads = torch.Threads()
	info, err := torch.BuildInfo()
	if err != nil {
		return r, err
	}
	r.Torch = examineTorch(mappedLibraries(), info)
	if devices, err := torch.CUDADevices(); err != nil {
		r.Advice = append(r.Advice, advice{"a CUDA device does not answer: " + err.Error(), "nvidia-smi"})
	} else {
		r.CUDA = append(r.CUDA, devices...)
	}
	r.Advice = append(r.Advice, r.improvements()...)
	r.Speed, err = measure(r.CUDA)
	return r, err
}

// improvements lists what works but could be faster.
func (r doctorReport) improvements() []advice {
	var as []advice
	if r.Torch.BLAS.Slow {
		as = append(as, advice{
			"libtorch multiplies matrices with the reference BLAS, about 15 times slower than OpenBLAS",
			"sudo apt-get install libopenblas0-openmp",
		})
	}
	if r.Driver != "" && len(r.CUDA) == 0 {
		as = append(as, advice{noDevice(r.Driver, r.Torch.CUDA), torchFor(r.Driver)})
	}
	if len(r.CUDA) > 1 && !r.Torch.NCCL {
		as = append(as, advice{
			"there are several GPUs, but the shim was compiled without NCCL: CUDA's headers crt/ and nv/ are missing",
			ncclHeaders(r.Torch.Version),
		})
	}
	return as
}

// noDevice says why a machine with an NVIDIA driver has no device for libtorch.
func noDevice(driver string, cudaBuild bool) string {
	if !cudaBuild {
		return "there is an NVIDIA GPU (driver " + driver + "), but this libtorch is built for the CPU alone"
	}
	return "this libtorch is built for CUDA, but finds no GPU: driver " + driver +
		" may be too old for it, CUDA_VISIBLE_DEVICES may hide it, or this process may not open /dev/nvidia*"
}

// torchFor is the command that installs a torch for a driver: CUDA 13 wants driver 580, CUDA 12 wants 525.
func torchFor(driver string) string {
	index := ""
	text, _, _ := strings.Cut(driver, ".")
	if major, err := strconv.Atoi(text); err == nil && major < 580 { // "unknown" is no number
		index = " --index-url https://download.pytorch.org/whl/cu126"
	}
	return "python3 -m venv venv && venv/bin/pip install torch" + index + " && PYTHON=venv/bin/python make shim"
}

// ncclHeaders is the command that installs what compiling against NCCL needs beside a pip torch of that
// version: the headers of the CUDA that it was built with, "2.11.0+cu130" say.
func ncclHeaders(version string) string {
	const install = "python3 -m pip install "
	_, cuda, _ := strings.Cut(version, "+cu")
	if n := len(cuda); n >= 3 && strings.HasPrefix(cuda, "12") {
		series := cuda[:n-1] + "." + cuda[n-1:] + ".*"
		return install + "nvidia-cuda-nvcc-cu12==" + series + " nvidia-cuda-cccl-cu12==" + series + " && make shim"
	} else if n >= 3 {
		series := cuda[:n-1] + "." + cuda[n-1:] + ".*"
		return install + "nvidia-cuda-crt==" + series + " nvidia-cuda-cccl==" + series + " && make shim"
	}
	return install + "nvidia-cuda-crt nvidia-cuda-cccl && make shim"
}

// examineTorch describes the loaded libtorch from the libraries mapped into this process, from
// libtorch's own description of its build, and from the note that the shim's build left beside it.
func examineTorch(libraries []string, buildInfo string) *torchReport {
	shim := torch.ShimPath()
	note := shimNote(filepath.Join(filepath.Dir(shim), "shim.stamp"))
	return &torchReport{
		Version: cmp.Or(note["libtorch"], torch.Version()),
		Path:    library(libraries, "libtorch_cpu.so"),
		FoundBy: note["found by"],
		Shim:    shim,
		ABI:     torch.ABI(),
		Gloo:    note["gloo"] == "yes",
		NCCL:    note["nccl"] == "yes",
		CUDA:    strings.Contains(buildInfo, "\nCUDA build: yes"),
		BLAS:    blas(libraries, buildInfo),
	}
}

// shimNote reads the lines "key: value" of a note of the shim's build; no file is an empty note.
func shimNote(path string) map[string]string {
	note := map[string]string{}
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			note[key] = value
		}
	}
	return note
}

// mappedLibraries lists the shared libraries of this process.
func mappedLibraries() []string {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil
	}
	var paths []string
	last := ""
	for line := range strings.Lines(string(text)) {
		_, path, _ := strings.Cut(strings.TrimSpace(line), " /")
		if strings.Contains(path, ".so") && path != last {
			paths = append(paths, "/"+path)
			last = path
		}
	}
	return paths
}

// library finds the path whose file name starts with name.
func library(libraries []string, name string) string {
	for _, path := range libraries {
		if strings.HasPrefix(filepath.Base(path), name) {
			return path
		}
	}
	return ""
}

var blasInfo = regexp.MustCompile(`BLAS_INFO=(\w+)`)

// blas tells which library multiplies matrices: one that is mapped, or one inside libtorch.
func blas(libraries []string, buildInfo string) blasReport {
	for _, name := range []string{"libmkl_core", "libopenblas", "libblis"} {
		if path := library(libraries, name); path != "" {
			return blasReport{Name: strings.TrimPrefix(name, "lib"), Path: path}
		}
	}
	if path := library(libraries, "libblas.so"); path != "" {
		if strings.Contains(path, "openblas") {
			return blasReport{Name: "openblas", Path: path}
		}
		return blasReport{Name: "reference", Path: path, Slow: true}
	}
	if m := blasInfo.FindStringSubmatch(buildInfo); m != nil {
		return blasReport{Name: m[1]}
	}
	return blasReport{Name: "unknown"}
}

// processor reads /proc, where there is one.
func processor() processorReport {
	p := processorReport{Cores: runtime.NumCPU(), Name: procField("/proc/cpuinfo", "model name")}
	kib, _, _ := strings.Cut(procField("/proc/meminfo", "MemTotal"), " ")
	if n, err := strconv.ParseFloat(kib, 64); err == nil {
		p.Memory = n / (1 << 20)
	}
	return p
}

// procField returns the first value of a "key : value" file.
func procField(path, key string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

var driverVersion = regexp.MustCompile(`\s(\d+\.\d+(\.\d+)?)\s`)

// nvidiaDriver returns the version of the NVIDIA kernel module, "" without one.
func nvidiaDriver() string {
	text, err := os.ReadFile("/proc/driver/nvidia/version")
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if m := driverVersion.FindStringSubmatch(string(text)); m != nil {
		return m[1]
	}
	return "unknown"
}
