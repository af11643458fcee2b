// The stand-in's memory, its device guard and its generators.
#ifdef FNF_STAND_IN
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <sys/mman.h>

#include <mutex>
#include <unordered_map>

#include "../shim.h"
#include "standin.h"

namespace fnf::standin {
namespace {

constexpr int kMostDevices = 16;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

struct Block {
  size_t bytes = 0;  // mapped
  int open = 0;      // operators that work on it now
};

struct Use {
  size_t now = 0, peak = 0;  // bytes
};

struct Memory {
  std::mutex mutex;
  std::unordered_map<void*, Block> blocks;
  std::unordered_map<size_t, std::vector<void*>> spare;  // freed, by their size, and closed
  size_t spared = 0;                                     // bytes of all spare ones
  Use use[kMostDevices];
};

Memory& all_memory() {
  static Memory* m = new Memory;  // outlives every tensor
  return *m;
}

constexpr size_t kPage = 4096, kRound = 512;  // CUDA's allocator rounds to 512 bytes
constexpr size_t kMostSpare = 256 << 20;      // kept, as a new page of the system costs much
size_t mapped(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }
size_t rounded(size_t bytes) { return (bytes + kRound - 1) / kRound * kRound; }

thread_local c10::DeviceIndex current_device = 0;

struct Allocation {
  void* base;
  size_t bytes;
  c10::DeviceIndex device;
};

void give_back(void* context) {
  auto* a = static_cast<Allocation*>(context);
  Memory& m = all_memory();
  std::lock_guard<std::mutex> lock(m.mutex);
  m.use[a->device].now -= rounded(a->bytes);
  m.blocks.erase(a->base);
  size_t bytes = mapped(a->bytes);
  if (settings().shapes || m.spared + bytes > kMostSpare) {
    munmap(a->base, bytes);  // who still uses it dies, as with a spare one, which is closed
  } else {
    m.spare[bytes].push_back(a->base);
    m.spared += bytes;
  }
  delete a;
}

// Memory of the system or a spare block, open.
void* opened(Memory& m, size_t bytes) {
  auto& same = m.spare[bytes];
  if (!same.empty()) {
    void* base = same.back();
    same.pop_back();
    m.spared -= bytes;
    mprotect(base, bytes, PROT_READ | PROT_WRITE);
    return base;
  }
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  TORCH_CHECK(base != MAP_FAILED, "the stand-in cannot map ", bytes, " bytes");
  return base;
}

void nothing(void*) {}

class Allocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    c10::Device device(kType, current());
    if (bytes == 0) return {nullptr, nullptr, &nothing, device};
    Memory& m = all_memory();
    std::lock_guard<std::mutex> lock(m.mutex);
    Use& use = m.use[device.index()];
    size_t capacity = settings().capacity;
    TORCH_CHECK_WITH(OutOfMemoryError, !capacity || use.now + rounded(bytes) <= capacity,
                     "CUDA out of memory. Tried to allocate ", bytes >> 20, " MiB beside ",
                     use.now >> 20, " MiB of ", capacity >> 20);
    void* base = opened(m, mapped(bytes));
    if (!settings().shapes) memset(base, 0xff, mapped(bytes));  // not a number, in any float type
    mprotect(base, mapped(bytes), PROT_NONE);
    m.blocks[base].bytes = mapped(bytes);
    use.now += rounded(bytes);
    use.peak = std::max(use.peak, use.now);
    return {base, new Allocation{base, bytes, device.index()}, &give_back, device};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
  void copy_data(void*, const void*, size_t) const override {
    TORCH_CHECK(false, "the stand-in copies by operators alone");
  }
};

c10::Stream defaults(c10::Device d) { return c10::Stream(c10::Stream::DEFAULT, d); }

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kType; }
  c10::Device exchangeDevice(c10::Device d) const override {
    c10::Device before = getDevice();
    uncheckedSetDevice(d);
    return before;
  }
  c10::Device getDevice() const override { return {kType, current_device}; }
  void setDevice(c10::Device d) const override {
    require(d.index());
    uncheckedSetDevice(d);
  }
  void uncheckedSetDevice(c10::Device d) const noexcept override {
    if (d.has_index()) current_device = d.index();
  }
  c10::Stream getStream(c10::Device d) const override { return defaults(d); }
  c10::Stream getDefaultStream(c10::Device d) const override { return defaults(d); }
  c10::Stream exchangeStream(c10::Stream s) const override { return s; }
  c10::DeviceIndex deviceCount() const noexcept override {
    return c10::DeviceIndex(settings().devices);
  }
  void record(void**, const c10::Stream&, const c10::DeviceIndex,
              const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
};

