//go:build e2e

package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// providerProcess waits for the process of the provider on a1 that is not the
// given one.
func (s *story) providerProcess(t *testing.T, not int) (pid int) {
	t.Helper()
	s.eventually(t, time.Minute, "the provider has a process", func() error {
		pid = child(s.hosts["a1"].PID())
		if pid == 0 || pid == not {
			return errors.New("it has none")
		}
		return nil
	})
	return pid
}

// child finds a running child of a process, 0 if there is none.
func child(parent int) int {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state ppid …; the name may hold anything.
		_, rest, _ := strings.Cut(string(data), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[0] == "Z" || fields[1] != fmt.Sprint(parent) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err == nil {
			return pid
		}
	}
	return 0
}
