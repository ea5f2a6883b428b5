package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"wadm/config"
	"wadm/config/natsconn"
	"wadm/telemetry"
	"wadm/telemetry/httpadmin"
	"wadm/telemetry/otlp"
)

// traceFlushTimeout bounds how long the last spans may take to leave.
const traceFlushTimeout = 3 * time.Second

// command is a way to run the program: args without its own name.
type command func(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int

// subcommand finds what a first argument that is not a flag stands for.
func subcommand(name string) (command, bool) {
	switch name {
	case "dev":
		return runDev, true
	case devInstanceCommand:
		return runDevInstance, true
	case "version":
		return printing(name, printBuild), true
	case "help":
		return printing(name, printHelp), true
	}
	return nil, false
}

// printing is a command that prints something and takes no arguments.
func printing(name string, print func(io.Writer)) command {
	return func(_ context.Context, args, _ []string, stdout, stderr io.Writer) int {
		if len(args) > 0 {
			fmt.Fprintf(stderr, "wadm %s: unexpected argument %q\n", name, args[0])
			return exitUsage
		}
		print(stdout)
		return exitOK
	}
}

// Run is the whole program but for the process around it: it returns the exit
// code when the server has stopped or could not start. Ending ctx stops it in order.
func Run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		if run, ok := subcommand(args[0]); ok {
			return run(ctx, args[1:], environ, stdout, stderr)
		}
	}
	return runServer(ctx, args, environ, stdout, stderr)
}

// runServer reads the configuration and runs a server by it.
func runServer(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	cfg, warnings, err := config.Load(args, environ)
	switch {
	case errors.Is(err, config.ErrHelp):
		printHelp(stdout)
		return exitOK
	case errors.Is(err, config.ErrVersion):
		printVersion(stdout)
		return exitOK
	case err != nil:
		for _, w := range warnings {
			fmt.Fprintf(stderr, "wadm: warning: %v\n", w)
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintf(stderr, "wadm: %s\n", line)
		}
		fmt.Fprintln(stderr, "For the options, try 'wadm --help'.")
		return exitCode(err)
	}
	log, err := telemetry.NewLogger(stderr, telemetry.LogConfig{Level: cfg.Log.Level, JSON: cfg.Log.JSON()})
	if err != nil {
		fmt.Fprintf(stderr, "wadm: %v\n", err)
		return exitInvalid
	}
	for _, w := range warnings {
		log.Warn("setting has no effect", "setting", w.Name, "why", w.Message)
	}
	if cfg.InstanceID, err = instanceID(cfg); err == nil {
		log = log.With("instance", cfg.InstanceID)
		err = run(ctx, cfg, environ, log)
	}
	if err != nil {
		log.Error("wadm failed", telemetry.LogError, err)
		return exitCode(err)
	}
	log.Info("wadm has stopped")
	return exitOK
}

// run sets up what every server needs, serves until ctx ends, and takes it all
// down in the opposite order. It returns nil only after an orderly stop. The
// configuration must name the instance.
func run(ctx context.Context, cfg config.Config, environ []string, log *slog.Logger) (err error) {
	if cfg.Multitenant {
		return fmt.Errorf("%w: --multitenant is not available in this version; run one server per tenant, each in the tenant's account of NATS", config.ErrInvalid)
	}
	log.Info("wadm starts", "version", version, "config", cfg)

	variables := config.Variables(environ)
	tracing, err := otlp.New(ctx, otlp.Config{
		Enabled: cfg.Tracing.Enabled, Endpoint: cfg.Tracing.Endpoint,
		Version: version, Instance: cfg.InstanceID, Getenv: func(name string) string { return variables[name] },
	}, log)
	if err != nil {
		return err
	}
	defer func() {
		flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), traceFlushTimeout)
		defer cancel()
		if err := tracing.Shutdown(flush); err != nil {
			log.Warn("last traces were not sent", telemetry.LogError, err)
		}
	}()

	metrics := httpadmin.NewMetrics(version, cfg.InstanceID)
	health := telemetry.NewHealth()
	var started atomic.Bool
	health.AddReadiness("process", func(context.Context) error {
		switch {
		case ctx.Err() != nil:
			return errors.New("stopping")
		case !started.Load():
			return errors.New("starting")
		}
		return nil
	})

	var admin *httpadmin.Server
	if cfg.Admin.Address != "" {
		if admin, err = httpadmin.New(cfg.Admin.Address, health, metrics, log); err != nil {
			return err
		}
		admin.Page("/version", "version of the program and of the API", jsonPage(func() any { return currentBuild(cfg.InstanceID) }))
		admin.Page("/config", "every option with its value", jsonPage(func() any { return settings(cfg) }))
		log.Info("admin endpoint is up", "address", admin.Addr())
	}

	// The admin endpoint outlives ctx: probes are answered while draining. Its
	// failure stops the server as ctx would, but as an error.
	group, working := errgroup.WithContext(ctx)
	pages, closePages := context.WithCancel(context.WithoutCancel(ctx))
	if admin != nil {
		group.Go(func() error { return admin.Run(pages) })
	}
	group.Go(func() error {
		defer closePages()
		commands, events, err := connect(working, cfg, log)
		if err != nil {
			if ctx.Err() != nil {
				return nil // stopped while starting
			}
			return err
		}
		defer commands.Close()
		defer events.Close()
		observeConnections(metrics, tracing, events, commands)
		health.AddReadiness("nats", events.Check)
		health.AddReadiness("nats commands", commands.Check)
		return serve(working, deps{
			Config: cfg, Log: log, Tracing: tracing, Metrics: metrics,
			Health: health, Admin: admin, NATS: events, Commands: commands, Started: func() { started.Store(true) },
		})
	})
	err = group.Wait()
	if ctx.Err() != nil && (errors.Is(err, context.Cause(ctx)) || errors.Is(err, ctx.Err())) {
		return nil // it only says that it was told to stop
	}
	return err
}

