package archtest_test

import (
	"slices"
	"testing"
)

// callRule forbids uses of names of imported packages, written as
// "path.Name".
type callRule struct {
	name, reason string
	in, except   []string
	forbid       []string
}

var callRules = []callRule{
	{
		name:   "pure packages read no clock and start no timer",
		reason: "now is an argument and later is a result, or decisions could not be replayed",
		in:     pure,
		forbid: []string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc", "time.Tick", "time.NewTicker", "time.NewTimer"},
	},
	{
		name:   "nats.Connect is called in config/natsconn",
		reason: "credentials, liveness and reconnection are decided once",
		in:     []string{"..."},
		except: []string{"config/natsconn/..."},
		forbid: []string{"github.com/nats-io/nats.go.Connect"},
	},
	{
		name:   "the environment is read by commands",
		reason: "everything below is told its configuration and can run twice in one process",
		in:     []string{"..."},
		except: []string{"cmd/..."},
		forbid: []string{"os.Getenv", "os.LookupEnv", "os.Environ", "os.Args", "os.Exit"},
	},
	{
		name:   "signals are received by commands",
		reason: "everything below stops with its context",
		in:     []string{"..."},
		except: []string{"cmd/..."},
		forbid: []string{"os/signal.Notify", "os/signal.NotifyContext"},
	},
	{
		name:   "loggers are handed down",
		reason: "the default logger knows neither tenant nor lattice nor trace, and tests cannot capture it",
		in:     []string{"..."},
		forbid: []string{"log/slog.Default", "log/slog.SetDefault", "log/slog.Debug", "log/slog.Info", "log/slog.Warn", "log/slog.Error",
			"log/slog.InfoContext", "log/slog.WarnContext", "log/slog.ErrorContext", "log/slog.DebugContext"},
	},
	{
		name:   "nothing global is registered",
		reason: "two servers in one process, as in tests and in wadm dev, must not share tracers or metrics",
		in:     []string{"..."},
		forbid: []string{"go.opentelemetry.io/otel.SetTracerProvider", "go.opentelemetry.io/otel.SetTextMapPropagator", "go.opentelemetry.io/otel.SetErrorHandler",
			"github.com/prometheus/client_golang/prometheus.MustRegister", "github.com/prometheus/client_golang/prometheus.Register"},
	},
	{
		name:   "the default HTTP client and mux are not used",
		reason: "the client has no time limit and the mux is open to whoever is linked in",
		in:     []string{"..."},
		forbid: []string{"net/http.Get", "net/http.Post", "net/http.DefaultClient", "net/http.Handle", "net/http.HandleFunc", "net/http.ListenAndServe"},
	},
}

func TestCallsFollowTheRules(t *testing.T) {
	t.Parallel()
	files := parseModule(t)
	for _, r := range callRules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			for _, f := range files {
				if f.test || !matches(f.pkg, r.in) || matches(f.pkg, r.except) {
					continue
				}
				for _, u := range f.uses {
					if slices.Contains(r.forbid, u.path) {
						t.Errorf("%s: %s uses %s\n\trule: %s, because %s", u.pos, f.pkg, u.path, r.name, r.reason)
					}
				}
			}
		})
	}
}

func TestPurePackagesStartNoGoroutine(t *testing.T) {
	t.Parallel()
	for _, f := range parseModule(t) {
		if f.test || !matches(f.pkg, pure) {
			continue
		}
		for _, pos := range f.goroutines {
			t.Errorf("%s: %s starts a goroutine; the caller decides what runs at the same time", pos, f.pkg)
		}
	}
}

func TestNothingIsWiredByInit(t *testing.T) {
	t.Parallel()
	for _, f := range parseModule(t) {
		for _, pos := range f.inits {
			t.Errorf("%s: %s has an init function; wire things in New or in cmd, where they can be seen and done twice", pos, f.pkg)
		}
	}
}
