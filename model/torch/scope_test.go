package torch_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// TestStaleHandle: a tensor that outlives its scope is a clear error, never a crash.
func TestStaleHandle(t *testing.T) {
	var stale torch.Tensor
	torchtest.Run(t, func() { stale = torch.Ones(torch.Float32, torch.CPU, 2) })
	for name, use := range map[string]func(){
		"operator": func() { stale.Add(stale) },
		"shape":    func() { stale.Shape() },
		"item":     func() { stale.Item() },
		"own":      func() { torch.Own(stale) },
		"gradient": func() { torch.Grad([]torch.Tensor{stale}, []torch.Tensor{stale}, nil) },
	} {
		err := torch.Run(use)
		var operatorError *torch.Error
		if !errors.As(err, &operatorError) || !strings.Contains(err.Error(), "after its scope ended") {
			t.Errorf("%s: error %v, want one that says its scope ended", name, err)
		}
	}
	torch.Drop(stale) // ignored
}

func TestErrors(t *testing.T) {
	torchtest.Need(t)
	for name, c := range map[string]struct {
		use  func()
		want string
	}{
		"shapes": {
			func() {
				torch.Zeros(torch.Float32, torch.CPU, 2, 3).MatMul(torch.Zeros(torch.Float32, torch.CPU, 4, 5))
			},
			"aten::matmul(float32[2,3], float32[4,5]): mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)",
		},
		"nil tensor": {
			func() { torch.Cat([]torch.Tensor{{}}, 0) },
			"aten::cat: the tensor is nil",
		},
		"bytes": {func() { torch.From([]float32{1, 2, 3}, 2, 2) }, "from: 12 bytes for float32[2,2], want 16"},
		"size":  {func() { torch.Zeros(torch.Float32, torch.CPU, 2).Size(3) }, "size(float32[2]): there is no dimension 3"},
	} {
		err := torch.Run(c.use)
		if err == nil || strings.Replace(err.Error(), ": mm: ", ": ", 1) != c.want { // 2.x names the inner operator
			t.Errorf("%s: error\n %v, want\n %s", name, err, c.want)
		}
	}
	if err := torch.Run(func() { torch.From([]float32{1}).To(torch.DType(99)) }); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("unknown dtype: error %q, want one line", err)
	}
	if live := torch.Live(); live != 0 {
		t.Errorf("%d tensors live after errors, want 0", live)
	}
}

// TestNoScope: work outside a scope would leak, so it is refused.
func TestNoScope(t *testing.T) {
	torchtest.Need(t)
	defer func() {
		if err, ok := recover().(*torch.Error); !ok || !strings.Contains(err.Error(), "torch.Run") {
			t.Errorf("panic %v, want one that names torch.Run", err)
		}
	}()
	torch.Zeros(torch.Float32, torch.CPU, 1)
}

func TestRunPassesOtherPanics(t *testing.T) {
	torchtest.Need(t)
	defer func() {
		if r := recover(); r != "mine" {
			t.Errorf("panic %v, want mine", r)
		}
		if live := torch.Live(); live != 0 {
			t.Errorf("%d tensors live, want 0", live)
		}
	}()
	_ = torch.Run(func() {
		torch.Zeros(torch.Float32, torch.CPU, 1)
		panic("mine")
	})
}

func TestOwnAndDrop(t *testing.T) {
	torchtest.Need(t)
	var owned torch.Tensor
	torchtest.Run(t, func() {
		torch.Scope(func() torch.Tensor {
			owned = torch.Own(torch.Ones(torch.Float32, torch.CPU, 3))
			return torch.Tensor{}
		})
	})
	torchtest.Run(t, func() {
		if got := owned.Sum().Item(); got != 3 {
			t.Errorf("sum %v, want 3", got)
		}
	})
	torch.Drop(owned, owned, torch.Tensor{})
	if live := torch.Live(); live != 0 {
		t.Errorf("%d tensors live after Drop, want 0", live)
	}
}

// block is like one block of a UNet: two convolutions and attention, with a residual.
func block(x, conv1, conv2, qkv torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		none := torch.Tensor{}
		h := x.GroupNorm(8, none, none, 1e-5).SiLU().Conv2d(conv1, none, torch.Conv{Padding: 1})
		h = h.GroupNorm(8, none, none, 1e-5).SiLU().Conv2d(conv2, none, torch.Conv{Padding: 1})
		x = x.Add(h)
		B, C, H, W := x.Size(0), x.Size(1), x.Size(2), x.Size(3)
		o := torch.Scope(func() torch.Tensor {
			parts := x.Reshape(B, C, H*W).Transpose(1, 2).Linear(qkv, none).Chunk(3, -1)
			return attention(parts[0], parts[1], parts[2])
		})
		return x.Add(o.Transpose(1, 2).Reshape(B, C, H, W))
	})
}

