package process_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"wadm/config/natsconn/natstest"
	"wadm/loadtest/process"
	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

// binary is the server, built once for all tests not for -short.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	if testing.Short() {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "wadm-process-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if binary, err = process.Build(context.Background(), dir, raced); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// patience is how long an outcome may take on a machine that does much else.
const patience = 90 * time.Second

// rig is a NATS server and the servers under test.
type rig struct {
	t    *testing.T
	ctx  context.Context
	nats *natstest.Server
	nc   *nats.Conn
}

func newRig(t *testing.T, opts ...natstest.Option) *rig {
	t.Helper()
	if testing.Short() {
		t.Skip("runs real servers, which takes minutes")
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 2*patience, errors.New("the test took too long"))
	t.Cleanup(cancel)
	s := natstest.Start(t, opts...)
	return &rig{t: t, ctx: ctx, nats: s, nc: s.Connect(t)}
}

// instance is one running server.
type instance struct {
	*process.Process
	admin string
}

var adminAddress = regexp.MustCompile(`admin endpoint is up.* address=(\S+)`)

// launch starts a server and does not wait until it is ready.
func (r *rig) launch(id string, args ...string) *instance {
	r.t.Helper()
	all := append([]string{"-s", r.nats.URL(), "--instance-id", id, "--http-admin", "127.0.0.1:0"}, args...)
	p, err := process.Start(process.Command{Path: binary, Args: all})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		p.Kill()
		out := p.Output()
		for _, bad := range []string{"DATA RACE", "panic", "goroutine 1 ["} {
			if strings.Contains(out, bad) {
				r.t.Errorf("instance %s says %q", id, bad)
			}
		}
		if r.t.Failed() {
			r.t.Logf("log of %s:\n%s", id, clip(out))
		}
	})
	return &instance{Process: p}
}

// clip keeps the end of a long log.
func clip(s string) string {
	const most = 24 << 10
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}

// start starts a server and waits until it is ready.
func (r *rig) start(id string, args ...string) *instance {
	r.t.Helper()
	in := r.launch(id, args...)
	r.ready(in)
	return in
}

