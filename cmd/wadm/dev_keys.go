package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"wadm/tenancy"
)

// ctrlC is what a terminal sends for ^C while it makes no signals.
const ctrlC = 3

// devKeys hears single keys.
type devKeys struct {
	view  *devView
	tty   *os.File
	state *term.State
}

// openKeys makes the terminal of the process send keys one by one. It reports
// false where that cannot be done; then there are no keys.
func openKeys(view *devView) (*devKeys, bool) {
	if view == nil {
		return nil, false
	}
	// A description of its own: it is closed to end a read, and what is set on
	// it does not last beyond this process.
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, false
	}
	if err := tty.SetReadDeadline(time.Time{}); err != nil {
		_ = tty.Close()
		return nil, false
	}
	k := &devKeys{view: view, tty: tty}
	if err := k.control(func(fd int) (err error) {
		k.state, err = term.MakeRaw(fd)
		return err
	}); err != nil {
		_ = tty.Close()
		return nil, false
	}
	return k, true
}

// control runs f on the descriptor without making it block, as Fd would.
func (k *devKeys) control(f func(fd int) error) error {
	conn, err := k.tty.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := conn.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// run obeys keys until ctx ends. From then on the terminal makes signals
// again, so that a second ^C works.
func (k *devKeys) run(ctx context.Context, fleet *devFleet, watch *devWatch, stop context.CancelCauseFunc) error {
	end := context.AfterFunc(ctx, func() { _ = k.tty.SetReadDeadline(time.Now()) })
	defer func() {
		end()
		_ = k.control(func(fd int) error { return term.Restore(fd, k.state) })
		_ = k.tty.Close()
	}()
	key := make([]byte, 1)
	for {
		_, err := k.tty.Read(key)
		switch {
		case ctx.Err() != nil, errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read key: %w", err)
		}
		switch key[0] {
		case 'q', ctrlC:
			stop(errQuit)
			return nil
		case 'k':
			if h, ok := k.did(fleet.kill, "you killed host"); ok {
				watch.killed(tenancy.Lattice(h.lattice.Name()), h.host.ID())
			}
		case 's':
			k.did(fleet.revive, "you started host")
		}
	}
}

func (k *devKeys) did(act func() (devSimulated, error), words string) (devSimulated, bool) {
	h, err := act()
	if err != nil {
		k.view.happen(happening{kind: "key", text: err.Error()})
		return h, false
	}
	k.view.happen(happening{kind: "key", text: fmt.Sprintf("%s %s", words, h)})
	return h, true
}
