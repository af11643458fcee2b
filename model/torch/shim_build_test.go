package torch_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// These tests run shim/build.sh and shim/setup.sh against a folder that only looks like libtorch, with
// a compiler that only writes its output file: what the scripts find, say and leave behind.

// sandbox is a copy of the scripts with two sources, a libtorch, and a path without compilers.
type sandbox struct {
	t    *testing.T
	dir  string // has a space in its name
	bin  string // the whole PATH
	env  []string
	args []string // of build.sh
}

func newSandbox(t *testing.T) *sandbox {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a folder")
	s := &sandbox{t: t, dir: dir, bin: filepath.Join(dir, "bin")}
	for name, text := range map[string]string{
		"shim/one.cpp":                      "int one;",
		"shim/two.cpp":                      "int two;",
		"shim/fnf_torch.h":                  "#pragma once",
		"shim/standin/standin.h":            "#pragma once",
		"shim/standin/three.cpp":            "int three;",
		"torch/version.py":                  "__version__ = '2.6.0+cpu'\n",
		"torch/include/ATen/ATen.h":         "",
		"torch/lib/libtorch_cpu.so":         "",
		"torch/lib/libc10.so":               "_ZN3c105ErrorC1ENS_14SourceLocationENSt7__cxx1112basic_string",
		"usr/include/nothing.h":             "",
		"usr/lib/x86_64-linux-gnu/libc.txt": "",
	} {
		s.write(name, text)
	}
	for _, script := range []string{"build.sh", "setup.sh"} {
		text, err := os.ReadFile(filepath.Join("shim", script))
		if err != nil {
			t.Fatal(err)
		}
		s.write("shim/"+script, string(text))
	}
	for _, tool := range strings.Fields("sh awk basename cat chmod cp cut date dirname env grep head mkdir mktemp mv " +
		"readlink rm sed sha256sum stat tail tr uname xargs") {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(s.mkdir("bin"), tool)); err != nil {
			t.Fatal(err)
		}
	}
	s.env = []string{"PATH=" + s.bin, "FNF_LIBTORCH=" + s.path("torch"), "TMPDIR=" + s.mkdir("tmp")}
	s.args = []string{"--out", s.path("out"), "--system", s.path("usr")}
	return s
}

func (s *sandbox) path(name string) string { return filepath.Join(s.dir, name) }

func (s *sandbox) mkdir(name string) string {
	s.t.Helper()
	if err := os.MkdirAll(s.path(name), 0o755); err != nil {
		s.t.Fatal(err)
	}
	return s.path(name)
}

func (s *sandbox) write(name, text string) {
	s.t.Helper()
	s.mkdir(filepath.Dir(name))
	if err := os.WriteFile(s.path(name), []byte(text), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// compiler puts a g++ into the path that logs its call and writes what -o names.
func (s *sandbox) compiler() {
	s.write("bin/g++", `#!/bin/sh
case $* in -dump*) echo 12; exit ;; esac
while [ "$1" != -o ]; do case $1 in -*|@*) ;; *) sources="$sources $1" ;; esac; shift; done
echo "$2" >>"`+s.path("log")+`"
echo compiled >"$2"
`)
}

// run runs a script and returns its exit code, output and errors.
func (s *sandbox) run(script string, args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	c := exec.Command(s.path("shim/"+script), args...)
	c.Env = s.env
	c.Dir = s.dir
	var out, errs strings.Builder
	c.Stdout, c.Stderr = &out, &errs
	var failed *exec.ExitError
	if err := c.Run(); err != nil && !errors.As(err, &failed) {
		s.t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), out.String(), errs.String()
}

// made lists the files below the output folder.
func (s *sandbox) made() []string {
	var names []string
	_ = filepath.WalkDir(s.path("out"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path != s.path("out") {
			names = append(names, strings.TrimPrefix(path, s.path("out")+"/"))
		}
		return nil
	})
	return names
}

// calls counts the compiler's calls so far.
func (s *sandbox) calls() int {
	text, _ := os.ReadFile(s.path("log"))
	return strings.Count(string(text), "\n")
}

func TestBuildFailures(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*sandbox)
		code  int
		want  string
	}{
		{"no compiler", func(s *sandbox) { os.Remove(s.path("bin/g++")) }, 1, "no C++ compiler found"},
		{"folder cannot be made", func(s *sandbox) { s.args[1] = "/proc/focusnfix" }, 1, "cannot write to the folder /proc/focusnfix"},
		{"a file is in the way", func(s *sandbox) { s.write("out", "") }, 1, "choose another with --out"},
		{"wrong FNF_LIBTORCH", func(s *sandbox) { s.env = append(s.env, "FNF_LIBTORCH="+s.path("bin")) }, 1, "has no include/ATen/ATen.h"},
		{"no libtorch", func(s *sandbox) { s.env = append(s.env, "FNF_LIBTORCH=") }, 1, "no libtorch found: run 'make setup'"},
		{"libtorch too old", func(s *sandbox) { s.write("torch/version.py", "__version__ = '1.12.1'\n") }, 1, "1.13 or newer is needed"},
		{"no version", func(s *sandbox) { os.Remove(s.path("torch/version.py")) }, 1, "no version found"},
		{"unknown argument", func(s *sandbox) { s.args = []string{"--jobs"} }, 2, "unknown argument --jobs; usage:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSandbox(t)
			s.compiler()
			c.spoil(s)
			code, stdout, stderr := s.run("build.sh", s.args...)
			if code != c.code || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, c.want) {
				t.Errorf("exit code %d, stdout %q, stderr %q; want code %d and one line with %q", code, stdout, stderr, c.code, c.want)
			}
			if made := s.made(); len(made) != 0 {
				t.Errorf("left behind: %q", made)
			}
		})
	}
}

