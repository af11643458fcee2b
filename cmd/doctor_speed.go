package cmd

import (
	"time"

	"focusnfix/model/torch"
)

// speedReport is the measured speed of one operation on one device, in float32.
type speedReport struct {
	Device    torch.Device `json:"device"`
	Operation string       `json:"operation"`
	GFLOPS    float64      `json:"gflops"` // billions of operations a second, multiply and add counted
}

// measureTime is how long each operation is repeated.
const measureTime = 250 * time.Millisecond

// measure runs a matrix product and a convolution of a UNet's shape on the CPU and on each CUDA
// device: about a second for the CPU and half of that for a device.
func measure(devices []torch.DeviceInfo) ([]speedReport, error) {
	speeds, err := measureDevice(torch.CPU, 512, 64, 64)
	for _, d := range devices {
		if err != nil {
			break
		}
		var more []speedReport
		if more, err = measureDevice(d.Device, 512, 64, 64); err == nil && more[0].GFLOPS > enoughForLarge {
			more, err = measureDevice(d.Device, 4096, 320, 128) // small ones do not fill a GPU
		}
		speeds = append(speeds, more...)
	}
	return speeds, err
}

// enoughForLarge is the speed of small products in GFLOP/s above which large ones end within a second: of every GPU, but not
// of a stand-in for one.
const enoughForLarge = 400

// measureDevice multiplies n×n matrices and convolves [1,channels,side,side] with 3×3 kernels.
func measureDevice(device torch.Device, n, channels, side int64) ([]speedReport, error) {
	var speeds []speedReport
	err := torch.Run(func() {
		torch.NoGrad(func() {
			a := torch.Ones(torch.Float32, device, n, n)
			flops := 2 * n * n * n
			speeds = append(speeds, speedReport{device, "matrix product", rate(device, flops, func() torch.Tensor {
				return a.MatMul(a)
			})})
			x := torch.Ones(torch.Float32, device, 1, channels, side, side)
			w := torch.Ones(torch.Float32, device, channels, channels, 3, 3)
			flops = 2 * 9 * channels * channels * side * side
			speeds = append(speeds, speedReport{device, "convolution", rate(device, flops, func() torch.Tensor {
				return x.Conv2d(w, torch.Tensor{}, torch.Conv{Padding: 1})
			})})
		})
	})
	return speeds, err
}

// rate repeats the operation for measureTime, after one call that warms caches up, and returns
// billions of operations a second in the fastest round of four calls: other programs only slow it.
func rate(device torch.Device, flops int64, operation func() torch.Tensor) float64 {
	const calls = 4
	run := func() {
		torch.Drop(operation())
	}
	run()
	torch.Synchronize(device)
	best := 0.0
	for start := time.Now(); best == 0 || time.Since(start) < measureTime; {
		began := time.Now()
		for range calls {
			run()
		}
		torch.Synchronize(device)
		best = max(best, float64(calls*flops)/time.Since(began).Seconds()/1e9)
	}
	return best
}
