package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/config"
	"wadm/config/natsconn"
	"wadm/config/natsconn/natstest"
	"wadm/loadtest/simhost"
	"wadm/telemetry/otlp"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

// start runs a server against a NATS server until the test ends or the returned
// function is called.
func start(t *testing.T, url string, log *slog.Logger) (stop func() error) {
	t.Helper()
	return startTraced(t, url, "", log)
}

// startTraced is start with traces sent to endpoint, none if it is empty.
func startTraced(t *testing.T, url, endpoint string, log *slog.Logger) (stop func() error) {
	t.Helper()
	_, stop = startAs(t, "one", url, endpoint, log)
	return stop
}

// startAs is startTraced with a name for the instance, adjusted before it is made.
func startAs(t *testing.T, name, url, endpoint string, log *slog.Logger, adjust ...func(*deps)) (s *server, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	s, shut := opened(ctx, t, name, url, endpoint, log, adjust...)
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel(errors.New("stop"))
		err := <-done
		shut()
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("server ended with %v", err)
		}
	})
	select {
	case <-s.api.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("API not ready")
	}
	return s, stop
}

// simulated starts a server and simulated hosts in the lattice default.
func simulated(t *testing.T, log *slog.Logger, hosts ...simhost.HostConfig) (*nats.Conn, *simhost.Lattice, *api.Client) {
	t.Helper()
	ns := natstest.Start(t)
	nc := ns.Connect(t)
	sim, err := simhost.New(nc, "default", simhost.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	for _, h := range hosts {
		if _, err := sim.AddHost(h); err != nil {
			t.Fatal(err)
		}
	}
	start(t, ns.URL(), log)
	client, err := api.NewClient(nc, api.ClientConfig{Lattice: "default"})
	if err != nil {
		t.Fatal(err)
	}
	return nc, sim, client
}

// opened is a server that does not run yet, and how to close what it is made of.
func opened(ctx context.Context, t *testing.T, name, url, endpoint string, log *slog.Logger, adjust ...func(*deps)) (s *server, shut func()) {
	t.Helper()
	cfg := config.Config{InstanceID: name, NATS: config.NATS{Server: url}}.WithDefaults()
	data, err := natsconn.Connect(ctx, natsconn.Config{Server: url}, log)
	if err != nil {
		t.Fatal(err)
	}
	commands, err := natsconn.Connect(ctx, natsconn.Config{Server: url, NoBuffer: true}, log)
	if err != nil {
		t.Fatal(err)
	}
	tracing, err := otlp.New(ctx, otlp.Config{Endpoint: endpoint}, log)
	if err != nil {
		t.Fatal(err)
	}
	d := deps{Config: cfg, Log: log, Tracing: tracing, NATS: data, Commands: commands}
	for _, f := range adjust {
		f(&d)
	}
	s, err = newServer(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	return s, func() {
		_ = tracing.Shutdown(context.Background())
		data.Close()
		commands.Close()
	}
}

// TestTheFailureOfAPartEndsTheServer: requests that are taken and lattices that
// are owned by a server whose other half is gone are served by nobody.
func TestTheFailureOfAPartEndsTheServer(t *testing.T) {
	t.Parallel()
	s, shut := opened(t.Context(), t, "one", natstest.Start(t).URL(), "", slog.New(slog.DiscardHandler))
	defer shut()
	// An intake runs once, so that the server's own attempt fails.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.intake.Run(ctx); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.run(t.Context()) }()
	select {
	case err := <-done:
		if err == nil {
			t.Error("it ended as if it had been told to")
		}
	case <-time.After(20 * time.Second):
		t.Error("it still runs after 20 s")
	}
}

const hello = `
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: hello
  annotations:
    version: v1
spec:
  components:
    - name: web
      type: component
      properties:
        image: registry.example.com/web:1
      traits:
        - type: spreadscaler
          properties:
            instances: 4
    - name: http
      type: capability
      properties:
        image: registry.example.com/http:1
      traits:
        - type: link
          properties:
            namespace: wasi
            package: http
            interfaces: [incoming-handler]
            target: {name: web}
            source:
              config:
                - name: addr
                  properties: {address: "127.0.0.1:8080"}
`

// TestDeployAndUndeploy is the main job: what is declared runs, what is
// undeclared goes, and the status says so.
func TestDeployAndUndeploy(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	_, sim, client := simulated(t, log, simhost.HostConfig{Labels: map[string]string{"zone": "a"}}, simhost.HostConfig{Labels: map[string]string{"zone": "b"}})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := client.Put(ctx, []byte(hello), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Deploy(ctx, "hello", nil); err != nil {
		t.Fatal(err)
	}
	awaitStatus(ctx, t, client, "hello", tenancy.StatusDeployed)
	n := uint32(0)
	for _, c := range sim.Instances("hello-web") {
		n += c
	}
	if n != 4 || len(sim.Instances("hello-web")) != 2 || len(sim.Providers("hello-http")) != 1 || len(sim.Links()) != 1 || len(sim.Configs()) != 1 {
		t.Fatalf("after deploy: %v %v %v %v", sim.Instances("hello-web"), sim.Providers("hello-http"), sim.Links(), sim.Configs())
	}
	if err := client.Undeploy(ctx, "hello"); err != nil {
		t.Fatal(err)
	}
	awaitStatus(ctx, t, client, "hello", tenancy.StatusUndeployed)
	if len(sim.Instances("hello-web"))+len(sim.Providers("hello-http"))+len(sim.Links())+len(sim.Configs()) != 0 {
		t.Fatalf("after undeploy: %v %v %v %v", sim.Instances("hello-web"), sim.Providers("hello-http"), sim.Links(), sim.Configs())
	}
	if v := sim.Violations(); len(v) > 0 {
		t.Errorf("violations: %v", v)
	}
}

// TestInstancesShareTheLattices: three instances split twelve lattices, each with
// one owner; when one leaves, the others take what it had, and nothing that runs
// is touched.
func TestInstancesShareTheLattices(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	nc := ns.Connect(t)
	const lattices = 12
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var sims []*simhost.Lattice
	for i := range lattices {
		sim, err := simhost.New(nc, fmt.Sprintf("l%d", i), simhost.Config{RequireEpoch: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(sim.Close)
		if _, err := sim.AddHost(simhost.HostConfig{}); err != nil {
			t.Fatal(err)
		}
		sims = append(sims, sim)
	}
	log := slog.New(slog.DiscardHandler)
	servers, stops := map[string]*server{}, map[string]func() error{}
	for _, name := range []string{"one", "two", "three"} {
		servers[name], stops[name] = startAs(t, name, ns.URL(), "", log)
	}
	await := func(what string, cond func() bool) {
		t.Helper()
		for !cond() {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				for n, s := range servers {
					t.Logf("%s owns %d: %+v", n, s.scheduler.Owned(), s.fleet.Status())
				}
				t.Fatal("never: " + what)
			}
		}
	}
	owned := func() (total, least int) {
		least = lattices
		for _, s := range servers {
			total += s.scheduler.Owned()
			least = min(least, s.scheduler.Owned())
		}
		return total, least
	}
	var clients []*api.Client
	for i := range lattices {
		c, err := api.NewClient(nc, api.ClientConfig{Lattice: tenancy.Lattice(fmt.Sprintf("l%d", i))})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Put(ctx, []byte(hello), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Deploy(ctx, "hello", nil); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	await("every lattice has one owner and every instance some", func() bool { total, least := owned(); return total == lattices && least > 0 })
	for _, c := range clients {
		awaitStatus(ctx, t, c, "hello", tenancy.StatusDeployed)
	}
	before := 0
	for _, sim := range sims {
		before += len(sim.Commands())
	}
	if err := stops["two"](); err != nil {
		t.Fatal(err)
	}
	delete(servers, "two")
	await("the others have taken over", func() bool { total, _ := owned(); return total == lattices })
	for i, c := range clients {
		if err := c.Undeploy(ctx, "hello"); err != nil {
			t.Fatal(err)
		}
		awaitStatus(ctx, t, c, "hello", tenancy.StatusUndeployed)
		if v := sims[i].Violations(); len(v) > 0 {
			t.Errorf("lattice %d: %v", i, v)
		}
		if n := len(sims[i].Instances("hello-web")); n > 0 {
			t.Errorf("lattice %d: %d left", i, n)
		}
		for _, r := range sims[i].Commands() {
			if r.Needless {
				t.Errorf("lattice %d: needless %s", i, r.Subject)
			}
		}
	}
}

func awaitStatus(ctx context.Context, t *testing.T, c *api.Client, app string, want tenancy.StatusType) {
	t.Helper()
	var last tenancy.Status
	for ctx.Err() == nil {
		st, err := c.Status(ctx, app)
		if err == nil {
			last = st
			if st.Status.Type == want {
				return
			}
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	t.Fatalf("status of %s is %+v, want %s", app, last, want)
}

// TestRedeployAfterDeleteHasAStatus: deleting an application takes its status
// away; putting and deploying the same one at once brings it back.
func TestRedeployAfterDeleteHasAStatus(t *testing.T) {
	t.Parallel()
	_, _, client := simulated(t, slog.New(slog.DiscardHandler), simhost.HostConfig{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 20 {
		if _, err := client.Put(ctx, []byte(hello), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Deploy(ctx, "hello", nil); err != nil {
			t.Fatal(err)
		}
		awaitStatus(ctx, t, client, "hello", tenancy.StatusDeployed)
		if _, err := client.Delete(ctx, "hello", nil); err != nil {
			t.Fatal(err)
		}
	}
}
