package run

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// maxSocketPath is what every system's sockaddr_un holds, in bytes: 104 on BSD and macOS with the end
// mark, 108 on Linux.
const maxSocketPath = 103

// socketPath is where the socket of a run folder lies: not in the folder, whose path may be too long and
// which may be on a file system without sockets, but under a short name in a folder of this user's own.
func socketPath(dir string) (string, error) {
	sum := sha256.Sum256([]byte(dir))
	name := hex.EncodeToString(sum[:8]) + ".sock"
	var errs []error
	for _, parent := range socketFolders() {
		path := filepath.Join(parent, name)
		if len(path) > maxSocketPath {
			errs = append(errs, fmt.Errorf("%s: %d bytes, want %d at most for a socket", path, len(path), maxSocketPath))
			continue
		}
		err := privateFolder(parent)
		if err == nil {
			return path, nil
		}
		errs = append(errs, err)
	}
	return "", fmt.Errorf("no place for the control socket: %w; set XDG_RUNTIME_DIR to a short folder of your own", errors.Join(errs...))
}

func socketFolders() []string {
	own := "focusnfix-" + strconv.Itoa(os.Getuid())
	folders := []string{filepath.Join(os.TempDir(), own), filepath.Join("/tmp", own)}
	if runtime := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(runtime) {
		folders = append([]string{filepath.Join(runtime, "focusnfix")}, folders...)
	}
	return folders
}

// ownSocket refuses a path that is not a socket of this user's.
func ownSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // an engine that is about to end
	}
	if err != nil {
		return fmt.Errorf("its control socket: %w", err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != os.Getuid() || info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("its control socket %s is not a socket of yours; nothing is sent there", path)
	}
	return nil
}

// privateFolder sees to a folder that only this user can enter. In /tmp somebody else may have made it.
func privateFolder(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm() != 0o700 || !ok || int(owner.Uid) != os.Getuid() {
		return fmt.Errorf("%s: %v, want a folder of your own with mode 0700", path, info.Mode())
	}
	return nil
}
