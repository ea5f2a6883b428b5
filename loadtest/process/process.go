package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"time"
)

// ErrEnded is returned by waits for a process that has ended before.
var ErrEnded = errors.New("process has ended")

// Command says what to run. Only Path is required.
type Command struct {
	Path string
	Args []string
	// Env is added to the environment of this process ("NAME=value").
	Env []string
	Dir string
	// Echo gets a copy of everything the process writes.
	Echo io.Writer
}

// Process is a running or ended program. Its methods may be called from any
// goroutine.
type Process struct {
	cmd   *exec.Cmd
	out   *output
	ended chan struct{}
	// err is what the end of the process was; valid once ended is closed.
	err error
}

// Start runs a program in a new process group. Whoever starts it has to see to
// its end with Kill, which does no harm to one that has ended.
func Start(c Command) (*Process, error) {
	out := &output{changed: make(chan struct{}), echo: c.Echo}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = append(cmd.Environ(), c.Env...)
	cmd.Dir = c.Dir
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = attributes()
	// What the program leaves behind may hold its output open; its end counts.
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	p := &Process{cmd: cmd, out: out, ended: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		out.close()
		close(p.ended)
	}()
	return p, nil
}

// PID of the process, which is also that of its group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal to the process alone. It fails once that has ended.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signal %v: %w", s, err)
	}
	return nil
}

// Kill ends the process and everything it started, and waits for its end. What
// runs in the group of an ended process is killed too.
func (p *Process) Kill() {
	killGroup(p.cmd.Process)
	<-p.ended
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Running tells whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Wait waits for the end and returns the exit code, -1 when a signal ended the
// process. The error is ctx's cause, or that of a failed wait.
func (p *Process) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.ended:
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for end of process: %w", context.Cause(ctx))
	}
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) && !errors.Is(p.err, exec.ErrWaitDelay) {
		return 0, fmt.Errorf("wait for end of process: %w", p.err)
	}
	return p.cmd.ProcessState.ExitCode(), nil
}

// Output is everything the process has written so far.
func (p *Process) Output() string { return p.out.String() }

// Await waits until the output matches and returns the groups of the first match.
// It gives up with ErrEnded when the process ends without a match.
func (p *Process) Await(ctx context.Context, pattern *regexp.Regexp) ([]string, error) {
	for {
		changed := p.out.wait()
		ended := !p.Running()
		if m := pattern.FindStringSubmatch(p.out.String()); m != nil {
			return m, nil
		}
		if ended {
			return nil, fmt.Errorf("await %q: %w", pattern, ErrEnded)
		}
		select {
		case <-changed:
		case <-p.ended:
		case <-ctx.Done():
			return nil, fmt.Errorf("await %q: %w", pattern, context.Cause(ctx))
		}
	}
}

// output keeps what a process writes and tells when there is more.
type output struct {
	echo io.Writer

	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{}
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf.Write(b)
	if o.echo != nil {
		// A copy that fails is not the program's concern.
		_, _ = o.echo.Write(b)
	}
	close(o.changed)
	o.changed = make(chan struct{})
	return len(b), nil
}

func (o *output) close() { _, _ = o.Write(nil) }

func (o *output) wait() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
