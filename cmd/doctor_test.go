package cmd

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/core"
	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// TestMain lets a test run this binary as the program itself: libtorch is loaded once for a process.
func TestMain(m *testing.M) {
	if os.Getenv("FNF_TEST_AS_PROGRAM") != "" {
		Main()
	}
	state, err := os.MkdirTemp("", "focusnfix-state-") // what tests agree to is not the user's
	if err == nil {
		err = os.Setenv("XDG_STATE_HOME", state)
	}
	if err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(state)
	os.Exit(code)
}

func TestDoctorWithoutLibtorch(t *testing.T) {
	c := exec.Command(os.Args[0], "doctor")
	c.Env = append(os.Environ(), "FNF_TEST_AS_PROGRAM=1", "FNF_TORCH_SHIM="+filepath.Join(t.TempDir(), "none.so"))
	var stdout, stderr strings.Builder
	c.Stdout, c.Stderr = &stdout, &stderr
	_ = c.Run()
	if code := c.ProcessState.ExitCode(); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	for _, want := range []string{"✗ libtorch", "make setup"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, stdout.String())
		}
	}
	if strings.Contains(stdout.String(), "\x1b") {
		t.Errorf("colours in a pipe: %q", stdout.String())
	}
	if lines := strings.Split(stderr.String(), "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], "error: ") || !strings.HasPrefix(lines[1], "hint:  ") {
		t.Errorf("stderr %q, want a line with the reason and one with a hint", stderr.String())
	}
}

func TestDoctorJSON(t *testing.T) {
	torchtest.Need(t)
	var stdout, stderr strings.Builder
	if code := execute(context.Background(), newRoot(), []string{"doctor", "--json"}, &stdout, &stderr); code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	var r doctorReport
	if err := json.Unmarshal([]byte(stdout.String()), &r); err != nil {
		t.Fatalf("%v in\n%s", err, stdout.String())
	}
	if r.Torch == nil || !strings.Contains(r.Torch.Path, "libtorch_cpu") || r.Torch.ABI != torch.ABI() || r.Torch.Shim != torch.ShimPath() {
		t.Errorf("libtorch: %+v", r.Torch)
	}
	if len(r.Speed) != 2+2*len(r.CUDA) {
		t.Errorf("%d speeds with %d CUDA devices", len(r.Speed), len(r.CUDA))
	}
	for _, s := range r.Speed {
		if s.GFLOPS < 0.01 || s.GFLOPS > 1e7 {
			t.Errorf("%s on %s: %g GFLOP/s cannot be", s.Operation, s.Device, s.GFLOPS)
		}
	}
}

func TestBLAS(t *testing.T) {
	for _, c := range []struct {
		name      string
		libraries []string
		buildInfo string
		want      blasReport
	}{
		{
			"Debian with OpenBLAS behind libblas",
			[]string{"/usr/lib/x86_64-linux-gnu/openblas-openmp/libblas.so.3", "/usr/lib/x86_64-linux-gnu/openblas-openmp/libopenblasp-r0.3.21.so"},
			"BLAS_INFO=open",
			blasReport{Name: "openblas", Path: "/usr/lib/x86_64-linux-gnu/openblas-openmp/libopenblasp-r0.3.21.so"},
		},
		{
			"Debian without",
			[]string{"/usr/lib/x86_64-linux-gnu/blas/libblas.so.3.11.0", "/usr/lib/libtorch_cpu.so"},
			"BLAS_INFO=open",
			blasReport{Name: "reference", Path: "/usr/lib/x86_64-linux-gnu/blas/libblas.so.3.11.0", Slow: true},
		},
		{"wheel: inside libtorch", []string{"/v/torch/lib/libtorch_cpu.so"}, "  - Build settings: BLAS_INFO=mkl, BUILD_TYPE=Release", blasReport{Name: "mkl"}},
		{"no description", nil, "", blasReport{Name: "unknown"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := blas(c.libraries, c.buildInfo); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestShimNote(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shim.stamp")
	if err := os.WriteFile(path, []byte("libtorch: 2.6.0\nfound by: system\nlink: -L\"/a b\" -ltorch\nno colon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	note := shimNote(path)
	if len(note) != 3 || note["found by"] != "system" || note["link"] != `-L"/a b" -ltorch` {
		t.Errorf("got %q", note)
	}
	if note := shimNote(path + ".none"); len(note) != 0 {
		t.Errorf("without a file: %q", note)
	}
}

func TestReportTable(t *testing.T) {
	r := doctorReport{
		Version: "v1", Go: "go1.26", Platform: "linux/amd64",
		Processor: processorReport{Name: "a CPU", Cores: 2, Memory: 15.6, Threads: 2},
		Driver:    "580.65.06",
		Torch: &torchReport{
			Version: "2.6.0", Path: "/lib/libtorch_cpu.so", FoundBy: "system", Shim: "/b/libfnf_torch.so", ABI: 1,
			BLAS: blasReport{Name: "reference", Path: "/lib/libblas.so", Slow: true},
		},
		GPUs: []core.GPU{{
			Index: 1, Name: "NVIDIA L4", Use: .5, MemoryMiB: 2048, TotalMiB: 23034, Celsius: 41, Watts: 30, MostWatts: 72,
			Processes: []core.GPUProcess{{PID: 4242, MemoryMiB: 1536}, {PID: 7, MemoryMiB: math.NaN()}},
		}},
	}
	r.Advice = r.improvements()
	var out strings.Builder
	if err := printReport(&out, r); err != nil {
		t.Fatal(err)
	}
	const want = `focusnfix v1 (go1.26, linux/amd64)

✓ processor      2 cores, 16 GiB  a CPU
✓ libtorch       2.6.0            /lib/libtorch_cpu.so (system)
✓ shim           ABI 1            /b/libfnf_torch.so
! BLAS           reference        /lib/libblas.so
✓ threads        2                for one operator; OMP_NUM_THREADS sets it
· data parallel  no               neither the headers of gloo nor of NCCL were found
· CUDA           none
✓ GPU 1          NVIDIA L4        50 % busy, 2.0 of 22.5 GiB in use, 41 °C, 30 of 72 W
·                process 4242     1.5 GiB
·                process 7        memory unknown

! libtorch multiplies matrices with the reference BLAS, about 15 times slower than OpenBLAS
    sudo apt-get install libopenblas0-openmp

! there is an NVIDIA GPU (driver 580.65.06), but this libtorch is built for the CPU alone
    python3 -m venv venv && venv/bin/pip install torch && PYTHON=venv/bin/python make shim
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
