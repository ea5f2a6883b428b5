package chaos_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"wadm/loadtest/chaos"
	"wadm/loadtest/process"
)

// binary is the server, built once for all tests not for -short.
var binary string

func TestMain(m *testing.M) {
	if v := os.Getenv(chaos.NATSVariable); v != "" {
		os.Exit(serveNATS(v))
	}
	flag.Parse()
	os.Exit(buildAndRun(m))
}

// serveNATS makes this process a NATS server.
func serveNATS(value string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := chaos.ServeNATS(ctx, value); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func buildAndRun(m *testing.M) int {
	if testing.Short() {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "wadm-chaos-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if binary, err = process.Build(context.Background(), dir, false); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// runsServers skips a test that runs real servers when only short ones are wanted.
func runsServers(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs real servers, which takes minutes")
	}
}

// config is the least a run needs.
func config(t *testing.T) chaos.Config {
	t.Helper()
	runsServers(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return chaos.Config{Binary: binary, NATS: process.Command{Path: self}, Dir: t.TempDir(), Progress: t.Logf}
}