func TestBuildLeavesNothingHalfWritten(t *testing.T) {
	s := newSandbox(t)
	s.write("bin/g++", "#!/bin/sh\nwhile [ \"$1\" != -o ]; do shift; done\necho half >\"$2\"\nexit 1\n")
	code, _, stderr := s.run("build.sh", s.args...)
	if code != 1 || !strings.Contains(stderr, "does not compile against libtorch 2.6.0+cpu") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	if made := s.made(); len(made) != 0 {
		t.Errorf("left behind: %q", made)
	}
}

func TestBuildCompilesOnlyWhatChanged(t *testing.T) {
	s := newSandbox(t)
	s.compiler()
	for _, step := range []struct {
		name   string
		change func()
		calls  int // of the compiler: one an object, one to link
	}{
		{"first", func() {}, 3},
		{"nothing", func() {}, 0},
		{"one source", func() { s.write("shim/two.cpp", "int three;") }, 2},
		{"the header", func() { s.write("shim/fnf_torch.h", "") }, 3},
		{"the library", func() { s.write("torch/lib/libtorch_cpu.so", "newer") }, 3},
		{"flags", func() { s.env = append(s.env, "CXXFLAGS=-g") }, 3},
		{"library deleted", func() { os.Remove(s.path("out/libfnf_torch.so")) }, 1},
	} {
		step.change()
		before := s.calls()
		if code, _, stderr := s.run("build.sh", s.args...); code != 0 {
			t.Fatalf("%s: exit code %d, stderr %q", step.name, code, stderr)
		}
		if got := s.calls() - before; got != step.calls {
			t.Errorf("%s: %d calls of the compiler, want %d", step.name, got, step.calls)
		}
		if made := s.made(); len(made) != 4 { // library, stamp, two objects
			t.Errorf("%s: made %q", step.name, made)
		}
	}
}

