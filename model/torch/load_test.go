package torch_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"focusnfix/model/torch"
)

// TestMain runs one step of this package in a process of its own where FNF_TEST_STEP names it: a
// library is opened once a process, and a process group needs several.
func TestMain(m *testing.M) {
	switch os.Getenv("FNF_TEST_STEP") {
	case "load":
		if err := torch.Load(); err != nil {
			os.Stdout.WriteString(err.Error())
		}
	case "distributed":
		distributedStep()
	default:
		os.Exit(m.Run())
	}
}

// step runs a step in a process of its own and returns what it printed.
func step(t *testing.T, dir, name string, env ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append(env, "FNF_TEST_STEP="+name)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestLoadErrors(t *testing.T) {
	empty := t.TempDir()
	if got := step(t, empty, "load", "FNF_TORCH_SHIM="); !strings.Contains(got, "make setup") {
		t.Errorf("no shim: %q, want what to do", got)
	}
	notALibrary := filepath.Join(empty, "text.so")
	if err := os.WriteFile(notALibrary, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := step(t, empty, "load", "FNF_TORCH_SHIM="+notALibrary); !strings.Contains(got, "text.so") || strings.Contains(got, "\n") {
		t.Errorf("not a library: %q, want one line that names it", got)
	}
	compiler, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc for a library of another ABI")
	}
	source, library := filepath.Join(empty, "abi.c"), filepath.Join(empty, "abi.so")
	if err := os.WriteFile(source, []byte("int fnf_abi(void) { return 99; }"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(compiler, "-shared", "-fPIC", "-o", library, source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := step(t, empty, "load", "FNF_TORCH_SHIM="+library); !strings.Contains(got, fmt.Sprintf("shim ABI 99, want %d", torch.ABI())) {
		t.Errorf("another ABI: %q, want both numbers", got)
	}
}

// TestABIIsTheHeaders: the number in Go is the number in the shim's header.
func TestABIIsTheHeaders(t *testing.T) {
	header, err := os.ReadFile(filepath.Join("shim", "fnf_torch.h"))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("#define FNF_ABI %d\n", torch.ABI()); !strings.Contains(string(header), want) {
		t.Errorf("shim/fnf_torch.h has no %q", want)
	}
}
