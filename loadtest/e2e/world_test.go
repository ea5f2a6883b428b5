//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/config/natsconn/natstest"
	"wadm/loadtest/process"
	"wadm/scheduler/control"
	"wadm/scheduler/lattice"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

const (
	// heartbeat of the hosts. They take whole seconds.
	heartbeat = 5 * time.Second
	// patience is how long hosts may take that compile on a busy machine.
	patience = 5 * time.Minute
	// commandDeadline is short, because a scenario waits for it; a component must
	// still compile within it.
	commandDeadline = 75 * time.Second
)

var (
	realDir string // with the real programs
	wadmBin string // the server under test
)

func TestMain(m *testing.M) { os.Exit(prepareAndRun(m)) }

func prepareAndRun(m *testing.M) int {
	realDir = os.Getenv("REAL")
	if realDir == "" {
		fmt.Fprintln(os.Stderr, "e2e: NOT RUN: the variable REAL names no folder with the real programs wasmcloud, wadm-upstream and wash")
		return 1
	}
	for _, name := range []string{"wasmcloud", "wadm-upstream", "wash", "components/hello1.wasm", "components/hello2.wasm", "components/tiny1.wasm", "components/tiny2.wasm", "components/http-server.par.gz"} {
		if _, err := os.Stat(filepath.Join(realDir, name)); err != nil {
			fmt.Fprintf(os.Stderr, "e2e: NOT RUN: REAL is %s: %v\n", realDir, err)
			return 1
		}
	}
	dir, err := os.MkdirTemp("", "wadm-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if wadmBin, err = process.Build(context.Background(), dir, false); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// image is the reference of a component's file.
func image(name string) string { return "file://" + filepath.Join(realDir, "components", name) }

// world is everything a story happens in.
type world struct {
	ctx     context.Context
	nats    *natstest.Server
	nc      *nats.Conn
	control *control.Client
	client  *api.Client
	wadm    *process.Process
	// hosts are those that should be alive, by the name this test gave them.
	hosts map[string]*host
	born  int
	web   string // address of the HTTP server
}

// host is one real host.
type host struct {
	*process.Process
	name, zone string
	id         lattice.HostID
}

var key = tenancy.LatticeKey{Tenant: tenancy.DefaultTenant, Lattice: "default"}

func newWorld(t *testing.T) *world {
	t.Helper()
	s := natstest.Start(t)
	w := &world{ctx: t.Context(), nats: s, nc: s.Connect(t), hosts: map[string]*host{}, web: freeAddress(t)}
	var err error
	if w.control, err = control.New(w.nc, control.Config{Instance: "e2e"}); err != nil {
		t.Fatal(err)
	}
	if w.client, err = api.NewClient(w.nc, api.ClientConfig{}); err != nil {
		t.Fatal(err)
	}
	return w
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (w *world) port() string {
	_, port, _ := strings.Cut(strings.TrimPrefix(w.nats.URL(), "nats://"), ":")
	return port
}

// run starts a program that ends with the whole story, and shows the end of what
// it wrote if that fails. t must be the story's own.
func (w *world) run(t *testing.T, what string, c process.Command) *process.Process {
	t.Helper()
	p, err := process.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			out := p.Output()
			if len(out) > 20_000 {
				out = "…" + out[len(out)-20_000:]
			}
			t.Logf("%s wrote:\n%s", what, out)
		}
	})
	return p
}

// startWadm starts the server and waits until it answers.
func (w *world) startWadm(t *testing.T) {
	t.Helper()
	w.wadm = w.run(t, "wadm", process.Command{Path: wadmBin, Args: []string{
		"-s", w.nats.URL(), "--instance-id", "one", "--command-deadline", commandDeadline.String(),
	}})
	w.eventually(t, time.Minute, "wadm answers", func() error {
		_, err := w.client.List(w.ctx)
		return err
	})
}

// startHost starts a host and waits until it can be asked.
func (w *world) startHost(t *testing.T, name, zone string) *host {
	t.Helper()
	w.born++
	h := &host{name: name, zone: zone}
	birth := fmt.Sprint(w.born)
	h.Process = w.run(t, "host "+name, process.Command{
		Path: filepath.Join(realDir, "wasmcloud"),
		Args: []string{
			"--nats-host", "127.0.0.1", "--nats-port", w.port(), "--lattice", "default", "--allow-file-load",
			"--label", "zone=" + zone, "--label", "birth=" + birth,
			"--heartbeat-interval-seconds", fmt.Sprint(int(heartbeat / time.Second)), "--feature", "builtin-http-server",
		},
		Dir: t.TempDir(),
	})
	w.eventually(t, time.Minute, "host "+name+" is there", func() error {
		ids, err := w.control.Ping(w.ctx, key, nil)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if inv, err := w.control.Inventory(w.ctx, key, id); err == nil && inv.Labels["birth"] == birth {
				h.id = id
				return nil
			}
		}
		return fmt.Errorf("none of %d hosts", len(ids))
	})
	w.hosts[name] = h
	return h
}

