package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/spf13/cobra"

	"wadm/config"
)

// Run is the whole program but for the process around it; it returns the exit
// code. Ending ctx interrupts it.
func Run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{
		out:   &output{stdout: stdout, stderr: stderr},
		stdin: stdin,
		env:   config.Variables(environ),
	}
	root := p.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	at, err := root.ExecuteContextC(ctx)
	p.close()
	if err != nil {
		if f, ok := errors.AsType[*failure](err); ok && f.hint == seeHelp {
			f.hint = fmt.Sprintf("see '%s --help'", at.CommandPath())
		}
		return p.out.fail(p.refused(err))
	}
	return exitOK
}

// program is what the commands share.
type program struct {
	out   *output
	stdin io.Reader
	env   map[string]string
	conn  connection
	// denial is the first subject the NATS server refused.
	denial atomic.Pointer[error]
	// closers run at the end.
	closers []func()
}

func (p *program) close() {
	for _, c := range p.closers {
		c()
	}
}

// root builds the tree of commands.
func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:     "wadmctl",
		Version: version,
		Short:   "Deploy applications to wasmCloud lattices with wadm",
		Long: `Deploys applications to wasmCloud lattices with wadm.

Commands below 'app' behave as those of 'wash app' and take its connection flags
but --context: contexts of wash are not read, --nats-context takes those of the
nats tool. Data goes to stdout, everything else to stderr.

` + exitCodesHelp,
		Args:              arguments(0, 0),
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
		PersistentPreRunE: func(c *cobra.Command, _ []string) error { return p.configure(c) },
		SilenceErrors:     true,
		SilenceUsage:      true,
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usagef("%s", err.Error()) })
	p.globalFlags(root.PersistentFlags())
	root.AddCommand(p.app(), p.ringCommands(), p.instanceCommands(), p.version())
	return root
}

// app groups the commands about applications.
func (p *program) app() *cobra.Command {
	app := &cobra.Command{
		Use:   "app",
		Short: "Put, deploy, watch and remove applications",
		Args:  arguments(0, 0),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	app.AddCommand(p.list(), p.get(), p.put(), p.deploy(), p.undeploy(), p.remove(), p.status(), p.explain(), p.history(), p.validate())
	return app
}

// arguments bounds the number of arguments.
func arguments(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) > most && most == 0 && c.HasSubCommands():
			return usagef("unknown command %q for %q", args[0], c.CommandPath())
		case len(args) > most && c.Flags().Changed("watch") && (watchInterval{new(duration)}).Set(args[most]) == nil:
			return usagef("%s: unexpected argument %q; an interval is written with a sign: -w=%[2]s", c.CommandPath(), args[most])
		case len(args) > most:
			return usagef("%s: unexpected argument %q", c.CommandPath(), args[most])
		case len(args) < least:
			return usagef("%s: argument missing, usage: %s", c.CommandPath(), c.UseLine())
		}
		return nil
	}
}