func (r *rig) ready(in *instance) {
	r.t.Helper()
	m, err := in.Await(r.ctx, adminAddress)
	if err != nil {
		r.t.Fatalf("%v; log:\n%s", err, clip(in.Output()))
	}
	in.admin = "http://" + m[1]
	r.eventually("instance is ready", func() error {
		if status, body := r.get(in.admin + "/readyz"); status != http.StatusOK {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
}

// stop asks a server to stop in order and returns its exit code.
func (r *rig) stop(in *instance, sig os.Signal) int {
	r.t.Helper()
	if err := in.Signal(sig); err != nil {
		r.t.Fatal(err)
	}
	code, err := in.Wait(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	return code
}

// get reads a page; a connection that fails is status 0.
func (r *rig) get(url string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.ctx, http.MethodGet, url, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(body)
}

// metric reads a counter of an instance, summed over its labels.
func (r *rig) metric(in *instance, name string) float64 {
	r.t.Helper()
	status, body := r.get(in.admin + "/metrics")
	if status != http.StatusOK {
		r.t.Fatalf("metrics: %d %s", status, body)
	}
	found, sum := false, 0.0
	for line := range strings.Lines(body) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		fields := strings.Fields(line)
		v, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err != nil {
			r.t.Fatal(err)
		}
		found, sum = true, sum+v
	}
	if !found {
		r.t.Fatalf("no metric %s", name)
	}
	return sum
}

// eventually asks ok again and again until it returns nil.
func (r *rig) eventually(what string, ok func() error) {
	r.t.Helper()
	r.within(patience, what, ok)
}

func (r *rig) within(limit time.Duration, what string, ok func() error) {
	r.t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		again := time.NewTimer(20 * time.Millisecond)
		select {
		case <-again.C:
		case <-deadline.C:
			r.t.Fatalf("%s: not within %v: %v", what, limit, err)
		case <-r.ctx.Done():
			r.t.Fatalf("%s: %v; last: %v", what, context.Cause(r.ctx), err)
		}
	}
}

// lattice makes a simulated lattice with hosts in zones a, b, a, b, …
func (r *rig) lattice(name string, hosts int, cfg simhost.Config) *simhost.Lattice {
	r.t.Helper()
	l, err := simhost.New(r.nc, name, cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(l.Close)
	for i := range hosts {
		zone := string(rune('a' + i%2))
		if _, err := l.AddHost(simhost.HostConfig{Labels: map[string]string{"zone": zone}}); err != nil {
			r.t.Fatal(err)
		}
	}
	return l
}

func (r *rig) client(lattice string) *api.Client {
	r.t.Helper()
	c, err := api.NewClient(r.nc, api.ClientConfig{Lattice: tenancy.Lattice(lattice)})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// insist repeats a request that a server or its absence keeps from being
// answered; what the server refuses is the test's mistake.
func (r *rig) insist(what string, ask func(context.Context) error) {
	r.t.Helper()
	r.eventually(what, func() error {
		ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
		defer cancel()
		err := ask(ctx)
		if errors.Is(err, api.ErrInvalid) || errors.Is(err, api.ErrNotFound) {
			r.t.Fatalf("%s: %v", what, err)
		}
		return err
	})
}

func (r *rig) put(c *api.Client, doc string) {
	r.t.Helper()
	r.insist("put", func(ctx context.Context) error {
		_, err := c.Put(ctx, []byte(doc), "application/yaml")
		if errors.Is(err, api.ErrExists) {
			return nil // an earlier try arrived
		}
		return err
	})
}

func (r *rig) deploy(c *api.Client, app string) {
	r.t.Helper()
	r.insist("deploy", func(ctx context.Context) error { _, err := c.Deploy(ctx, app, nil); return err })
}

func (r *rig) undeploy(c *api.Client, app string) {
	r.t.Helper()
	r.insist("undeploy", func(ctx context.Context) error { return c.Undeploy(ctx, app) })
}

func (r *rig) awaitStatus(c *api.Client, app string, want tenancy.StatusType) {
	r.t.Helper()
	r.eventually(app+" is "+string(want), func() error {
		ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
		defer cancel()
		st, err := c.Status(ctx, app)
		if err == nil && st.Status.Type != want {
			err = fmt.Errorf("status is %+v", st)
		}
		return err
	})
}

// web is an application with everything in it: n components over two zones,
// a provider, a link and configurations.
func web(n int) string {
	var b strings.Builder
	b.WriteString(`apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: web
  annotations: {version: v1}
spec:
  components:
`)
	for i := range n {
		fmt.Fprintf(&b, `    - name: c%d
      type: component
      properties:
        image: registry.example.com/c%d:1
        config: [{name: settings%d, properties: {number: "%d"}}]
      traits:
        - type: spreadscaler
          properties:
            instances: 4
            spread:
              - {name: east, weight: 50, requirements: {zone: a}}
              - {name: west, weight: 50, requirements: {zone: b}}
`, i, i, i, i)
	}
	b.WriteString(`    - name: http
      type: capability
      properties: {image: registry.example.com/http:1}
      traits:
        - type: spreadscaler
          properties:
            instances: 2
            spread:
              - {name: east, weight: 50, requirements: {zone: a}}
              - {name: west, weight: 50, requirements: {zone: b}}
`)
	for i := range n {
		fmt.Fprintf(&b, `        - type: link
          properties:
            namespace: wasi
            package: http
            interfaces: [incoming-handler]
            name: l%d
            target: {name: c%d}
            source: {config: [{name: address%d, properties: {address: "127.0.0.1:80%02d"}}]}
`, i, i, i, i)
	}
	return b.String()
}

// whole says what is missing until web(n) runs as wanted on hosts of two zones.
func whole(l *simhost.Lattice, n int) error {
	for i := range n {
		id := lattice.WorkloadID(fmt.Sprintf("web-c%d", i))
		zones := map[string]uint32{}
		for host, count := range l.Instances(id) {
			if h := l.Host(host); h != nil {
				zones[h.Inventory().Labels["zone"]] += count
			}
		}
		if diff := cmp.Diff(map[string]uint32{"a": 2, "b": 2}, zones); diff != "" {
			return fmt.Errorf("instances of %s by zone:\n%s", id, diff)
		}
	}
	if on := l.Providers("web-http"); len(on) != 2 {
		return fmt.Errorf("provider runs on %v", on)
	}
	links := slices.DeleteFunc(l.Links(), func(k lattice.Link) bool { return k.Name == "foreign" })
	if len(links) != n {
		return fmt.Errorf("links are %v", links)
	}
	configs := l.Configs()
	delete(configs, "foreign")
	if len(configs) != 2*n {
		return fmt.Errorf("configurations are %v", slices.Sorted(maps.Keys(configs)))
	}
	return nil
}

// bare says what is left of managed work, links and configurations.
func bare(l *simhost.Lattice) error {
	for _, h := range l.Hosts() {
		inv := h.Inventory()
		for _, c := range inv.Components {
			if c.Annotations[lattice.AnnotationManagedBy] != "" {
				return fmt.Errorf("component %s is left on %s", c.ID, h.ID())
			}
		}
		for _, p := range inv.Providers {
			if p.Annotations[lattice.AnnotationManagedBy] != "" {
				return fmt.Errorf("provider %s is left on %s", p.ID, h.ID())
			}
		}
	}
	for _, k := range l.Links() {
		if k.Name != "foreign" {
			return fmt.Errorf("link %+v is left", k)
		}
	}
	for name := range l.Configs() {
		if name != "foreign" {
			return fmt.Errorf("configuration %s is left", name)
		}
	}
	return nil
}

// seedForeign gives a host work of somebody else, which nobody may touch.
func seedForeign(t *testing.T, l *simhost.Lattice) {
	t.Helper()
	h := l.Hosts()[0]
	for _, err := range []error{
		h.StartComponent(lattice.Component{ID: "foreign", Image: "registry.example.com/foreign:1", Max: 3}),
		h.StartProvider(lattice.Provider{ID: "foreign-provider", Image: "registry.example.com/foreign-provider:1"}),
		l.SeedLink(lattice.Link{Source: "foreign-provider", Target: "foreign", Namespace: "wasi", Package: "http", Name: "foreign", Interfaces: []string{"incoming-handler"}}),
		l.SeedConfig("foreign", map[string]string{"of": "somebody else"}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// spotless fails the test on anything no scheduler may do.
func spotless(t *testing.T, l *simhost.Lattice) {
	t.Helper()
	for _, v := range l.Violations() {
		t.Errorf("lattice %s: violation: %v", l.Name(), v)
	}
	if s := l.Stats(); s.Lost > 0 {
		t.Errorf("lattice %s lost %d requests; the test proves nothing", l.Name(), s.Lost)
	}
}