// TestMemoryIsFlat trains a UNet-like block 500 times: the live tensors and, after a warm-up, the
// resident memory stay what they were.
func TestMemoryIsFlat(t *testing.T) {
	const iterations, warmUp = 500, 20
	torchtest.Run(t, func() {
		g := newGenerator(t, 1)
		x := g.Randn(torch.Float32, 2, 16, 16, 16)
		params := []torch.Tensor{
			g.Randn(torch.Float32, 16, 16, 3, 3).MulScalar(0.05).Leaf(),
			g.Randn(torch.Float32, 16, 16, 3, 3).MulScalar(0.05).Leaf(),
			g.Randn(torch.Float32, 48, 16).MulScalar(0.05).Leaf(),
		}
		live, memory := torch.Live(), 0
		for i := range iterations {
			torch.Scope(func() torch.Tensor {
				loss := block(block(x, params[0], params[1], params[2]), params[0], params[1], params[2]).Square().Mean()
				for k, grad := range torch.Grad([]torch.Tensor{loss}, params, nil) {
					torch.NoGrad(func() { params[k].AddInPlace(grad, -0.01) })
				}
				return torch.Tensor{}
			})
			if i == warmUp {
				memory = residentMiB(t)
			}
			if now := torch.Live(); now != live {
				t.Fatalf("iteration %d: %d live tensors, want %d", i, now, live)
			}
		}
		if now := residentMiB(t); now > memory+8 {
			t.Errorf("resident memory grew from %d MiB to %d MiB", memory, now)
		}
	})
	if live := torch.Live(); live != 0 {
		t.Errorf("%d tensors live at the end, want 0", live)
	}
}

func residentMiB(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib / 1024
}

// TestGoroutines: four goroutines share weights, each with its own scopes and gradient mode; every
// gradient has the same bits.
func TestGoroutines(t *testing.T) {
	torchtest.Need(t)
	var conv, qkv, x torch.Tensor
	torchtest.Run(t, func() {
		g := newGenerator(t, 1)
		conv = torch.Own(g.Randn(torch.Float32, 16, 16, 3, 3).MulScalar(0.05).Leaf())
		qkv = torch.Own(g.Randn(torch.Float32, 48, 16).MulScalar(0.05).Leaf())
		x = torch.Own(g.Randn(torch.Float32, 1, 16, 8, 8))
	})
	defer torch.Drop(conv, qkv, x)
	gradient := func() (sum []float32) {
		if err := torch.Run(func() {
			torch.NoGrad(func() {
				if torch.GradEnabled() {
					t.Error("gradients are recorded inside NoGrad")
				}
				block(x, conv, conv, qkv)
			})
			if !torch.GradEnabled() {
				t.Error("gradients are not recorded: another goroutine's NoGrad leaked")
			}
			loss := block(x, conv, conv, qkv).Square().Mean()
			sum = torch.Grad([]torch.Tensor{loss}, []torch.Tensor{conv}, nil)[0].Floats()
		}); err != nil {
			t.Error(err)
		}
		return sum
	}
	want := gradient()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 25 {
				if got := gradient(); !closeTo(got, want, 0) {
					t.Error("a gradient differs between goroutines")
					return
				}
			}
		})
	}
	group.Wait()
	if live := torch.Live(); live != 3 {
		t.Errorf("%d live tensors, want the 3 shared ones", live)
	}
}

// TestMapFile maps a file without copying; in-place changes stay in memory.
func TestMapFile(t *testing.T) {
	path := t.TempDir() + "/numbers"
	if err := os.WriteFile(path, []byte{9, 0, 0, 0, 0, 0, 128, 63, 0, 0, 0, 64, 7}, 0o644); err != nil {
		t.Fatal(err)
	}
	torchtest.Run(t, func() {
		file := torch.MapFile(path, 13)
		ones := file.BytesAs(4, torch.Float32, 2, 1)
		if got := ones.Floats(); got[0] != 1 || got[1] != 2 {
			t.Errorf("aligned: %v, want [1 2]", got)
		}
		ones.Fill(5)
		if got := file.BytesAs(3, torch.Uint8, 1).Ints(); got[0] != 0 {
			t.Errorf("bytes: %v, want [0]", got)
		}
		if got := torch.MapFile(path, 13).BytesAs(5, torch.Float32, 2).Floats(); len(got) != 2 {
			t.Errorf("unaligned: %d elements, want 2", len(got))
		}
	})
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if data[7] != 63 {
		t.Error("writing to the tensor changed the file")
	}
	if err := torch.Run(func() { torch.MapFile(path+"x", 13) }); err == nil || !strings.Contains(err.Error(), "numbersx") {
		t.Errorf("missing file: error %v, want one that names it", err)
	}
}
