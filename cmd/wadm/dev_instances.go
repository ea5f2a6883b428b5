package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"wadm/config"
)

// devInstanceCommand runs one of several servers of a session. It is for
// sessions only, so the help does not have it.
const devInstanceCommand = "dev-instance"

// devKill is how long a server may go on after it was told to end.
const devKill = 10 * time.Second

var (
	// errNoInstance ends a session whose servers have all ended, the last one in
	// another way than by a drain.
	errNoInstance = errors.New("no server is left")
	// errAllDrained ends one whose last server was drained.
	errAllDrained = errors.New("the last server was drained")
	// errSessionOver ends a server whose session has.
	errSessionOver = errors.New("wadm dev ends")
)

// instanceNames are the names of the session's servers.
func (o devOptions) instanceNames() []string {
	if o.instances == 1 {
		return []string{"dev"}
	}
	var names []string
	for i := range o.instances {
		names = append(names, fmt.Sprintf("wadm-%d", i+1))
	}
	return names
}

// runInstances runs the session's servers until ctx ends: a single one here, and
// each of several in a process of its own, so that one can be killed. The session
// goes on without a server that was drained or killed, and ends with the last.
func (o devOptions) runInstances(ctx context.Context, url string, environ []string, log *slog.Logger, view *devView) error {
	group, gctx := errgroup.WithContext(ctx)
	var lastDied atomic.Bool // of the servers that have ended, the last one
	if names := o.instanceNames(); len(names) == 1 {
		cfg := config.Config{InstanceID: names[0], DrainTimeout: devDrain, NATS: config.NATS{Server: url}}
		cfg.Admin.Address = o.httpAdmin
		group.Go(func() error { return run(gctx, cfg.WithDefaults(), environ, log) })
	} else {
		for i, name := range names {
			args := []string{
				devInstanceCommand, "--instance-id", name, "-s", url,
				"--drain-timeout", devDrain.String(), "--log-format", "json", "--log-level", "warn",
			}
			if log.Enabled(ctx, slog.LevelDebug) {
				args[len(args)-1] = "debug"
			}
			if i == 0 && o.httpAdmin != "" {
				args = append(args, "--http-admin", o.httpAdmin)
			}
			group.Go(func() error {
				drained, err := runInstance(gctx, name, args, environ, log, view)
				lastDied.Store(!drained)
				return err
			})
		}
	}
	err := group.Wait()
	switch {
	case err != nil || ctx.Err() != nil:
		return err
	case lastDied.Load():
		return errNoInstance
	}
	return errAllDrained
}

// runInstance runs a server in a process until ctx ends, and tells whether it ended
// in order. It returns an error only when there can be no such process.
func runInstance(ctx context.Context, name string, args, environ []string, log *slog.Logger, view *devView) (drained bool, err error) {
	self, err := os.Executable()
	if err != nil {
		return false, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = environ
	cmd.Stderr = &passedOn{handler: log.Handler()}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return false, fmt.Errorf("start server: %w", err)
	}
	cmd.Cancel, cmd.WaitDelay = stdin.Close, devKill
	if err := cmd.Start(); err != nil {
		if ctx.Err() != nil {
			return false, nil
		}
		return false, fmt.Errorf("start server: %w", err)
	}
	view.instance(name, cmd.Process.Pid, fmt.Sprintf("is process %d", cmd.Process.Pid))
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
	case err == nil:
		view.instance(name, 0, "has given up its lattices and ended")
	default:
		view.instance(name, 0, fmt.Sprintf("has died: %v", err))
	}
	return err == nil, nil
}

// runDevInstance runs a server of a session. Like every server it takes signals;
// besides it ends, in order, when its standard input does, which the session closes
// and which does not outlive it, however that ends. Of the environment only where
// traces go is for it, as for a server inside the session: the rest is for others.
func runDevInstance(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() { // ends with the process: nothing else ends a read of standard input
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop(errSessionOver)
	}()
	traces := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool { return !strings.HasPrefix(kv, "OTEL_") })
	return runServer(ctx, args, traces, stdout, stderr)
}

// passedOn hands what a server logs, a JSON object per line, to a handler here.
type passedOn struct {
	handler slog.Handler
	rest    []byte
}

// Write takes any part of what is logged.
func (p *passedOn) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	for {
		line, rest, ok := bytes.Cut(p.rest, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		p.rest = rest
		if r := recordOf(line); p.handler.Enabled(context.Background(), r.Level) {
			_ = p.handler.Handle(context.Background(), r) // a log that cannot be written stops nobody
		}
	}
}

// recordOf reads a line of a log. What is no object, such as the last words of a
// process that panics, is an error in itself.
func recordOf(line []byte) slog.Record {
	var head struct {
		Time  time.Time
		Level slog.Level
		Msg   string
	}
	var attrs map[string]any
	if json.Unmarshal(line, &head) != nil || json.Unmarshal(line, &attrs) != nil {
		return slog.NewRecord(time.Now(), slog.LevelError, string(line), 0)
	}
	r := slog.NewRecord(head.Time, head.Level, head.Msg, 0)
	for _, k := range slices.Sorted(maps.Keys(attrs)) {
		if k != slog.TimeKey && k != slog.LevelKey && k != slog.MessageKey {
			r.AddAttrs(slog.Any(k, attrs[k]))
		}
	}
	return r
}
