// Command wadmctl is the tool of those who deploy applications to wasmCloud
// lattices and of those who operate wadm.
//
// It behaves as `wash app` where that has the same command, takes wash's
// connection flags and variables, and adds waiting, honest exit codes and
// stable JSON. Data goes to stdout, talk to stderr. Start reading at root.go;
// exit codes are in exit.go.
package main

//go:generate go test . -run TestReferencePageIsCurrent -update

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal is obeyed in order, a second one at once.
	context.AfterFunc(ctx, stop)
	os.Exit(Run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}
