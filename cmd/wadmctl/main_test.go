package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"wadm/config/natsconn/natstest"
	"wadm/loadtest/simhost"
)

// asWadmctl makes the test binary behave as the program itself, so that a real
// process can be sent a real signal.
const asWadmctl = "TEST_RUN_AS_WADMCTL"

func TestMain(m *testing.M) {
	if os.Getenv(asWadmctl) != "" {
		main()
	}
	dir, err := os.MkdirTemp("", "wadmctl-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// built is the folder of what is built for the tests.
var built string

// server is the real server, built once.
var server = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(built, "wadm")
	if out, err := exec.Command("go", "build", "-o", bin, "wadm/cmd/wadm").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return bin, nil
})

// world is NATS, a wadm process, and a lattice with hosts in zones a and b.
type world struct {
	t    *testing.T
	nats *natstest.Server
	sim  *simhost.Lattice
	dir  string
}

func newWorld(t *testing.T, opts ...natstest.Option) *world {
	t.Helper()
	w := &world{t: t, nats: natstest.Start(t, opts...), dir: t.TempDir()}
	sim, err := simhost.New(w.nats.Connect(t), "default", simhost.Config{HeartbeatInterval: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	w.sim = sim
	for _, zone := range []string{"a", "b"} {
		if _, err := sim.AddHost(simhost.HostConfig{Labels: map[string]string{"zone": zone}}); err != nil {
			t.Fatal(err)
		}
	}
	bin, err := server()
	if err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	cmd := exec.Command(bin, "-s", w.nats.URL())
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil && !t.Failed() {
			t.Errorf("server ended with %v:\n%s", err, log.String())
		}
		if t.Failed() {
			t.Logf("server:\n%s", log.String())
		}
	})
	w.until("a server answers", func() bool {
		return w.run("version").code == 0 && strings.Contains(w.run("version").stdout, "server answers")
	})
	return w
}

// result is what a call of the program did.
type result struct {
	stdout, stderr string
	code           int
}

// run calls the program in the test's process, connected to the world.
func (w *world) run(args ...string) result {
	return call(w.t.Context(), w.t, "", []string{"WASMCLOUD_CTL_HOST=127.0.0.1", "WASMCLOUD_CTL_PORT=" + w.port()}, args...)
}

func (w *world) port() string {
	return w.nats.URL()[strings.LastIndex(w.nats.URL(), ":")+1:]
}

func call(ctx context.Context, t *testing.T, stdin string, environ []string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := Run(ctx, args, environ, strings.NewReader(stdin), &stdout, &stderr)
	return result{stdout.String(), stderr.String(), code}
}

// file writes a manifest and returns its path.
func (w *world) file(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeoutCause(w.t.Context(), 30*time.Second, errors.New("30 s are over"))
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.t.Fatalf("%s: %v", what, context.Cause(ctx))
		}
	}
}

// lockedBuffer lets a test read what a process writes.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// manifestOf is an application with one component.
func manifestOf(name, version string, instances int, zone string) string {
	return fmt.Sprintf(`apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: %s
  annotations:
    description: an example
    version: %s
spec:
  components:
    - name: web
      type: component
      properties:
        image: registry.example.com/web:1
      traits:
        - type: spreadscaler
          properties:
            instances: %d
            spread:
              - name: there
                requirements:
                  zone: %s
`, name, version, instances, zone)
}
