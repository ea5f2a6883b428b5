// Command loadtest drives wadm-compatible servers with simulated hosts: it
// checks that they do what they should (conform, churn) and measures how well
// (bench). It knows a server by its NATS subjects only.
//
// A server that is tested must have nothing else to do; what the tool deploys
// and the lattices it makes up stay behind in the server's storage.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	exitOK = 0
	// exitFound: the server did something wrong.
	exitFound = 1
	// exitBroken: the tool could not do its work.
	exitBroken = 2
)
