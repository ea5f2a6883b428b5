package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"wadm/config/natsconn"
	"wadm/config/natsconn/embedded"
	"wadm/tenancy/api"
)

// Exit codes that only a script that waits for applications sees.
const (
	exitAppFailed = 7
	exitTimeout   = 8
)

var (
	// errConverged ends a dev session whose applications are all deployed.
	errConverged = errors.New("all applications are deployed")
	// errAppFailed ends one with an application that failed for good.
	errAppFailed = errors.New("an application failed")
	// errDevTimeout ends one that took longer than it may.
	errDevTimeout = errors.New("time is up")
	// errQuit ends one by a key.
	errQuit = errors.New("quit")
)

// devDrain bounds how long the server may take to give its lattices up.
// Nobody takes over from a dev server, and whoever pressed ^C is waiting.
const devDrain = time.Second

// runDev is `wadm dev`: everything wadm needs, with simulated hosts and an
// application, and a view of what happens; all inside one process, but for several
// servers.
func runDev(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	opts, err := parseDev(args, stdout)
	switch {
	case errors.Is(err, errDevHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "wadm dev: %v\nFor the options, try 'wadm dev --help'.\n", err)
		return exitUsage
	}
	apps, err := devApps(opts)
	if err != nil {
		fmt.Fprintf(stderr, "wadm dev: %v\n", err)
		return exitInvalid
	}
	err = opts.run(ctx, apps, environ, stdout, stderr)
	switch {
	case err == nil, errors.Is(err, errQuit), errors.Is(err, errConverged):
		return exitOK
	case errors.Is(err, errAllDrained):
		// Somebody else did that, so whoever sits here is told.
		fmt.Fprintf(stderr, "wadm dev: %v, so all has ended\n", err)
		return exitOK
	case errors.Is(err, errAppFailed):
		fmt.Fprintf(stderr, "wadm dev: %v\n", err)
		return exitAppFailed
	case errors.Is(err, errDevTimeout):
		fmt.Fprintf(stderr, "wadm dev: %v\n", err)
		return exitTimeout
	default:
		fmt.Fprintf(stderr, "wadm dev: %v\n", err)
		return exitCode(err)
	}
}

// run starts the parts from the ground up, and takes them down from the top.
func (o devOptions) run(ctx context.Context, apps []devApp, environ []string, stdout, stderr io.Writer) (err error) {
	if err := o.checkPort(); err != nil {
		return err
	}
	dir, err := openDevFolder(o.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.close()) }()
	ns, err := embedded.Start(embedded.Config{Host: o.host, Port: o.port, StoreDir: filepath.Join(dir.path, "nats")})
	if err != nil {
		return err
	}
	defer ns.Stop()
	url := ns.URL()

	view := newDevView(o, url, stdout)
	log, closeLog, err := o.logger(view)
	if err != nil {
		return err
	}
	defer closeLog()
	nc, err := natsconn.Connect(ctx, natsconn.Config{Server: url, Name: "wadm dev"}, nil)
	if err != nil {
		return err
	}
	defer nc.Close()

	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if o.timeout > 0 {
		timer := time.AfterFunc(o.timeout, func() { stop(fmt.Errorf("%w after %v", errDevTimeout, o.timeout)) })
		defer timer.Stop()
	}
	// The watch begins before there is anything to see, and before anybody is
	// told where to connect.
	watch, err := newDevWatch(ctx, nc, view)
	if err != nil {
		return err
	}
	if !o.quiet {
		if err := view.open(); err != nil {
			return err
		}
	}
	if o.data != "" {
		o.tellLeftOver(ctx, nc, log, view)
	}
	fleet, err := newDevFleet(nc.Conn, o)
	if err != nil {
		return err
	}
	defer fleet.close()

	// The view outlives the server, so that its stopping is seen too.
	looking, endView := context.WithCancel(context.WithoutCancel(ctx))
	defer endView()
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer endView()
		return o.runInstances(gctx, url, environ, log, view)
	})
	group.Go(func() error { return view.run(looking) })
	group.Go(func() error { return watch.run(looking) })
	group.Go(func() error {
		if err := fleet.start(); err != nil {
			return err
		}
		if err := o.awaitServer(gctx, nc, view); err != nil || gctx.Err() != nil {
			return err
		}
		return deployDev(gctx, nc, apps, watch)
	})
	if o.exitWhenConverged {
		group.Go(func() error { return watch.converge(gctx, apps) })
	}
	if keys, ok := openKeys(view.terminal()); ok {
		group.Go(func() error { return keys.run(gctx, fleet, watch, stop) })
	}
	err = devCause(ctx, group.Wait())
	if errors.Is(err, errDevTimeout) {
		if rest := watch.unfinished(apps); rest != "" {
			err = fmt.Errorf("%w: %s", err, rest)
		}
	}
	return err
}

