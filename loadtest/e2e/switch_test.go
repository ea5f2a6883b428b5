//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"wadm/loadtest/process"
	"wadm/scheduler/lattice"
	"wadm/tenancy"
)

// diary is what hosts told: every event that tells of a change, and how often each
// host has spoken since the last one. Hosts tell of a command that changes nothing
// as well, so where nothing is told nothing was asked for.
type diary struct {
	mu      sync.Mutex
	changes []string
	beats   map[lattice.HostID]int
}

func (w *world) startDiary(t *testing.T) *diary {
	t.Helper()
	d := &diary{beats: map[lattice.HostID]int{}}
	if _, err := w.nc.Subscribe("wasmbus.evt.default.>", func(m *nats.Msg) { d.note(m.Data) }); err != nil {
		t.Fatal(err)
	}
	if err := w.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *diary) note(data []byte) {
	ev, err := lattice.DecodeEvent(data)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err != nil:
		d.changes = append(d.changes, err.Error())
	case ev.Kind == lattice.HostHeartbeat:
		d.beats[ev.Host]++
		return
	case ev.Kind == lattice.HealthCheckPassed || ev.Kind == lattice.HealthCheckStatus:
		return
	default:
		d.changes = append(d.changes, string(data))
	}
	clear(d.beats)
}

// since returns the changes after the first n.
func (d *diary) since(n int) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.changes[n:])
}

// again makes the count of heartbeats begin anew.
func (d *diary) again() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.beats)
}

// quiet is nil when every host has spoken n times since the last change.
func (d *diary) quiet(w *world, n int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, h := range w.hosts {
		if d.beats[h.id] < n {
			return fmt.Errorf("host %s has spoken %d times since the last of %d changes", name, d.beats[h.id], len(d.changes))
		}
	}
	return nil
}

// mixedApp is what a server might want otherwise than upstream has it: a component
// without a spread, of which upstream gives all instances to one host, shares that
// do not come out even, one component on every host, a link with a name and
// configurations at both ends, and a provider with a process of its own.
func mixedApp(version, file string, instances int) string {
	return fmt.Sprintf(`apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: mixed-app
  annotations: {version: %q, description: "left by upstream"}
spec:
  components:
    - name: heap
      type: component
      properties: {image: %[2]q}
      traits:
        - {type: spreadscaler, properties: {instances: %[3]d}}
        - type: link
          properties:
            name: spare
            namespace: wasi
            package: keyvalue
            interfaces: [atomics, store]
            source: {config: [{name: from, properties: {n: "1"}}]}
            target: {name: each, config: [{name: to, properties: {n: "2"}}, {name: also, properties: {n: "3"}}]}
    - name: uneven
      type: component
      properties: {image: %[2]q, id: some-id}
      traits:
        - type: spreadscaler
          properties:
            instances: %[3]d
            spread: [{name: east, weight: 3, requirements: {zone: a}}, {name: west, weight: 2, requirements: {zone: b}}]
    - name: each
      type: component
      properties: {image: %[2]q, config: [{name: each, properties: {n: %[1]q}}]}
      traits: [{type: daemonscaler, properties: {instances: 2}}]
    - name: server
      type: capability
      properties: {image: %[4]q, config: [{name: server, properties: {n: "1"}}]}
      traits: [{type: spreadscaler, properties: {instances: 1, spread: [{name: one, requirements: {zone: a}}]}}]
`, version, image(file), instances, image("http-server.par.gz"))
}

const (
	mixed   = "mixed-app"
	mixedID = "mixed_app" // begins the ids of its parts
)

const draftApp = `apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: draft
  annotations: {version: "1"}
spec:
  components:
    - name: c
      type: component
      properties: {image: registry.example.com/c:1}
      traits: [{type: spreadscaler, properties: {instances: 1}}]
`

// switching is an installation that changes its server.
type switching struct {
	*story
	diary *diary
	admin string // address of our HTTP pages
	// what upstream and the hosts said before the first switch.
	answers map[string]any
	bucket  map[string]string
	hosted  []lattice.Inventory
	links   []lattice.Link
	configs []string
	pid     int // of the provider's process
}

