// Tensor handles with generations, and the scopes that free them.
//
// A slot holds a tensor and a generation; a handle names both. Dropping a tensor raises the
// generation, so every older handle of the slot is stale. Slots never move: they lie in chunks that
// are allocated once. Threads take free slots from a small cache of their own.
#include <algorithm>
#include <atomic>
#include <mutex>

#include "shim.h"

namespace fnf {
namespace {

constexpr uint32_t kChunk = 4096;       // slots in a chunk
constexpr uint32_t kMaxChunks = 16384;  // 64 million tensors
constexpr size_t kBatch = 64;           // slots that move between a thread's cache and the table

struct Slot {
  std::atomic_flag busy = ATOMIC_FLAG_INIT;
  std::atomic<uint32_t> generation{1};
  at::Tensor tensor;

  void lock() {
    while (busy.test_and_set(std::memory_order_acquire)) {
    }
  }
  void unlock() { busy.clear(std::memory_order_release); }
};

struct Table {
  std::mutex mutex;
  std::atomic<Slot*> chunks[kMaxChunks] = {};
  uint32_t size = 0;
  std::vector<uint32_t> free;
};

struct Thread {
  std::vector<std::vector<uint64_t>> scopes;
  std::vector<uint32_t> free;
  ~Thread();
};

Table& table() {
  static Table* t = new Table;  // never destroyed: threads may outlive main
  return *t;
}
thread_local Thread thread;
std::atomic<int64_t> live{0};

// A thread that ends gives its cached slots back.
Thread::~Thread() {
  std::lock_guard<std::mutex> lock(table().mutex);
  table().free.insert(table().free.end(), free.begin(), free.end());
}

Slot* find(uint64_t handle) {
  uint32_t index = uint32_t(handle);
  if (handle == 0 || index / kChunk >= kMaxChunks) return nullptr;
  Slot* chunk = table().chunks[index / kChunk].load(std::memory_order_acquire);
  return chunk ? chunk + index % kChunk : nullptr;
}

// Fills this thread's cache with slots, from freed ones or from a new chunk.
void refill() {
  Table& t = table();
  std::lock_guard<std::mutex> lock(t.mutex);
  if (t.free.size() >= kBatch) {
    thread.free.assign(t.free.end() - kBatch, t.free.end());
    t.free.resize(t.free.size() - kBatch);
    return;
  }
  if (t.size % kChunk == 0) {
    if (t.size / kChunk == kMaxChunks) throw std::runtime_error("64 million tensors are alive");
    t.chunks[t.size / kChunk].store(new Slot[kChunk], std::memory_order_release);
  }
  for (size_t i = 0; i < kBatch; i++) thread.free.push_back(t.size++);
}

void drop(uint64_t handle) {
  Slot* slot = find(handle);
  if (!slot) return;
  uint32_t generation = uint32_t(handle >> 32);
  at::Tensor dying;  // freed after the lock: its destructor may be long
  slot->lock();
  bool alive = slot->generation.load(std::memory_order_relaxed) == generation;
  if (alive) {
    dying = std::move(slot->tensor);
    slot->tensor = at::Tensor();
    slot->generation.store(generation + 1 ? generation + 1 : 1, std::memory_order_relaxed);
  }
  slot->unlock();
  if (!alive) return;
  live.fetch_sub(1, std::memory_order_relaxed);
  thread.free.push_back(uint32_t(handle));
  if (thread.free.size() >= 16 * kBatch) {
    std::lock_guard<std::mutex> lock(table().mutex);
    auto half = thread.free.begin() + thread.free.size() / 2;
    table().free.insert(table().free.end(), half, thread.free.end());
    thread.free.erase(half, thread.free.end());
  }
}

}  // namespace

at::Tensor get(uint64_t handle) {
  Slot* slot = find(handle);
  if (!slot) throw std::runtime_error(handle ? "not a tensor handle" : "the tensor is nil");
  slot->lock();
  bool alive = slot->generation.load(std::memory_order_relaxed) == uint32_t(handle >> 32);
  at::Tensor tensor = alive ? slot->tensor : at::Tensor();
  slot->unlock();
  if (!alive) throw std::runtime_error("the tensor is used after its scope ended");
  return tensor;
}

at::Tensor get_optional(uint64_t handle) { return handle ? get(handle) : at::Tensor(); }

std::vector<at::Tensor> get_all(const uint64_t* handles, int64_t n) {
  std::vector<at::Tensor> tensors;
  tensors.reserve(n);
  for (int64_t i = 0; i < n; i++) tensors.push_back(get(handles[i]));
  return tensors;
}

void require_scope() {
  if (thread.scopes.empty())
    throw std::runtime_error("no scope is open on this thread: call it inside torch.Run");
}

uint64_t put(at::Tensor tensor) {
  if (!tensor.defined()) return 0;
  require_scope();
  if (thread.free.empty()) refill();
  uint32_t index = thread.free.back();
  thread.free.pop_back();
  Slot* slot = find(uint64_t(1) << 32 | index);
  slot->lock();
  slot->tensor = std::move(tensor);
  uint64_t handle = uint64_t(slot->generation.load(std::memory_order_relaxed)) << 32 | index;
  slot->unlock();
  thread.scopes.back().push_back(handle);
  live.fetch_add(1, std::memory_order_relaxed);
  return handle;
}

}  // namespace fnf

extern "C" {

int32_t fnf_abi(void) { return FNF_ABI; }
void fnf_free(char* text) { free(text); }
int64_t fnf_live(void) { return fnf::live.load(std::memory_order_relaxed); }
void fnf_drop(uint64_t t) { fnf::drop(t); }
int64_t fnf_scope_depth(void) { return int64_t(fnf::thread.scopes.size()); }

char* fnf_scope_open(void) {
  return fnf::guard([] { fnf::thread.scopes.emplace_back(); });
}

char* fnf_scope_close(const uint64_t* keep, int64_t n) {
  return fnf::guard([&] {
    fnf::require_scope();
    auto born = std::move(fnf::thread.scopes.back());
    fnf::thread.scopes.pop_back();
    for (uint64_t handle : born) {
      bool kept = std::find(keep, keep + n, handle) != keep + n;
      if (!kept) fnf::drop(handle);
      if (kept && !fnf::thread.scopes.empty()) fnf::thread.scopes.back().push_back(handle);
    }
  });
}

char* fnf_own(uint64_t t) {
  return fnf::guard([&] {
    fnf::get(t);
    for (auto& scope : fnf::thread.scopes)
      scope.erase(std::remove(scope.begin(), scope.end(), t), scope.end());
  });
}

}  // extern "C"
