package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"

	"wadm/config/natsconn"
	"wadm/config/natsconn/embedded"
	"wadm/loadtest/conform"
	"wadm/loadtest/process"
)

// rig is a server under test and a connection to where it can be reached.
type rig struct {
	// name is that of the program, or the address of the NATS server.
	name string
	nc   *nats.Conn
	// nats and server are nil when they run elsewhere.
	nats   *embedded.Server
	server *process.Process
}

// each calls fn for every server under test, one after the other: the one at
// --server, or those that --run starts, each with a NATS server of its own.
func (o *options) each(ctx context.Context, fn func(*rig) error) error {
	if len(o.run) == 0 {
		nc, err := connect(ctx, o.server)
		if err != nil {
			return err
		}
		defer nc.Close()
		if err := conform.Answering(ctx, nc.Conn); err != nil {
			return err
		}
		return fn(&rig{name: o.server, nc: nc.Conn})
	}
	var found error
	for _, line := range o.run {
		switch err := o.runOne(ctx, line, fn); {
		case errors.Is(err, errFound):
			found = err
		case err != nil:
			return err
		}
	}
	return found
}

func (o *options) runOne(ctx context.Context, line string, fn func(*rig) error) error {
	dir, err := os.MkdirTemp("", "loadtest")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ns, err := embedded.Start(embedded.Config{StoreDir: dir})
	if err != nil {
		return err
	}
	defer ns.Stop()
	words := strings.Fields(line)
	if len(words) == 0 {
		return errors.New("--run needs a command")
	}
	for i := range words {
		words[i] = strings.ReplaceAll(words[i], "{nats}", strings.TrimPrefix(ns.URL(), "nats://"))
	}
	var log io.Writer
	if o.log != "" {
		f, err := os.OpenFile(o.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		log = f
	}
	server, err := process.Start(process.Command{
		Path: words[0], Args: words[1:], Echo: log,
		// With traces on, upstream puts them into its replies.
		Env: []string{"RUST_BACKTRACE=0", "RUST_LIB_BACKTRACE=0"},
	})
	if err != nil {
		return err
	}
	defer server.Kill()
	nc, err := connect(ctx, ns.URL())
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := conform.Answering(ctx, nc.Conn); err != nil {
		return fmt.Errorf("%w; it said:\n%s", err, server.Output())
	}
	return fn(&rig{name: filepath.Base(words[0]), nc: nc.Conn, nats: ns, server: server})
}

// toolName is the name of the connections of this tool.
const toolName = "loadtest"

// connect opens the connection that simulated hosts and clients share.
func connect(ctx context.Context, server string) (*natsconn.Conn, error) {
	return natsconn.Connect(ctx, natsconn.Config{Server: server, Name: toolName}, slog.New(slog.DiscardHandler))
}
