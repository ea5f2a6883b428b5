package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	// devLockName is the file in a data folder whose lock says that a session
	// uses the folder. The lock is the kernel's and ends with the process,
	// however that ends; the file stays.
	devLockName = "wadm-dev.lock"
	// devTempPrefix starts the names of folders that do not outlive a session.
	devTempPrefix = "wadm-dev-"
)

// errLocked: another session has the folder.
var errLocked = errors.New("in use by another wadm dev")

// devFolder is where a session keeps everything, and nobody else at that time.
type devFolder struct {
	path string
	lock *os.File
	// temporary folders are removed when they are closed.
	temporary bool
}

// openDevFolder takes the folder of --data, or makes one that will not be left
// behind when dir is empty.
func openDevFolder(dir string) (*devFolder, error) {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make data folder: %w", err)
		}
		lock, err := lockDevFolder(dir)
		if errors.Is(err, errLocked) {
			return nil, fmt.Errorf("data folder %s is %w: end that one, or give another folder", dir, err)
		}
		if err != nil {
			return nil, err
		}
		return &devFolder{path: dir, lock: lock}, nil
	}
	removeDeadFolders(os.TempDir())
	for {
		dir, err := os.MkdirTemp("", devTempPrefix)
		if err != nil {
			return nil, fmt.Errorf("make data folder: %w", err)
		}
		lock, err := lockDevFolder(dir)
		switch {
		case err == nil:
			return &devFolder{path: dir, lock: lock, temporary: true}, nil
		case !errors.Is(err, errLocked) && !errors.Is(err, os.ErrNotExist):
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		// Somebody who was cleaning up took it for a dead one.
	}
}

// close gives the folder up. Nothing may write to it any more.
func (f *devFolder) close() error {
	var err error
	if f.temporary {
		// Before the lock ends, so that nobody else begins to remove it.
		err = os.RemoveAll(f.path)
	}
	return errors.Join(err, f.lock.Close())
}

// lockDevFolder locks a folder until the file is closed. The error wraps
// errLocked when another process, or another session of this one, has it.
func lockDevFolder(dir string) (*os.File, error) {
	name := filepath.Join(dir, devLockName)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if err := lockFile(f); err != nil {
		if errors.Is(err, errLocked) {
			if pid := lockHolder(f); pid != "" {
				err = fmt.Errorf("%w (process %s)", err, pid)
			}
		}
		_ = f.Close()
		return nil, err
	}
	// The file may have been removed between open and lock.
	ours, err := f.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Stat(name); err == nil && !os.SameFile(ours, there) {
			err = os.ErrNotExist
		}
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	return f, nil
}

// lockHolder is the process id that the holder of the lock wrote into the file,
// or empty: it may not have come to that yet.
func lockHolder(f *os.File) string {
	data, err := io.ReadAll(io.LimitReader(f, 20))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// removeDeadFolders removes what sessions that were killed left behind. What
// cannot be locked or removed belongs to somebody else and stays.
func removeDeadFolders(temp string) {
	if !canLock {
		return
	}
	dirs, _ := filepath.Glob(filepath.Join(temp, devTempPrefix+"*"))
	for _, dir := range dirs {
		// A folder without the file is about to become somebody's, or is not ours.
		f, err := os.OpenFile(filepath.Join(dir, devLockName), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if lockFile(f) == nil {
			_ = os.RemoveAll(dir)
		}
		_ = f.Close()
	}
}
