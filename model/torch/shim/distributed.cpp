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

#ifdef FNF_STAND_IN
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "standin/standin.h"
#endif

namespace {

#if TORCH_VERSION_MAJOR >= 2
using Backend = c10d::Backend;
#else
using Backend = c10d::ProcessGroup;
#endif

#ifdef FNF_STAND_IN
// What NCCL is to CUDA: collectives over the stand-in's devices, through the store. It refuses what
// NCCL refuses: tensors of the CPU, tensors with gaps, and two ranks on one device.
class StandInGroup {
 public:
  StandInGroup(c10::intrusive_ptr<c10d::Store> store, int rank, int world,
               std::chrono::milliseconds timeout)
      : store_(std::move(store)), rank_(rank), world_(world), timeout_(timeout), pids_(world) {
    store_->set(name("pid", rank), bytes_of(std::to_string(getpid())));
  }

  // Rank 0 serves the store: it stays a moment for those who still read.
  ~StandInGroup() {
    timeout_ = std::chrono::seconds(2);
    try {
      store_->set(name("bye", rank_), bytes_of("1"));
      for (int r = 1; rank_ == 0 && r < world_; r++) get(name("bye", r), r);
    } catch (const std::exception&) {
      return;  // gone, for another reason
    }
  }

  void all_reduce(at::Tensor t) {
    check(t);
    put(t);
    at::Tensor sum = at::zeros(t.sizes(), t.options().device(at::kCPU));
    for (int r = 0; r < world_; r++) sum.add_(taken(t, r));
    done(sum, t);
  }

  void broadcast(at::Tensor t, int root) {
    check(t);
    if (rank_ == root) put(t);
    done(taken(t, root), t);
    barrier();  // the next round may take the root's last one away
  }

  void barrier() {
    store_->set(key(rank_), bytes_of("1"));
    for (int r = 0; r < world_; r++) get(key(r), r);
    next();
  }

 private:
  static std::string name(const char* what, int rank) {
    return std::string(what) + "/" + std::to_string(rank);
  }

  static std::vector<uint8_t> bytes_of(const std::string& s) { return {s.begin(), s.end()}; }

  // What a rank has set, once it has. Unlike NCCL this notices at once that its process has ended:
  // all of them run on one machine.
  std::vector<uint8_t> get(const std::string& key, int rank) {
    auto until = std::chrono::steady_clock::now() + timeout_;
    while (!store_->check({key})) {
      bool ended = gone(rank);
      if (ended && store_->check({key})) break;  // it was set before the end
      TORCH_CHECK(!ended, "rank ", rank, " has ended");
      TORCH_CHECK(std::chrono::steady_clock::now() < until, "rank ", rank, " does not answer");
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return store_->get(key);
  }

  bool gone(int rank) {
    std::string& pid = pids_[rank];
    if (pid.empty()) {
      if (!store_->check({name("pid", rank)})) return false;  // not here yet
      auto bytes = store_->get(name("pid", rank));
      pid.assign(bytes.begin(), bytes.end());
    }
    std::ifstream file("/proc/" + pid + "/stat");
    std::string stat((std::istreambuf_iterator<char>(file)), {});
    size_t end = stat.rfind(") ");
    return end == std::string::npos || stat[end + 2] == 'Z';
  }

  void check(const at::Tensor& t) {
    TORCH_CHECK(fnf::standin::ours(t) && t.is_contiguous(),
                "Tensors must be CUDA, dense and contiguous");
    std::string mine = std::to_string(t.device().index());
    if (mine == device_) return;
    TORCH_CHECK(device_.empty(), "the group's tensors lie on cuda:", device_,
                ", not on cuda:", mine);
    device_ = mine;
    store_->set(name("device", rank_), bytes_of(mine));
    for (int r = 0; r < rank_; r++) {
      auto other = get(name("device", r), r);
      TORCH_CHECK(std::string(other.begin(), other.end()) != mine, "Duplicate GPU detected : rank ",
                  r, " and rank ", rank_, " both on CUDA device ", mine);
    }
  }

  std::string key(int rank) const { return std::to_string(round_) + "/" + std::to_string(rank); }

  void put(const at::Tensor& t) {
    at::Tensor host = t.detach().to(at::kCPU);
    auto* bytes = static_cast<const uint8_t*>(host.const_data_ptr());
    store_->set(key(rank_), std::vector<uint8_t>(bytes, bytes + host.nbytes()));
  }

  at::Tensor taken(const at::Tensor& like, int rank) {
    auto bytes = get(key(rank), rank);
    at::Tensor host = at::empty(like.sizes(), like.options().device(at::kCPU));
    TORCH_CHECK(bytes.size() == host.nbytes(), "rank ", rank, " has a tensor of another size");
    memcpy(host.mutable_data_ptr(), bytes.data(), bytes.size());
    return host;
  }

  void done(const at::Tensor& result, at::Tensor& t) {
    at::NoGradGuard none;
    t.detach().copy_(result);
    next();
  }

  // Who is in a round has seen that the one before the last is over for everybody.
  void next() {
    if (round_ >= 2) store_->deleteKey(std::to_string(round_ - 2) + "/" + std::to_string(rank_));
    round_++;
  }

  c10::intrusive_ptr<c10d::Store> store_;
  int rank_, world_;
  std::chrono::milliseconds timeout_;
  std::vector<std::string> pids_;  // of each rank, "" where it is not known yet
  int64_t round_ = 0;
  std::string device_;  // index of this rank's, "" before the first tensor
};
#endif

struct Group {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<Backend> backend;
#ifdef FNF_STAND_IN
  std::unique_ptr<StandInGroup> stand_in;  // in place of the backend
#endif

  void all_reduce(const at::Tensor& t) {
#ifdef FNF_STAND_IN
    if (stand_in) return stand_in->all_reduce(t);
#endif
    std::vector<at::Tensor> one{t};
    backend->allreduce(one)->wait();
  }

  void broadcast(const at::Tensor& t, int root) {
#ifdef FNF_STAND_IN
    if (stand_in) return stand_in->broadcast(t, root);
#endif
    c10d::BroadcastOptions o;
    o.rootRank = root;
    std::vector<at::Tensor> one{t};
    backend->broadcast(one, o)->wait();
  }

  void barrier() {
#ifdef FNF_STAND_IN
    if (stand_in) return stand_in->barrier();
#endif
    backend->barrier()->wait();
  }
};

Group& group_of(uint64_t group) { return *reinterpret_cast<Group*>(group); }

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
#ifdef FNF_STAND_IN
    if (fnf::standin::settings().on && std::string(backend) == "nccl")
      g->stand_in = std::make_unique<StandInGroup>(g->store, rank, world, o.timeout);
    else
#endif
      g->backend =
          make_backend(backend, g->store, rank, world, std::chrono::seconds(timeout_seconds));
    *group = reinterpret_cast<uint64_t>(g.release());
  });
}

char* fnf_dist_all_reduce(uint64_t group, const uint64_t* ts, int64_t n) {
  return fnf::guard([&] {
    for (int64_t i = 0; i < n; i++) group_of(group).all_reduce(fnf::get(ts[i]));
  });
}

char* fnf_dist_broadcast(uint64_t group, const uint64_t* ts, int64_t n, int32_t root) {
  return fnf::guard([&] {
    for (int64_t i = 0; i < n; i++) group_of(group).broadcast(fnf::get(ts[i]), root);
  });
}

char* fnf_dist_barrier(uint64_t group) {
  return fnf::guard([&] { group_of(group).barrier(); });
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
