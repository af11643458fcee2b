// Data-parallel process group over torch's c10d. Gloo needs its own headers, which pip's torch does
// not carry; NCCL needs a CUDA build. A backend that was not compiled in says so.
#include <torch/version.h>

#if defined(USE_DISTRIBUTED) && __has_include(<torch/csrc/distributed/c10d/TCPStore.hpp>)
#define FNF_C10D 1
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#if TORCH_VERSION_MAJOR >= 2
#include <torch/csrc/distributed/c10d/Backend.hpp>
#endif
#if defined(USE_C10D_GLOO) && __has_include(<gloo/context.h>)
#define FNF_GLOO 1
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
#if defined(USE_C10D_NCCL) && __has_include(<nccl.h>) && __has_include(<crt/host_config.h>)
#define FNF_NCCL 1
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif
#endif

#include "shim.h"

#if FNF_C10D

namespace {

#if TORCH_VERSION_MAJOR >= 2
using Backend = c10d::Backend;
#else
using Backend = c10d::ProcessGroup;
#endif

struct Group {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<Backend> backend;
};

Backend& backend_of(uint64_t group) { return *reinterpret_cast<Group*>(group)->backend; }

// libuv is the default of 2.x, and not built into Debian's libtorch.
template <class Options>
auto without_libuv(Options& o, int) -> decltype(o.useLibUV, void()) {
  o.useLibUV = false;
}
template <class Options>
void without_libuv(Options&, long) {}

std::string environment(const char* key) {
  const char* value = std::getenv(key);
  return value ? value : "";
}

// torchrun's agent serves the store at MASTER_PORT already, and says so; a second server there
// would fail. Keys of an earlier attempt are still in it.
bool agent_serves() { return environment("TORCHELASTIC_USE_AGENT_STORE") == "True"; }

c10::intrusive_ptr<Backend> make_backend(const std::string& name,
                                         const c10::intrusive_ptr<c10d::Store>& store, int rank,
                                         int world, std::chrono::seconds timeout) {
#if FNF_GLOO
  if (name == "gloo") {
    auto o = c10d::ProcessGroupGloo::Options::create(timeout);
    o->devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
    return c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, world, o);
  }
#endif
#if FNF_NCCL
  if (name == "nccl") {
    auto o = c10d::ProcessGroupNCCL::Options::create();
    o->timeout = timeout;
    return c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, world, o);
  }
#endif
  throw std::runtime_error("the backend " + name + " is not built into this library");
}

}  // namespace

extern "C" {

char* fnf_dist_init(const char* backend, const char* host, int32_t port, int32_t rank,
                    int32_t world, int32_t timeout_seconds, uint64_t* group) {
  return fnf::guard([&] {
    c10d::TCPStoreOptions o;
    o.port = uint16_t(port);
    o.isServer = rank == 0 && !agent_serves();
    o.numWorkers = world;
    o.timeout = std::chrono::seconds(timeout_seconds);
    without_libuv(o, 0);
    auto g = std::make_unique<Group>();
    g->store = c10::make_intrusive<c10d::PrefixStore>(
        "focusnfix/" + environment("TORCHELASTIC_RESTART_COUNT"),
        c10::make_intrusive<c10d::TCPStore>(host, o));
    g->backend =
        make_backend(backend, g->store, rank, world, std::chrono::seconds(timeout_seconds));
    *group = reinterpret_cast<uint64_t>(g.release());
  });
}

char* fnf_dist_all_reduce(uint64_t group, const uint64_t* ts, int64_t n) {
  return fnf::guard([&] {
    for (int64_t i = 0; i < n; i++) {
      std::vector<at::Tensor> one{fnf::get(ts[i])};
      backend_of(group).allreduce(one)->wait();
    }
  });
}

char* fnf_dist_broadcast(uint64_t group, const uint64_t* ts, int64_t n, int32_t root) {
  return fnf::guard([&] {
    c10d::BroadcastOptions o;
    o.rootRank = root;
    for (int64_t i = 0; i < n; i++) {
      std::vector<at::Tensor> one{fnf::get(ts[i])};
      backend_of(group).broadcast(one, o)->wait();
    }
  });
}

char* fnf_dist_barrier(uint64_t group) {
  return fnf::guard([&] { backend_of(group).barrier()->wait(); });
}

void fnf_dist_close(uint64_t group) { delete reinterpret_cast<Group*>(group); }

}  // extern "C"

#else

namespace {
char* absent() { return strdup("this libtorch was built without torch.distributed"); }
}  // namespace

extern "C" {
char* fnf_dist_init(const char*, const char*, int32_t, int32_t, int32_t, int32_t, uint64_t*) {
  return absent();
}
char* fnf_dist_all_reduce(uint64_t, const uint64_t*, int64_t) { return absent(); }
char* fnf_dist_broadcast(uint64_t, const uint64_t*, int64_t, int32_t) { return absent(); }
char* fnf_dist_barrier(uint64_t) { return absent(); }
void fnf_dist_close(uint64_t) {}
}  // extern "C"

#endif
