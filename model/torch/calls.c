#include "calls.h"

#include <dlfcn.h>

#define FNF_DEFINE(ret, name, params, args) __typeof__(&fnf_##name) p_##name;
FNF_CALLS(FNF_DEFINE)

#define FNF_FIND(ret, name, params, args)                        \
  p_##name = (__typeof__(p_##name))dlsym(library, "fnf_" #name); \
  if (!p_##name) return strdup(dlerror());

char* c_open(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) return strdup(dlerror());
  p_abi = (__typeof__(p_abi))dlsym(library, "fnf_abi");
  if (!p_abi) return strdup(dlerror());
  if (p_abi() != FNF_ABI) return NULL;
  FNF_CALLS(FNF_FIND)
  return NULL;
}
