package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config"
	"wadm/config/natsconn"
	"wadm/config/natsconn/natstest"
	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
	"wadm/telemetry/otlp"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

// world is a whole installation in a bubble: NATS, one lattice of simulated
// hosts, and servers that come and go. Time passes only while everything waits.
type world struct {
	t      *testing.T
	nats   *natstest.Server
	nc     *nats.Conn
	js     jetstream.JetStream
	sim    *simhost.Lattice
	client *api.Client
	log    *slog.Logger
}

// aloneFor names the test that a process of its own was started for.
const aloneFor = "TEST_ALONE"

// alone tells whether this process is the test's own, and if not, runs the test in
// one: the client library shares timers within a process, and a timer of one
// bubble must not come into another.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(aloneFor) == t.Name() {
		return true
	}
	exact := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+exact, "-test.timeout=3m", fmt.Sprintf("-test.v=%t", testing.Verbose()))
	cmd.Env = append(os.Environ(), aloneFor+"="+t.Name())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("in a process of its own: %v\n%s", err, out)
	} else if testing.Verbose() {
		t.Logf("%s", out)
	}
	return false
}

// inBubble runs fn in a world without hosts and without servers.
func inBubble(t *testing.T, cfg simhost.Config, fn func(*world), opts ...natstest.Option) {
	t.Helper()
	if !alone(t) {
		return
	}
	natstest.Bubble(t, func(t *testing.T, srv *natstest.Server) {
		w := &world{t: t, nats: srv, nc: srv.Connect(t), js: srv.JetStream(t), log: slog.New(slog.DiscardHandler)}
		if testing.Verbose() {
			w.log = slog.New(slog.NewTextHandler(os.Stderr, nil))
		}
		var err error
		if w.sim, err = simhost.New(w.nc, "default", cfg); err != nil {
			t.Fatal(err)
		}
		defer w.sim.Close()
		if w.client, err = api.NewClient(w.nc, api.ClientConfig{Lattice: "default"}); err != nil {
			t.Fatal(err)
		}
		fn(w)
	}, opts...)
}

// up starts a server, adjusted before it runs; the returned function stops it in order.
func (w *world) up(name string, adjust ...func(*server)) (in *upServer, down func()) {
	w.t.Helper()
	cfg := config.Config{InstanceID: name, Storage: config.Storage{Persistence: "memory"}}.WithDefaults()
	connect := func(noBuffer bool) *natsconn.Conn {
		c, err := natsconn.Connect(w.t.Context(), natsconn.Config{Server: "nats://in.process", InProcess: w.nats.NATS(), NoBuffer: noBuffer}, w.log)
		if err != nil {
			w.t.Fatal(err)
		}
		return c
	}
	data, commands := connect(false), connect(true)
	tracing, err := otlp.New(w.t.Context(), otlp.Config{}, w.log)
	if err != nil {
		w.t.Fatal(err)
	}
	d := deps{Config: cfg, Log: w.log.With("instance", name), Tracing: tracing, NATS: data, Commands: commands}
	s, err := newServer(w.t.Context(), d)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range adjust {
		f(s)
	}
	ctx, cancel := context.WithCancelCause(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	stopped, crashed := false, false
	down = func() {
		w.t.Helper()
		if stopped {
			return
		}
		stopped = true
		cancel(errors.New("stop"))
		if err := <-done; err != nil && !crashed {
			w.t.Errorf("server %s ended with %v", name, err)
		}
		data.Close()
		commands.Close()
	}
	w.t.Cleanup(down)
	<-s.api.Ready()
	in = &upServer{server: s, deps: d, crash: func() {
		// Nothing of what it would still like to say gets out.
		data.Close()
		commands.Close()
		crashed = true
	}}
	return in, down
}

// upServer is a server that runs.
type upServer struct {
	*server
	deps deps
	// crash cuts it off from everything for ever; it must be stopped afterwards.
	crash func()
}

// host adds a host in a zone.
func (w *world) host(zone string) *simhost.Host {
	w.t.Helper()
	h, err := w.sim.AddHost(simhost.HostConfig{Labels: map[string]string{"zone": zone}})
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// within waits in the bubble's time until ok returns nil.
func (w *world) within(limit time.Duration, what string, ok func() error) {
	w.t.Helper()
	end := time.Now().Add(limit)
	for {
		err := ok()
		if err == nil {
			return
		}
		if !time.Now().Before(end) {
			w.t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		time.Sleep(100 * time.Millisecond) // of the bubble
	}
}

// want waits until count instances of the component run in each zone, and the
// application's status says that it is deployed.
func (w *world) want(limit time.Duration, app, component string, zones map[string]uint32) {
	w.t.Helper()
	w.within(limit, "instances of "+component, func() error {
		have := map[string]uint32{}
		for id, n := range w.sim.Instances(lattice.WorkloadID(component)) {
			if h := w.sim.Host(id); h != nil {
				have[h.Inventory().Labels["zone"]] += n
			}
		}
		if fmt.Sprint(have) != fmt.Sprint(zones) {
			return fmt.Errorf("%v, want %v", have, zones)
		}
		return nil
	})
	w.status(limit, app, tenancy.StatusDeployed)
}

func (w *world) status(limit time.Duration, app string, want tenancy.StatusType) {
	w.t.Helper()
	w.within(limit, "status of "+app, func() error {
		st, err := w.client.Status(w.t.Context(), app)
		if err == nil && st.Status.Type != want {
			err = fmt.Errorf("%+v, want %s", st.Status, want)
		}
		return err
	})
}

// deploy puts and deploys a manifest.
func (w *world) deploy(name, manifest string) {
	w.t.Helper()
	if _, err := w.client.Put(w.t.Context(), []byte(manifest), ""); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.client.Deploy(w.t.Context(), name, nil); err != nil {
		w.t.Fatal(err)
	}
}

// zoned is an application of one component with n instances in each of the zones.
func zoned(name string, n int, zones ...string) string {
	m := fmt.Sprintf(`
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: %s}
spec:
  components:
    - name: web
      type: component
      properties: {image: "registry.example.com/%s:1"}
      traits:
        - type: spreadscaler
          properties:
            instances: %d
            spread:
`, name, name, n*len(zones))
	for _, z := range zones {
		m += fmt.Sprintf("              - {name: %s, requirements: {zone: %s}}\n", z, z)
	}
	return m
}

func (w *world) spotless() {
	w.t.Helper()
	for _, v := range w.sim.Violations() {
		w.t.Errorf("violation: %v", v)
	}
}