// eventually asks ok again and again until it returns nil, and returns how long
// that took.
func (w *world) eventually(t *testing.T, limit time.Duration, what string, ok func() error) time.Duration {
	t.Helper()
	start := time.Now()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		err := ok()
		if err == nil {
			return time.Since(start)
		}
		again := time.NewTimer(100 * time.Millisecond)
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		case <-w.ctx.Done():
			t.Fatalf("%s: %v; last: %v", what, context.Cause(w.ctx), err)
		}
	}
}

// inventory asks a host; one that compiles does not answer.
func (w *world) inventory(name string) (lattice.Inventory, error) {
	h := w.hosts[name]
	if h == nil {
		return lattice.Inventory{}, fmt.Errorf("host %s is not there", name)
	}
	inv, err := w.control.Inventory(w.ctx, key, h.id)
	if err != nil {
		return inv, fmt.Errorf("host %s: %w", name, err)
	}
	return inv, nil
}

// spread tells where a component runs: the count by host, of one image.
func (w *world) spread(id lattice.WorkloadID, image string) (map[string]uint32, error) {
	out := map[string]uint32{}
	for name := range w.hosts {
		inv, err := w.inventory(name)
		if err != nil {
			return nil, err
		}
		for _, c := range inv.Components {
			if c.ID != id {
				continue
			}
			if c.Image != image {
				return nil, fmt.Errorf("host %s runs image %s of %s", name, c.Image, id)
			}
			out[name] = c.Max
		}
	}
	return out, nil
}

// runs is nil when a component runs with exactly these counts.
func (w *world) runs(id lattice.WorkloadID, image string, want map[string]uint32) error {
	got, err := w.spread(id, image)
	if err != nil {
		return err
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		return fmt.Errorf("%s runs as %v, want %v", id, got, want)
	}
	return nil
}

// status is nil when an application has a status.
func (w *world) status(app string, want tenancy.StatusType) error {
	st, err := w.client.Status(w.ctx, app)
	if err != nil {
		return err
	}
	if st.Status.Type != want {
		return fmt.Errorf("status of %s is %s %q", app, st.Status.Type, st.Status.Message)
	}
	return nil
}

func (w *world) awaitStatus(t *testing.T, limit time.Duration, app string, want tenancy.StatusType) time.Duration {
	t.Helper()
	return w.eventually(t, limit, app+" is "+string(want), func() error { return w.status(app, want) })
}

// apply puts and deploys a manifest.
func (w *world) apply(t *testing.T, doc string) {
	t.Helper()
	var put api.PutResult
	w.eventually(t, 30*time.Second, "put", func() (err error) {
		put, err = w.client.Put(w.ctx, []byte(doc), "application/yaml")
		if errors.Is(err, api.ErrInvalid) || errors.Is(err, api.ErrExists) {
			t.Fatal(err)
		}
		return err
	})
	w.eventually(t, 30*time.Second, "deploy", func() error {
		_, err := w.client.Deploy(w.ctx, put.Name, &put.Version)
		return err
	})
}

func (w *world) undeploy(t *testing.T, app string) {
	t.Helper()
	w.eventually(t, 30*time.Second, "undeploy", func() error { return w.client.Undeploy(w.ctx, app) })
}

// nothingOf is nil when hosts, links and configurations show nothing of an
// application.
func (w *world) nothingOf(app string) error {
	mine := func(id string) bool { return strings.HasPrefix(id, app+"-") }
	for name := range w.hosts {
		inv, err := w.inventory(name)
		if err != nil {
			return err
		}
		for _, c := range inv.Components {
			if mine(string(c.ID)) {
				return fmt.Errorf("component %s is left on %s", c.ID, name)
			}
		}
		for _, p := range inv.Providers {
			if mine(string(p.ID)) {
				return fmt.Errorf("provider %s is left on %s", p.ID, name)
			}
		}
	}
	links, err := w.control.Links(w.ctx, key)
	if err != nil {
		return err
	}
	for _, l := range links {
		if mine(string(l.Source)) || mine(string(l.Target)) {
			return fmt.Errorf("link %+v is left", l)
		}
	}
	names, err := w.configs()
	if err != nil {
		return err
	}
	for _, n := range names {
		if mine(n) {
			return fmt.Errorf("configuration %s is left", n)
		}
	}
	return nil
}

// configs lists the configurations in the hosts' own bucket.
func (w *world) configs() ([]string, error) {
	js, err := w.nc.JetStream()
	if err != nil {
		return nil, err
	}
	kv, err := js.KeyValue("CONFIGDATA_default")
	if err != nil {
		return nil, err
	}
	names, err := kv.Keys()
	if errors.Is(err, nats.ErrNoKeysFound) {
		return nil, nil
	}
	return names, err
}
