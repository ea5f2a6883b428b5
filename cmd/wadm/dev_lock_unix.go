//go:build unix && !solaris && !aix

package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// canLock tells that locks work here.
const canLock = true

// lockFile locks f until it is closed, or says at once that it is locked.
func lockFile(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	var locked error
	if err := conn.Control(func(fd uintptr) { locked = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) }); err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	switch {
	case errors.Is(locked, unix.EWOULDBLOCK):
		return errLocked
	case locked != nil:
		return fmt.Errorf("lock %s: %w", f.Name(), locked)
	}
	return nil
}