// Its numbers are those of a CPU generator; CUDA's are others.
struct Generator final : at::CPUGeneratorImpl {
  explicit Generator(c10::DeviceIndex index) : at::CPUGeneratorImpl(c10::default_rng_seed_val) {
    device_ = c10::Device(kType, index);
    key_set_ = c10::DispatchKeySet(c10::DispatchKey::PrivateUse1);
  }
  Generator* clone_impl() const override {
    auto* g = new Generator(device_.index());
    g->set_state(*get_state());
    return g;
  }
};

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return c10::DeviceIndex(settings().devices); }
  c10::DeviceIndex getCurrentDevice() const override { return current(); }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex index) const override {
    static std::vector<at::Generator>* all = [] {
      auto* made = new std::vector<at::Generator>;
      for (int i = 0; i < settings().devices; i++)
        made->push_back(at::make_generator<Generator>(c10::DeviceIndex(i)));
      return made;
    }();
    return all->at(size_t(index < 0 ? current() : index));
  }
};

Settings read_settings() {
  Settings s;
  std::string mode = environment("FNF_STAND_IN");
  s.on = mode == "compute" || mode == "shapes";
  s.shapes = mode == "shapes";
  s.devices = std::clamp(std::atoi(environment("FNF_STAND_IN_DEVICES").c_str()), 1, kMostDevices);
  s.capacity = size_t(std::atof(environment("FNF_STAND_IN_GIB").c_str()) * double(1ull << 30));
  s.log = environment("FNF_STAND_IN_LOG");
  return s;
}

// Nothing of libtorch is changed in a process that did not ask for the stand-in.
const bool registered = [] {
  if (!settings().on) return false;
  c10::SetAllocator(kType, new Allocator);
  static c10::impl::DeviceGuardImplRegistrar guard(kType, new Guard);
  c10::register_privateuse1_backend("standin");
  at::RegisterPrivateUse1HooksInterface(new Hooks);
  register_operators();
  register_attention();
  return true;
}();

FILE* log_file() {
  static FILE* f = [] {
    FILE* opened = settings().log.empty() ? nullptr : fopen(settings().log.c_str(), "w");
    if (opened) setvbuf(opened, nullptr, _IOLBF, 1 << 16);
    return opened;
  }();
  return f;
}

void turn(void* base, int by) {
  Block& b = all_memory().blocks.at(base);
  int before = b.open;
  b.open += by;
  if ((before == 0) != (b.open == 0))
    mprotect(base, b.bytes, b.open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

}  // namespace

const Settings& settings() {
  static const Settings* s = new Settings(read_settings());
  return *s;
}

c10::DeviceIndex current() { return current_device; }

void require(int64_t index) {
  TORCH_CHECK(index >= 0 && index < settings().devices, "CUDA error: invalid device ordinal");
}

void memory(int64_t index, int64_t facts[5]) {
  Memory& m = all_memory();
  std::lock_guard<std::mutex> lock(m.mutex);
  const Use& use = m.use[index];
  int64_t total = settings().capacity ? int64_t(settings().capacity) : int64_t(80) << 30;
  int64_t now = int64_t(use.now), all[5] = {total - now, total, now, now, int64_t(use.peak)};
  memcpy(facts, all, sizeof all);
}

void reset_peak(int64_t index) {
  std::lock_guard<std::mutex> lock(all_memory().mutex);
  all_memory().use[index].peak = all_memory().use[index].now;
}

void note(const char* kind, const std::string& what, int64_t bytes, int64_t index) {
  FILE* f = log_file();
  if (!f) return;
  std::lock_guard<std::mutex> lock(all_memory().mutex);
  fprintf(f, "%s\t%s\t%lld\t%zu\n", kind, what.c_str(), static_cast<long long>(bytes),
          all_memory().use[index].now);
}

Open::~Open() {
  std::lock_guard<std::mutex> lock(all_memory().mutex);
  for (void* base : bases_) turn(base, -1);
}

void Open::add(const at::Tensor& t) {
  void* base = t.storage().data_ptr().get();
  if (!base || settings().shapes) return;
  std::lock_guard<std::mutex> lock(all_memory().mutex);
  turn(base, 1);
  bases_.push_back(base);
}

}  // namespace fnf::standin

#endif