// checkPort tells of a port that is taken; NATS would say so with many more words.
func (o devOptions) checkPort() error {
	if o.port == 0 {
		return nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(o.host, strconv.Itoa(o.port)))
	switch {
	case err == nil:
		return l.Close()
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %d is taken; without --port a free one is chosen", o.port)
	}
	return nil // NATS fails too, and knows more
}

// devCause says why a session ended: nil after a signal.
func devCause(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	var signal stopSignal
	switch {
	case errors.Is(cause, errQuit), errors.Is(cause, errDevTimeout):
		return cause
	case err != nil && !errors.Is(err, context.Canceled) && !errors.As(err, &signal):
		return err
	case ctx.Err() != nil:
		return nil
	}
	return err
}

// logger sends what the operator should know to the view, and everything to
// the file of --log if there is one.
func (o devOptions) logger(view *devView) (*slog.Logger, func(), error) {
	shown := warnings{view}
	if o.log == "" {
		return slog.New(shown), func() {}, nil
	}
	f, err := os.OpenFile(o.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("open log: %w", err)
	}
	file := slog.NewTextHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug})
	return slog.New(slog.NewMultiHandler(shown, file)), func() { _ = f.Close() }, nil
}

// awaitServer waits until requests are answered. Only then is a script, which
// is what asks for quiet, told where to connect.
func (o devOptions) awaitServer(ctx context.Context, nc *natsconn.Conn, view *devView) error {
	client, err := api.NewClient(nc.Conn, api.ClientConfig{})
	if err != nil {
		return err
	}
	for {
		_, err := client.List(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, api.ErrNoServer):
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(5 * time.Millisecond):
			}
			continue
		case err != nil:
			return fmt.Errorf("wait for the server: %w", err)
		case o.quiet:
			return view.open()
		}
		view.happen(happening{kind: "server", text: "answers requests"})
		return nil
	}
}

// deployDev deploys the applications.
func deployDev(ctx context.Context, nc *natsconn.Conn, apps []devApp, watch *devWatch) error {
	for _, app := range apps {
		client, err := api.NewClient(nc.Conn, api.ClientConfig{Lattice: app.lattice})
		if err != nil {
			return err
		}
		watch.expect(app)
		if err := app.deploy(ctx, client); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("deploy %s in %s: %w", app.name, app.lattice, err)
		}
	}
	return nil
}

// deploy puts and deploys an application. A version that is stored already, in
// kept data, is deployed as it is.
func (a devApp) deploy(ctx context.Context, client *api.Client) error {
	if _, err := client.Put(ctx, a.data, ""); err != nil && !errors.Is(err, api.ErrExists) {
		return err
	}
	_, err := client.Deploy(ctx, a.name, a.version)
	return err
}

// endpoint is an address for people: nats://127.0.0.1:4222 becomes 127.0.0.1 and 4222.
func endpoint(url string) (host string, port int) {
	h, p, err := net.SplitHostPort(strings.TrimPrefix(url, "nats://"))
	if err != nil {
		return url, 0
	}
	if port, err = strconv.Atoi(p); err != nil {
		return url, 0
	}
	if h == "0.0.0.0" || h == "::" {
		h = "127.0.0.1"
	}
	return h, port
}
