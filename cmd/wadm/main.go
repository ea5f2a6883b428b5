// Command wadm is the server: it keeps the applications of wasmCloud lattices
// as their manifests want them.
//
// It takes upstream wadm's place: same flags, variables, --version and NATS
// API. The first SIGTERM, SIGINT or SIGHUP stops it in order and ends with exit code
// 0; a second one, not at the same moment, ends it at once. Under nohup SIGHUP has no
// effect. Start reading at run.go; what a running server consists of is in server.go.
// `wadm dev`, everything in one command, begins in dev.go.
package main

//go:generate go test . -run TestReferencePageIsCurrent -update

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// sameRequest is how long signals count as one request to stop: ^C reaches every
// process of a terminal, and whatever started this one may pass it on as well.
const sameRequest = 300 * time.Millisecond

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		cancel(stopSignal{<-signals})
		asked := time.Now()
		for sig := range signals {
			// Whoever asks twice does not want to wait for the hand-over.
			if time.Since(asked) >= sameRequest {
				fmt.Fprintf(os.Stderr, "wadm: %v again, stopping at once\n", sig)
				os.Exit(exitFailed)
			}
		}
	}()
	os.Exit(Run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// stopSignal is the cause of the end of a context that a signal ended.
type stopSignal struct{ os.Signal }

func (s stopSignal) Error() string { return "received " + s.String() }
