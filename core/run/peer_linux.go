package run

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// ownPeer is the process at the other end of a socket, which must be this user's.
func ownPeer(conn *net.UnixConn) (pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *syscall.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		peer, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, failed); err != nil {
		return 0, err
	}
	if int(peer.Uid) != os.Getuid() {
		return 0, fmt.Errorf("the process at the socket is of user %d, not yours", peer.Uid)
	}
	return int(peer.Pid), nil
}
