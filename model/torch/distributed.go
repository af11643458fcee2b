package torch

/*
#include "calls.h"
*/
import "C"

import (
	"fmt"
	"os"
	"strconv"
	"time"
	"unsafe"
)

// Group is a set of processes that train together, over torch's c10d.
type Group struct {
	handle      uint64
	Rank, World int
}

// Distributed joins the group that torchrun, srun or a Kubernetes job describes in RANK, WORLD_SIZE,
// MASTER_ADDR and MASTER_PORT. It returns nil where WORLD_SIZE is not set or 1. The timeout holds for
// joining and for every collective: a peer that is gone is an error, not a wait without end.
func Distributed(device Device, timeout time.Duration) (*Group, error) {
	if world := os.Getenv("WORLD_SIZE"); world == "" || world == "1" {
		return nil, nil
	}
	var numbers [3]int
	for i, key := range []string{"WORLD_SIZE", "RANK", "MASTER_PORT"} {
		n, err := strconv.Atoi(os.Getenv(key))
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%s=%q, want a number", key, os.Getenv(key))
		}
		numbers[i] = n
	}
	world, rank, port := numbers[0], numbers[1], numbers[2]
	if rank >= world {
		return nil, fmt.Errorf("RANK=%d, want less than WORLD_SIZE=%d", rank, world)
	}
	address := os.Getenv("MASTER_ADDR")
	if address == "" {
		return nil, fmt.Errorf("MASTER_ADDR is not set, want the host of rank 0")
	}
	if err := Load(); err != nil {
		return nil, err
	}
	backend := "gloo"
	if device != CPU {
		backend = "nccl"
		waitForNCCL()
	}
	name, host := C.CString(backend), C.CString(address)
	defer C.free(unsafe.Pointer(name))
	defer C.free(unsafe.Pointer(host))
	var handle C.uint64_t
	seconds := C.int32_t(max(1, timeout/time.Second))
	if err := take(C.c_dist_init(name, host, C.int32_t(port), C.int32_t(rank), C.int32_t(world), seconds, &handle)); err != nil {
		return nil, fmt.Errorf("join process group at %s:%d as rank %d of %d: %w", address, port, rank, world, err)
	}
	return &Group{uint64(handle), rank, world}, nil
}

// waitForNCCL makes a collective wait for its end, and give up after the timeout with an error: by default
// it only queues the work, and a peer that is gone ends this process without a word. The name changed with
// libtorch 2.2.
func waitForNCCL() {
	for _, key := range []string{"TORCH_NCCL_BLOCKING_WAIT", "NCCL_BLOCKING_WAIT"} {
		if _, set := os.LookupEnv(key); !set {
			_ = os.Setenv(key, "1")
		}
	}
}

// AllReduce replaces every tensor by its sum over the group.
func (g *Group) AllReduce(ts ...Tensor) error {
	return take(C.c_dist_all_reduce(C.uint64_t(g.handle), handles(ts), C.int64_t(len(ts))))
}

// Broadcast replaces every tensor by that of the root rank.
func (g *Group) Broadcast(root int, ts ...Tensor) error {
	return take(C.c_dist_broadcast(C.uint64_t(g.handle), handles(ts), C.int64_t(len(ts)), C.int32_t(root)))
}

// Barrier waits for the whole group.
func (g *Group) Barrier() error { return take(C.c_dist_barrier(C.uint64_t(g.handle))) }

// Close leaves the group.
func (g *Group) Close() { C.c_dist_close(C.uint64_t(g.handle)) }
