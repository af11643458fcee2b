package torch_test

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"focusnfix/model/torch"
	"focusnfix/model/torch/torchtest"
)

// distributedStep is one process of a group: it sums its rank + 1 over all, and takes rank 0's tensor.
func distributedStep() {
	device := torchtest.Device()
	group, err := torch.Distributed(device, 5*time.Second)
	if err != nil {
		fmt.Print("error: ", err)
		return
	}
	defer group.Close()
	if err := torch.Run(func() {
		x := torch.Full(float64(group.Rank+1), torch.Float32, device, 3)
		y := torch.Full(float64(group.Rank+10), torch.Float32, device, 1)
		for _, err := range []error{group.AllReduce(x), group.Broadcast(0, y), group.Barrier()} {
			if err != nil {
				fmt.Print("error: ", err)
				return
			}
		}
		fmt.Print(x.Floats(), y.Floats())
	}); err != nil {
		fmt.Print("error: ", err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// bothRanks are what two processes of a group say, each on its device.
func bothRanks(t *testing.T, devices [2]torch.Device) (said [2]string) {
	t.Helper()
	torchtest.Need(t)
	port := freePort(t)
	var group sync.WaitGroup
	for rank := range said {
		group.Go(func() {
			said[rank] = step(t, ".", "distributed", "WORLD_SIZE=2", fmt.Sprint("RANK=", rank),
				"MASTER_ADDR=127.0.0.1", fmt.Sprint("MASTER_PORT=", port), "FNF_TEST_DEVICE="+string(devices[rank]))
		})
	}
	group.Wait()
	return said
}

// TestDistributedOnOneGPU: two processes must not share a GPU.
func TestDistributedOnOneGPU(t *testing.T) {
	if torchtest.Device() == torch.CPU {
		t.Skip("FNF_TEST_DEVICE names no GPU")
	}
	for rank, got := range bothRanks(t, [2]torch.Device{torch.CUDA(0), torch.CUDA(0)}) {
		torchtest.SkipWithoutGroups(t, got)
		if !strings.Contains(got, "error: ") || rank == 1 && !strings.Contains(got, "Duplicate GPU detected") {
			t.Errorf("rank %d: %s, want what is wrong", rank, got)
		}
	}
}

func TestDistributed(t *testing.T) {
	for rank, got := range bothRanks(t, [2]torch.Device{torchtest.Device(), torchtest.DeviceOf(t, 1)}) {
		torchtest.SkipWithoutGroups(t, got)
		if want := "[3 3 3] [10]"; !strings.HasSuffix(got, want) {
			t.Errorf("rank %d: %s, want %s", rank, got, want)
		}
	}
}

// TestDistributedMissingPeer: a rank alone gives up after the timeout and says where it waited.
func TestDistributedMissingPeer(t *testing.T) {
	torchtest.Need(t)
	port := freePort(t)
	got := step(t, ".", "distributed", "WORLD_SIZE=2", "RANK=1", "MASTER_ADDR=127.0.0.1", fmt.Sprint("MASTER_PORT=", port))
	torchtest.SkipWithoutGroups(t, got)
	if !strings.Contains(got, fmt.Sprintf("error: join process group at 127.0.0.1:%d as rank 1 of 2", port)) {
		t.Errorf("%s, want where it waited", got)
	}
}

func TestDistributedEnvironment(t *testing.T) {
	for _, c := range []struct{ world, rank, address, want string }{
		{"two", "0", "127.0.0.1", `WORLD_SIZE="two", want a number`},
		{"2", "", "127.0.0.1", `RANK="", want a number`},
		{"2", "2", "127.0.0.1", "RANK=2, want less than WORLD_SIZE=2"},
		{"2", "0", "", "MASTER_ADDR is not set, want the host of rank 0"},
	} {
		t.Setenv("WORLD_SIZE", c.world)
		t.Setenv("RANK", c.rank)
		t.Setenv("MASTER_PORT", "1234")
		t.Setenv("MASTER_ADDR", c.address)
		if _, err := torch.Distributed(torch.CPU, time.Second); err == nil || err.Error() != c.want {
			t.Errorf("error %v, want %s", err, c.want)
		}
	}
	os.Unsetenv("WORLD_SIZE")
	if group, err := torch.Distributed(torch.CPU, time.Second); group != nil || err != nil {
		t.Errorf("without WORLD_SIZE: %v, %v, want no group and no error", group, err)
	}
}