// TestRealSwitchFromUpstream deploys with upstream's server, goes over to ours, back
// and over again. Only what is then deployed and undeployed changes anything.
func TestRealSwitchFromUpstream(t *testing.T) {
	w := newWorld(t)
	s := &switching{
		story: &story{world: w, t: t, where: map[string]uint32{"a1": 2, "b1": 2},
			app: helloApp{version: "b", image: image("hello1.wasm"), instances: 4, level: "low", address: w.web}},
		diary: w.startDiary(t),
		admin: freeAddress(t),
	}
	for _, chapter := range []struct {
		name string
		play func(*testing.T)
	}{
		{"upstream deploys", s.upstreamDeploys},
		{"ours takes over", s.goesOver},
		{"upstream takes over again", s.goesBack},
		{"ours takes over again", s.goesOver},
		{"ours deploys the other version", s.deploysOther},
		{"ours undeploys", s.undeploysAll},
	} {
		at := time.Now()
		if !t.Run(chapter.name, chapter.play) {
			t.Fatal("the story ends here: what follows builds on this")
		}
		t.Logf("%s: %v", chapter.name, time.Since(at).Round(100*time.Millisecond))
	}
}

// startUpstream starts upstream's server and waits until it answers.
func (s *switching) startUpstream(t *testing.T) {
	t.Helper()
	s.wadm = s.run(s.t, "upstream", process.Command{
		Path: filepath.Join(realDir, "wadm-upstream"), Args: []string{"-s", "127.0.0.1:" + s.port()},
		Env: []string{"RUST_BACKTRACE=0"}, Dir: s.t.TempDir(),
	})
	s.answered(t)
}

func (s *switching) startOurs(t *testing.T) {
	t.Helper()
	s.wadm = s.run(s.t, "wadm", process.Command{Path: wadmBin, Args: []string{
		"-s", "127.0.0.1:" + s.port(), "--http-admin", s.admin, "--command-deadline", commandDeadline.String(),
	}})
	s.answered(t)
}

func (s *switching) answered(t *testing.T) {
	t.Helper()
	s.eventually(t, time.Minute, "the server answers", func() error {
		_, err := s.client.List(s.ctx)
		return err
	})
}

// stop stops the server in order.
func (s *switching) stop(t *testing.T) (code int) {
	t.Helper()
	if err := s.wadm.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	code, err := s.wadm.Wait(ctx)
	if err != nil {
		t.Fatalf("the server did not stop: %v", err)
	}
	return code
}

// calm waits until every host has spoken n times without telling of a change.
func (s *switching) calm(t *testing.T, n int) {
	t.Helper()
	s.eventually(t, patience, "the hosts tell of no more changes", func() error { return s.diary.quiet(s.world, n) })
}

func (s *switching) upstreamDeploys(t *testing.T) {
	s.startUpstream(t)
	s.startHost(s.t, "a1", "a")
	s.startHost(s.t, "b1", "b")
	// It places nothing on hosts that it has not heard of.
	s.calm(t, 2)
	s.apply(t, mixedApp("1", "tiny1.wasm", 4))
	s.awaitStatus(t, patience, mixed, tenancy.StatusDeployed)
	s.apply(t, mixedApp("2", "tiny2.wasm", 7))
	s.eventually(t, patience, "the second version runs", func() error {
		return s.runs(mixedID+"-each", image("tiny2.wasm"), map[string]uint32{"a1": 2, "b1": 2})
	})
	// Last, because hosts that compile answer nobody.
	s.apply(t, s.app.String())
	other := s.app
	other.version, other.instances, other.level = "a", 6, "high"
	for _, doc := range []string{other.String(), draftApp} {
		if _, err := s.client.Put(s.ctx, []byte(doc), "application/yaml"); err != nil {
			t.Fatal(err)
		}
	}
	s.eventually(t, patience, "everything runs", func() error {
		if err := s.runs(webID, s.app.image, s.where); err != nil {
			return err
		}
		inv, err := s.inventory("a1")
		if err == nil && len(inv.Providers) != 2 {
			err = fmt.Errorf("providers are %+v", inv.Providers)
		}
		return err
	})
	for _, app := range []string{"hello", mixed} {
		s.awaitStatus(t, time.Minute, app, tenancy.StatusDeployed)
	}
	s.calm(t, 2)
	for _, app := range []string{"hello", mixed} {
		s.awaitStatus(t, time.Minute, app, tenancy.StatusDeployed)
	}
	client := &http.Client{Timeout: 30 * time.Second}
	s.eventually(t, time.Minute, "hello answers", func() error {
		body, err := fetch(client, s.url())
		if err == nil && body != s.greeting() {
			err = fmt.Errorf("the answer is %q", body)
		}
		return err
	})
	s.pid = s.providerProcess(t, 0)
	s.answers, s.bucket = s.ask(t), s.stored(t)
	s.hosted, s.links, s.configs = s.observed(t)
	for _, id := range []lattice.WorkloadID{mixedID + "-heap", "some-id"} {
		where, err := s.spread(id, image("tiny2.wasm"))
		t.Logf("%s runs as %v, %v", id, where, err)
	}
	t.Logf("%d changes were told of; %d links, configurations %v", len(s.diary.since(0)), len(s.links), s.configs)
	var order []string
	versions, err := s.client.Versions(s.ctx, "hello")
	for _, v := range versions {
		order = append(order, fmt.Sprintf("%s %v", v.Version, v.Deployed))
	}
	if want := []string{"b true", "a false"}; err != nil || !slices.Equal(order, want) {
		t.Errorf("upstream says versions are %v, want %v: %v", order, want, err)
	}
}

