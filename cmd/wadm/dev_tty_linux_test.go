package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal makes a pseudo terminal of 40 lines by 140 columns.
func openTerminal(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ours.Close() })
	conn, err := ours.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var number int
	if cerr := conn.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err != nil {
			return
		}
		if number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN); err != nil {
			return
		}
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 140})
	}); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theirs.Close() })
	return ours, theirs
}

// TestDevOnATerminalShowsATableAndObeysKeys: a table is drawn in place, k
// kills a host, s starts it again, q ends, and the terminal is as before.
func TestDevOnATerminalShowsATableAndObeysKeys(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := openTerminal(t)
	cmd := exec.Command(self, "dev", "--lattices", "1", "--heartbeat", "200ms")
	cmd.Env = append(os.Environ(), asWadm+"=1", "TMPDIR="+t.TempDir(), "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	before, err := unix.IoctlGetTermios(int(theirs.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var screen lockedBuffer
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := ours.Read(buf)
			_, _ = screen.Write(buf[:n])
			if err != nil {
				return // the terminal is closed by the end of the test
			}
		}
	}()
	// shown is the last complete table.
	shown := func() string {
		frames := strings.Split(screen.String(), toTop)
		if len(frames) < 2 {
			return ""
		}
		return frames[len(frames)-2]
	}
	waitUntil(t, &screen, func() bool { return strings.Contains(shown(), "shop-web×5") && strings.Contains(shown(), "deployed") })
	// A host that was killed shows as that at once and runs nothing.
	dead := regexp.MustCompile(`zone=\w +killed \d+s +-`)
	for _, step := range []struct {
		key, want string
		dead      bool
	}{{"k", "you killed host", true}, {"s", "you started host", false}, {"x", "keys:", false}} {
		if _, err := ours.WriteString(step.key); err != nil {
			t.Fatal(err)
		}
		waitUntil(t, &screen, func() bool { return strings.Contains(shown(), step.want) && dead.MatchString(shown()) == step.dead })
	}
	if _, err := ours.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	after, err := unix.IoctlGetTermios(int(theirs.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	if *before != *after {
		t.Errorf("terminal was left changed: %+v, was %+v", after, before)
	}
	waitUntil(t, &screen, func() bool { return strings.Contains(screen.String(), leaveScreen+"wadm dev has stopped.") })
}
