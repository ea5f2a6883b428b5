package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// errFound ends a command that did its work and found the server wrong.
var errFound = errors.New("the server is not right")

// options are those of all commands.
type options struct {
	server string
	run    []string
	log    string
	output string
}

// run is the whole program but for the process around it; it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	root := &cobra.Command{
		Use:           "loadtest",
		Short:         "Check and measure wadm-compatible servers with simulated hosts",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVarP(&o.server, "server", "s", "127.0.0.1:4222", "NATS server that the wadm server uses")
	root.PersistentFlags().StringArrayVar(&o.run, "run", nil, "start this server with a NATS server of its own instead, {nats} is its address; "+
		"given several times, one after the other: --run 'bin/wadm -s {nats}' --run 'other -s {nats}'")
	root.PersistentFlags().StringVar(&o.log, "log", "", "file to which servers started by --run write")
	root.PersistentFlags().StringVarP(&o.output, "output", "o", "text", "text or json")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if o.output != "text" && o.output != "json" {
			return fmt.Errorf("output %q is neither text nor json", o.output)
		}
		return nil
	}
	root.AddCommand(churnCommand(&o), conformCommand(&o), benchCommand(&o))
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	switch err := root.ExecuteContext(ctx); {
	case err == nil:
		return exitOK
	case errors.Is(err, errFound):
		return exitFound
	default:
		fmt.Fprintf(stderr, "loadtest: %v\n", err)
		return exitBroken
	}
}

// write writes a report in the form that was asked for.
func (o *options) write(w io.Writer, r interface{ WriteText(io.Writer) }) error {
	if o.output == "text" {
		r.WriteText(w)
		return nil
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