// ask asks the server for everything that may be read.
func (s *switching) ask(t *testing.T) map[string]any {
	t.Helper()
	out := map[string]any{}
	for _, q := range [][2]string{
		{"list"}, {"get"}, {"get.hello"}, {"get.hello", `{"version":"a"}`}, {"get.hello", `{"version":"b"}`}, {"get.hello", `{"version":"c"}`},
		{"get." + mixed}, {"get.draft"}, {"get.none"}, {"versions.hello"}, {"versions." + mixed}, {"versions.draft"},
		{"status.hello"}, {"status." + mixed},
	} {
		m, err := s.nc.RequestWithContext(s.ctx, "wadm.api.default.model."+q[0], []byte(q[1]))
		if err != nil {
			t.Fatalf("%v: %v", q, err)
		}
		var v any
		if err := json.Unmarshal(m.Data, &v); err != nil {
			t.Fatalf("%v: %s: %v", q, m.Data, err)
		}
		out[strings.TrimSpace(q[0]+" "+q[1])] = v
	}
	return out
}

// stored reads upstream's bucket.
func (s *switching) stored(t *testing.T) map[string]string {
	t.Helper()
	js, err := s.nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue("wadm_manifests")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := kv.Keys()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, k := range keys {
		e, err := kv.Get(k)
		if err != nil {
			t.Fatal(err)
		}
		out[k] = fmt.Sprintf("%d: %s", e.Revision(), e.Value())
	}
	return out
}

