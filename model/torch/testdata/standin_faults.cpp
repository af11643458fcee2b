// Deliberate faults, one of each kind that the stand-in is there to find. Each runs in a process of
// its own; one that gets away with it fails the test.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace {

const c10::Device kFirst(c10::DeviceType::PrivateUse1, 0), kSecond(c10::DeviceType::PrivateUse1, 1);

at::Tensor on(c10::Device device) { return at::ones({4}).to(device); }

struct Fault {
  const char* name;
  const char* message;         // of the error that it must bring; "" dies of SIGSEGV
  std::function<void()> make;  // throws, dies, or returns where it got away with it
};

const std::vector<Fault> kFaults = {
    {"a tensor of the CPU beside one of the device",
     "Expected all tensors to be on the same device", [] { on(kFirst).add(at::ones({4})); }},
    {"tensors of two devices", "Expected all tensors to be on the same device",
     [] { on(kFirst).add(on(kSecond)); }},
    {"a generator of the CPU for a tensor of the device",
     "Expected a 'cuda' device type for generator",
     [] { on(kFirst).normal_(0, 1, at::globalContext().defaultGenerator(at::kCPU).clone()); }},
    {"a device that is not there", "invalid device ordinal",
     [] { at::empty({4}, at::TensorOptions(c10::Device(c10::DeviceType::PrivateUse1, 2))); }},
    {"a host that reads device memory", "",
     [] {
       at::Tensor t = on(kFirst);
       volatile float first = *static_cast<const float*>(t.const_data_ptr());
       (void)first;
     }},
    {"memory that was freed", "",
     [] {
       const void* stale = on(kFirst).const_data_ptr();
       volatile float first = *static_cast<const float*>(stale);
       (void)first;
     }},
    {"a copy that is missing", "not a number",
     [] {
       at::Tensor target = at::empty({4}, at::TensorOptions(kFirst));  // the copy would be here
       if (std::isnan(target.mul(2).sum().item().toDouble()))
         throw std::runtime_error("not a number");
     }},
    {"more memory than there is", "CUDA out of memory",
     [] { at::empty({1 << 30}, at::TensorOptions(kFirst)); }},
};

// What a fault came to: its error's text, "died", or "" where nothing happened.
std::string outcome(const Fault& fault) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  pid_t child = fork();
  if (child == 0) {
    std::string said;
    try {
      fault.make();
    } catch (const std::exception& e) {
      said = e.what();
    }
    if (write(ends[1], said.data(), said.size()) < 0) _exit(1);
    _exit(0);
  }
  close(ends[1]);
  std::string said;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) said.append(buffer, size_t(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGSEGV ? "died" : "killed";
  return said;
}

}  // namespace

int main(int, char** arguments) {
  setenv("FNF_STAND_IN", "compute", 1);
  setenv("FNF_STAND_IN_DEVICES", "2", 1);
  setenv("FNF_STAND_IN_GIB", "1", 1);
  if (!arguments[1] || !dlopen(arguments[1], RTLD_NOW | RTLD_GLOBAL)) {
    fprintf(stderr, "usage: selftest LIBFNF_TORCH.SO\n%s\n", arguments[1] ? dlerror() : "");
    return 2;
  }
  at::set_num_threads(1);  // a forked child has no other thread
  float sum = on(kFirst).add(on(kFirst)).sum().to(at::kCPU).item<float>();
  bool sound = sum == 8;
  printf("%s: sound code\n", sound ? "ok  " : "FAIL");
  for (const Fault& fault : kFaults) {
    std::string got = outcome(fault);
    bool found = *fault.message ? got.find(fault.message) != std::string::npos : got == "died";
    printf("%s: %s\n", found ? "ok  " : "FAIL", fault.name);
    if (!found) printf("      got %s\n", got.empty() ? "nothing" : got.c_str());
    sound = sound && found;
  }
  return sound ? 0 : 1;
}