// TestBuildGoesOnWithoutWhatDoesNotCompile: what not every run needs is left out, with one line, and not tried
// again until the sources or libtorch change.
func TestBuildGoesOnWithoutWhatDoesNotCompile(t *testing.T) {
	s := newSandbox(t)
	s.compiler()
	s.write("torch/version.py", "__version__ = '2.11.0'\n")
	compiler, err := os.ReadFile(s.path("bin/g++"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("bin/g++", strings.Replace(string(compiler), "#!/bin/sh\n", "#!/bin/sh\ncase $* in *standin*) echo broken >&2; exit 1 ;; esac\n", 1))
	code, _, stderr := s.run("build.sh", s.args...)
	if code != 0 || strings.Count(stderr, "going on without") != 1 || !strings.Contains(stderr, "standin does not compile here") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	if text, err := os.ReadFile(s.path("out/libfnf_torch.so")); err != nil || string(text) != "compiled\n" {
		t.Errorf("no library: %q, %v", text, err)
	}
	before := s.calls()
	if code, _, stderr := s.run("build.sh", s.args...); code != 0 || s.calls() != before || stderr != "" {
		t.Errorf("the next build: exit code %d, %d calls of the compiler, stderr %q", code, s.calls()-before, stderr)
	}
	s.write("shim/standin/three.cpp", "mended")
	s.compiler()
	if code, _, stderr := s.run("build.sh", s.args...); code != 0 || strings.Contains(stderr, "without") {
		t.Errorf("mended: exit code %d, stderr %q", code, stderr)
	}
}

func TestBuildKeepsTheOldLibraryWhenLinkingFails(t *testing.T) {
	s := newSandbox(t)
	s.compiler()
	s.run("build.sh", s.args...)
	s.write("shim/one.cpp", "changed")
	s.write("bin/g++", "#!/bin/sh\ncase $* in *-shared*) exit 1 ;; -dump*) echo 12; exit ;; esac\n"+
		"while [ \"$1\" != -o ]; do shift; done\necho compiled >\"$2\"\n")
	code, _, stderr := s.run("build.sh", s.args...)
	if code != 1 || !strings.Contains(stderr, "does not link") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	if text, err := os.ReadFile(s.path("out/libfnf_torch.so")); err != nil || string(text) != "compiled\n" {
		t.Errorf("the old library is gone: %q, %v", text, err)
	}
	s.compiler()
	before := s.calls()
	if code, _, _ := s.run("build.sh", s.args...); code != 0 || s.calls() == before {
		t.Errorf("the next build did not link again: exit code %d", code)
	}
}

func TestBuildReadsTheLibrary(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(*sandbox)
		want    []string
	}{
		{"wheel", func(*sandbox) {}, []string{"libtorch: 2.6.0+cpu\n", "CXX11_ABI=1", "cuda: no\n", "-Wl,-rpath", "gloo: no\n"}},
		{"relative folder", func(s *sandbox) { s.env = append(s.env, "FNF_LIBTORCH=torch") }, []string{"folder: /", "-isystem \"/"}},
		{"old strings", func(s *sandbox) {
			s.write("torch/lib/libc10.so", "_ZN3c105ErrorC1ENS_14SourceLocationESs")
		}, []string{"c++11 abi: 0\n", "CXX11_ABI=0"}},
		{"cuda without nccl", func(s *sandbox) { s.write("torch/lib/libtorch_cuda.so", "") }, []string{"cuda: yes\n", "-ltorch_cuda", "nccl: no\n"}},
		{"nccl without the compiler's headers", func(s *sandbox) {
			s.write("torch/lib/libtorch_cuda.so", "")
			s.write("nvidia/cu13/include/cuda_runtime_api.h", "")
			s.write("nvidia/nccl/include/nccl.h", "")
			s.write("torch/include/torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp", "")
			s.env = append(s.env, "CUDA_HOME="+s.path("nowhere"))
		}, []string{"cuda: yes\n", "nccl: no\n"}},
		{"nccl without the headers nv", func(s *sandbox) {
			s.write("torch/lib/libtorch_cuda.so", "")
			s.write("nvidia/cu13/include/crt/host_config.h", "")
			s.write("nvidia/cu13/include/cuda_runtime_api.h", "")
			s.write("nvidia/nccl/include/nccl.h", "")
			s.write("torch/include/torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp", "")
			s.env = append(s.env, "CUDA_HOME="+s.path("nowhere"))
		}, []string{"cuda: yes\n", "nccl: no\n"}},
		{"a stand-in", func(s *sandbox) { s.write("torch/version.py", "__version__ = '2.11.0+cu130'\n") }, []string{"stand-in: yes\n", "-DFNF_STAND_IN"}},
		{"no stand-in", func(s *sandbox) { s.args = append(s.args, "--without", "standin") }, []string{"stand-in: failed\n"}},
		{"cuda with nccl", func(s *sandbox) {
			s.write("torch/lib/libtorch_cuda.so", "")
			s.write("nvidia/cu13/include/crt/host_config.h", "")
			s.write("nvidia/cu13/include/cuda_runtime_api.h", "")
			s.write("nvidia/cu13/include/cccl/nv/target", "")
			s.write("nvidia/nccl/include/nccl.h", "")
			s.write("torch/include/torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp", "")
			s.write("torch/include/torch/csrc/distributed/c10d/TCPStore.hpp", "")
		}, []string{"nccl: yes\n", "-DUSE_C10D_NCCL -DUSE_DISTRIBUTED", "nvidia/cu13/include", "nvidia/cu13/include/cccl"}},
		{"python's torch", func(s *sandbox) {
			s.write("bin/python3", "#!/bin/sh\necho '"+s.path("torch")+"'\n")
			s.env = append(s.env, "FNF_LIBTORCH=")
		}, []string{"found by: python3\n"}},
		{"system", func(s *sandbox) {
			s.write("usr/include/ATen/ATen.h", "")
			s.write("usr/include/gloo/context.h", "")
			s.write("usr/include/torch/csrc/distributed/c10d/ProcessGroupGloo.hpp", "")
			s.write("usr/include/torch/csrc/api/include/torch/version.h",
				"#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 6\n#define TORCH_VERSION_PATCH 0\n")
			s.write("usr/lib/libtorch_cpu.so", "")
			s.write("usr/lib/libc10.so", "")
			s.env = append(s.env, "FNF_LIBTORCH=")
		}, []string{"libtorch: 2.6.0\n", "found by: system\n", "gloo: yes\n", "-DUSE_C10D_GLOO"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSandbox(t)
			s.compiler()
			c.prepare(s)
			code, stdout, stderr := s.run("build.sh", append(s.args, "--print")...)
			if code != 0 || stderr != "" {
				t.Fatalf("exit code %d, stderr %q", code, stderr)
			}
			for _, want := range c.want {
				if !strings.Contains(stdout, want) {
					t.Errorf("no %q in\n%s", want, stdout)
				}
			}
			if made := s.made(); len(made) != 0 {
				t.Errorf("--print wrote %q", made)
			}
		})
	}
}

func TestSetupInstallsWhatIsMissing(t *testing.T) {
	const all = "libtorch-dev libopenblas0-openmp libgloo-dev g++"
	for _, c := range []struct {
		name    string
		prepare func(*sandbox)
		code    int
		want    []string // calls of apt-get
	}{
		{"nothing missing", func(s *sandbox) { s.compiler() }, 0, nil},
		{"compiler", func(*sandbox) {}, 0, []string{"install -y -q --no-install-recommends g++"}},
		{"all", func(s *sandbox) { s.env = append(s.env, "FNF_LIBTORCH=") }, 0, []string{"install -y -q --no-install-recommends " + all}},
		{
			"no package lists", func(s *sandbox) { s.write("bin/apt-cache", "#!/bin/sh\nexit 1\n") }, 0,
			[]string{"update -qq", "install -y -q --no-install-recommends g++"},
		},
		{"no network", func(s *sandbox) { s.write("bin/apt-get", "#!/bin/sh\nexit 100\n") }, 1, nil},
		{"no apt-get", func(s *sandbox) { os.Remove(s.path("bin/apt-get")) }, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSandbox(t)
			s.write("bin/apt-cache", "#!/bin/sh\n")
			s.write("bin/apt-get", "#!/bin/sh\necho \"$*\" >>\""+s.path("log")+"\"\n")
			s.write("bin/id", "#!/bin/sh\necho 0\n")
			c.prepare(s)
			code, _, stderr := s.run("setup.sh", "--system", s.path("usr"))
			text, _ := os.ReadFile(s.path("log"))
			calls := strings.TrimSpace(string(text))
			if code != c.code || calls != strings.Join(c.want, "\n") {
				t.Errorf("exit code %d, apt-get calls %q, stderr %q; want code %d, calls %q", code, calls, stderr, c.code, c.want)
			}
			for _, call := range c.want {
				if !strings.Contains(stderr, "apt-get "+call) {
					t.Errorf("did not print the command before running it: %q", stderr)
				}
			}
		})
	}
}