// observed asks the hosts what there is.
func (s *switching) observed(t *testing.T) (hosts []lattice.Inventory, links []lattice.Link, configs []string) {
	t.Helper()
	s.eventually(t, time.Minute, "the hosts say what they have", func() (err error) {
		hosts = nil
		for name := range s.hosts {
			inv, err := s.inventory(name)
			if err != nil {
				return err
			}
			slices.SortFunc(inv.Components, func(a, b lattice.Component) int { return strings.Compare(string(a.ID), string(b.ID)) })
			slices.SortFunc(inv.Providers, func(a, b lattice.Provider) int { return strings.Compare(string(a.ID), string(b.ID)) })
			hosts = append(hosts, inv)
		}
		slices.SortFunc(hosts, func(a, b lattice.Inventory) int { return strings.Compare(string(a.Host), string(b.Host)) })
		if links, err = s.control.Links(s.ctx, key); err != nil {
			return err
		}
		// A host keeps them in no order.
		slices.SortFunc(links, func(a, b lattice.Link) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		configs, err = s.world.configs()
		slices.Sort(configs)
		return err
	})
	return hosts, links, configs
}

// goesOver stops the server, starts ours, and finds everything as it was.
func (s *switching) goesOver(t *testing.T) {
	s.changeOver(t, s.startOurs)
	// The status could be what upstream has published; this is ours alone.
	for _, app := range []string{"hello", mixed} {
		raw, err := s.client.Explain(s.ctx, app)
		if err != nil {
			t.Fatal(err)
		}
		var x struct {
			Gathered bool
			Status   tenancy.StatusInfo
		}
		if err := json.Unmarshal(raw, &x); err != nil || !x.Gathered || x.Status.Type != tenancy.StatusDeployed {
			t.Errorf("%s is explained with %s, %v", app, raw, err)
		}
	}
	page, err := fetch(&http.Client{Timeout: 30 * time.Second}, "http://"+s.admin+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page, "\nwadm_commands_total 0\n") {
		t.Errorf("commands were stored:\n%s", page)
	}
}

// goesBack stops ours and starts upstream's again.
func (s *switching) goesBack(t *testing.T) { s.changeOver(t, s.startUpstream) }

func (s *switching) changeOver(t *testing.T, start func(*testing.T)) {
	t.Helper()
	p := startProbe(s.url())
	told := len(s.diary.since(0))
	t.Logf("the old server ended with code %d", s.stop(t))
	start(t)
	for _, app := range []string{"hello", mixed} {
		s.awaitStatus(t, time.Minute, app, tenancy.StatusDeployed)
	}
	// Time enough to want something else.
	s.diary.again()
	s.calm(t, 4)
	s.asked(t, p, 500)
	for _, c := range s.diary.since(told) {
		t.Errorf("a host tells of a change: %s", c)
	}
	if diff := cmp.Diff(s.answers, s.ask(t)); diff != "" {
		t.Errorf("answers differ:\n%s", diff)
	}
	if diff := cmp.Diff(s.bucket, s.stored(t)); diff != "" {
		t.Errorf("upstream's bucket was changed:\n%s", diff)
	}
	hosts, links, configs := s.observed(t)
	if diff := cmp.Diff(s.hosted, hosts); diff != "" {
		t.Errorf("hosts have other things:\n%s", diff)
	}
	if diff := cmp.Diff(s.links, links); diff != "" {
		t.Errorf("links differ:\n%s", diff)
	}
	if diff := cmp.Diff(s.configs, configs); diff != "" {
		t.Errorf("configurations differ:\n%s", diff)
	}
	if pid := child(s.hosts["a1"].PID()); pid != s.pid {
		t.Errorf("the provider's process was %d and is %d", s.pid, pid)
	}
	blameless(t, p.end())
}

// deploysOther deploys what upstream stored and never deployed.
func (s *switching) deploysOther(t *testing.T) {
	p := startProbe(s.url())
	told := len(s.diary.since(0))
	version := "a"
	if _, err := s.client.Deploy(s.ctx, "hello", &version); err != nil {
		t.Fatal(err)
	}
	s.where = map[string]uint32{"a1": 3, "b1": 3}
	s.eventually(t, time.Minute, "scaled", func() error { return s.runs(webID, s.app.image, s.where) })
	s.awaitStatus(t, time.Minute, "hello", tenancy.StatusDeployed)
	if v, ok, err := s.control.Config(s.ctx, key, settingsID); err != nil || !ok || v["level"] != "high" {
		t.Errorf("configuration is %v, %v, %v", v, ok, err)
	}
	s.asked(t, p, 500)
	blameless(t, p.end())
	changes := s.diary.since(told)
	if len(changes) == 0 {
		t.Error("no host tells of a change")
	}
	for _, c := range changes {
		if ev, err := lattice.DecodeEvent([]byte(c)); err != nil || ev.Kind != lattice.ConfigSet && (ev.Kind != lattice.ComponentScaled || ev.Component.ID != webID) {
			t.Errorf("a host tells of a change nobody asked for: %s", c)
		}
	}
	if pid := child(s.hosts["a1"].PID()); pid != s.pid {
		t.Errorf("the provider's process was %d and is %d", s.pid, pid)
	}
}

func (s *switching) undeploysAll(t *testing.T) {
	s.undeploy(t, mixed)
	s.eventually(t, time.Minute, "nothing of it is left", func() error { return s.nothingOf(mixedID) })
	s.undeploys(t)
	for name := range s.hosts {
		if inv, err := s.inventory(name); err != nil || len(inv.Components)+len(inv.Providers) > 0 {
			t.Errorf("left on %s: %+v, %v", name, inv, err)
		}
	}
	s.eventually(t, time.Minute, "the provider's process has ended", func() error {
		if pid := child(s.hosts["a1"].PID()); pid != 0 {
			return fmt.Errorf("process %d runs", pid)
		}
		return nil
	})
	if code := s.stop(t); code != 0 {
		t.Errorf("ours ended with code %d", code)
	}
}