// connect opens the two connections of a server. Commands have one of their
// own, which keeps nothing back: what cannot be sent now must not leave later.
func connect(ctx context.Context, cfg config.Config, log *slog.Logger) (commands, events *natsconn.Conn, err error) {
	nc := natsconn.Config{
		Server: cfg.NATS.Server, Seed: cfg.NATS.Seed, JWT: cfg.NATS.JWT, CredsFile: cfg.NATS.CredsFile,
		TLSCAFile: cfg.NATS.TLSCAFile, Domain: cfg.NATS.JetStreamDomain, InboxPrefix: cfg.NATS.InboxPrefix,
		StartTimeout: cfg.NATS.StartTimeout, Name: "wadm " + cfg.InstanceID,
	}
	if events, err = natsconn.Connect(ctx, nc, log); err != nil {
		return nil, nil, err
	}
	nc.Name, nc.NoBuffer = "wadm commands "+cfg.InstanceID, true
	if commands, err = natsconn.Connect(ctx, nc, log); err != nil {
		events.Close()
		return nil, nil, err
	}
	return commands, events, nil
}

// instanceID names this process: as configured, else after its machine with
// something random, because several may run on one.
func instanceID(cfg config.Config) (string, error) {
	if cfg.InstanceID != "" {
		return cfg.InstanceID, nil
	}
	if cfg.HostID != "" {
		return cfg.HostID, nil
	}
	var random [4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", fmt.Errorf("make up an instance id: %w", err)
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "wadm"
	}
	host = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, host)
	return host[:min(len(host), 50)] + "-" + hex.EncodeToString(random[:]), nil
}

// setting is one line of /config.
type setting struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	Default bool   `json:"default"`
}

// settings lists the configuration in force, secrets masked.
func settings(cfg config.Config) []setting {
	var out []setting
	for _, s := range cfg.Settings() {
		out = append(out, setting{s.Option.Key, s.Value, s.Default})
	}
	return out
}

const intro = "Keeps the applications of wasmCloud lattices as their manifests want them.\n"

// usages are the ways to run the program, for people.
var usages = [][2]string{
	{"wadm [OPTIONS]", "run the server"},
	{"wadm dev", "try it: NATS, server and simulated hosts in one command"},
	{"wadm version", "print the version and how it was built"},
	{"wadm help", "print this help"},
}

func printHelp(w io.Writer) {
	fmt.Fprint(w, intro+"\nUsage:\n")
	for _, u := range usages {
		fmt.Fprintf(w, "  %-18s %s\n", u[0], u[1])
	}
	fmt.Fprint(w, "\n"+config.Help()+`
Exit codes: 0 stopped in order, 1 failed, 2 wrong usage, 6 invalid configuration,
applications of another server that cannot be adopted, or a catalog of applications
that was deleted, 9 NATS not reachable within the start timeout.
`)
}
