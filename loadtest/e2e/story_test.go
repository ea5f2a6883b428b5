//go:build e2e

package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"wadm/scheduler/lattice"
	"wadm/tenancy"
)

// helloApp is the HTTP component over two zones, the server in front of it, the
// link between them and a configuration.
type helloApp struct {
	version, image string
	instances      int
	level          string // a value of the configuration
	address        string
}

func (a helloApp) String() string {
	return fmt.Sprintf(`apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: hello
  annotations: {version: %q}
spec:
  components:
    - name: web
      type: component
      properties:
        image: %s
        config: [{name: settings, properties: {level: %q}}]
      traits:
        - type: spreadscaler
          properties:
            instances: %d
            spread:
              - {name: east, weight: 50, requirements: {zone: a}}
              - {name: west, weight: 50, requirements: {zone: b}}
    - name: http
      type: capability
      properties: {image: "wasmcloud+builtin://http-server"}
      traits:
        - type: spreadscaler
          properties:
            instances: 1
            spread: [{name: east, requirements: {zone: a}}]
        - type: link
          properties:
            namespace: wasi
            package: http
            interfaces: [incoming-handler]
            target: {name: web}
            source: {config: [{name: address, properties: {address: %q}}]}
`, a.version, a.image, a.level, a.instances, a.address)
}

// tinyApp is n small components with one instance on every host.
func tinyApp(name, version, image string, n, instances int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata:\n  name: %s\n  annotations: {version: %q}\nspec:\n  components:\n", name, version)
	for i := range n {
		fmt.Fprintf(&b, `    - name: c%d
      type: component
      properties:
        image: %s
        config: [{name: n%d, properties: {n: "%d"}}]
      traits: [{type: daemonscaler, properties: {instances: %d}}]
`, i, image, i, i, instances)
	}
	return b.String()
}

// everywhere is nil when the n components of a tiny application run on all hosts.
func (w *world) everywhere(app, image string, n int, instances uint32) error {
	for name := range w.hosts {
		inv, err := w.inventory(name)
		if err != nil {
			return err
		}
		have := 0
		for _, c := range inv.Components {
			if strings.HasPrefix(string(c.ID), app+"-c") && c.Image == image && c.Max == instances {
				have++
			}
		}
		if have != n {
			return fmt.Errorf("host %s runs %d of %d components of %s", name, have, n, app)
		}
	}
	return nil
}

// TestRealHosts is one story on three hosts: one in zone a with the HTTP server,
// two in zone b.
func TestRealHosts(t *testing.T) {
	w := newWorld(t)
	w.startWadm(t)
	w.startHost(t, "a1", "a")
	w.startHost(t, "b1", "b")
	w.startHost(t, "b2", "b")
	s := &story{world: w, t: t, app: helloApp{version: "v1", image: image("hello1.wasm"), instances: 4, level: "low", address: w.web},
		where: map[string]uint32{"a1": 2, "b1": 1, "b2": 1}}
	for _, chapter := range []struct {
		name string
		play func(*testing.T)
	}{
		{"an application comes up and answers", s.comesUp},
		{"it is scaled up and down", s.scales},
		{"a value of its configuration changes", s.changesConfig},
		{"its image changes without one failed request", s.changesImage},
		{"a host that compiles holds up nobody", s.compiles},
		{"a host is killed and comes back", s.losesHost},
		{"a host is stopped and started with another id", s.replacesHost},
		{"a provider's process dies and hangs while an image does not exist", s.suffers},
		{"wadm is killed in the middle of a deploy and of an undeploy", s.killsWadm},
		{"NATS restarts under everything", s.restartsNATS},
		{"undeployed nothing is left", s.undeploys},
	} {
		at := time.Now()
		if !t.Run(chapter.name, chapter.play) {
			t.Fatal("the story ends here: what follows builds on this")
		}
		t.Logf("%s: %v", chapter.name, time.Since(at).Round(100*time.Millisecond))
	}
}

// story is the state that chapters hand on.
type story struct {
	*world
	t   *testing.T // of the whole story
	app helloApp
	// where the four instances are.
	where map[string]uint32
}

const (
	webID      = lattice.WorkloadID("hello-web")
	settingsID = "hello-settings"
)

func (s *story) url() string { return "http://" + s.web + "/" }

// greeting is what the component answers.
func (s *story) greeting() string {
	return "hello v" + strings.TrimSuffix(strings.TrimPrefix(filepath.Base(s.app.image), "hello"), ".wasm")
}

// blameless fails the test when a request has failed.
func blameless(t *testing.T, a account) {
	t.Helper()
	t.Logf("probe: %v", a)
	if a.requests == 0 {
		t.Error("nothing was asked")
	}
	for _, e := range a.errors {
		t.Errorf("request failed: %s", e)
	}
}

// asked waits until a probe has asked so often.
func (s *story) asked(t *testing.T, p *probe, n int) {
	t.Helper()
	s.eventually(t, time.Minute, "requests are answered", func() error {
		if a := p.read(); a.requests < n {
			return fmt.Errorf("%v", a)
		}
		return nil
	})
}

func (s *story) comesUp(t *testing.T) {
	at := time.Now()
	s.apply(t, s.app.String())
	// One gentle client: the hosts need the machine to compile.
	client := &http.Client{Timeout: 30 * time.Second}
	s.eventually(t, patience, "hello answers", func() error {
		body, err := fetch(client, s.url())
		if err == nil && body != "hello v1" {
			err = fmt.Errorf("the answer is %q", body)
		}
		return err
	})
	t.Logf("deployed to first answer: %v", time.Since(at).Round(100*time.Millisecond))
	s.awaitStatus(t, patience, "hello", tenancy.StatusDeployed)
	// A host that is mute for more than two intervals counts as lost and may be
	// stood in for until it speaks.
	s.eventually(t, time.Minute, "all instances are where they belong", func() error { return s.runs(webID, s.app.image, s.where) })
	s.awaitStatus(t, time.Minute, "hello", tenancy.StatusDeployed)
	t.Logf("deployed to all instances: %v", time.Since(at).Round(100*time.Millisecond))
}

func (s *story) scales(t *testing.T) {
	p := startProbe(s.url())
	for i, n := range []int{8, 4} {
		s.app.instances, s.app.version = n, fmt.Sprintf("v1-scaled-%d", i)
		s.apply(t, s.app.String())
		took := s.eventually(t, time.Minute, "scaled", func() error {
			return s.runs(webID, s.app.image, map[string]uint32{"a1": uint32(n / 2), "b1": uint32(n / 4), "b2": uint32(n / 4)})
		})
		t.Logf("scaled to %d in %v", n, took.Round(100*time.Millisecond))
		s.awaitStatus(t, time.Minute, "hello", tenancy.StatusDeployed)
	}
	s.asked(t, p, 500)
	blameless(t, p.end())
}

func (s *story) changesConfig(t *testing.T) {
	p := startProbe(s.url())
	s.app.level, s.app.version = "high", "v1-high"
	s.apply(t, s.app.String())
	s.eventually(t, time.Minute, "the value is changed", func() error {
		v, ok, err := s.control.Config(s.ctx, key, settingsID)
		if err == nil && (!ok || v["level"] != "high") {
			err = fmt.Errorf("configuration is %v", v)
		}
		return err
	})
	s.awaitStatus(t, time.Minute, "hello", tenancy.StatusDeployed)
	s.asked(t, p, 500)
	if err := s.runs(webID, s.app.image, s.where); err != nil {
		t.Error(err)
	}
	blameless(t, p.end())
}

func (s *story) changesImage(t *testing.T) {
	p := startProbe(s.url())
	s.app.image, s.app.version = image("hello2.wasm"), "v2"
	s.apply(t, s.app.String())
	took := s.eventually(t, 2*patience, "all hosts run the new image", func() error { return s.runs(webID, s.app.image, s.where) })
	s.awaitStatus(t, time.Minute, "hello", tenancy.StatusDeployed)
	t.Logf("changed everywhere in %v", took.Round(100*time.Millisecond))
	// From now on only the new version answers; what had begun may end.
	before := p.read().bodies["hello v2"]
	s.eventually(t, time.Minute, "the new version answers", func() error {
		if n := p.read().bodies["hello v2"]; n < before+100 {
			return fmt.Errorf("%d answers", n-before)
		}
		return nil
	})
	blameless(t, p.end())
	p = startProbe(s.url())
	s.asked(t, p, 200)
	a := p.end()
	blameless(t, a)
	if a.bodies["hello v2"] != a.requests {
		t.Errorf("the old version still answers: %v", a.bodies)
	}
}

// compiles lets b2 compile a large component while a small application is
// deployed and changed everywhere.
func (s *story) compiles(t *testing.T) {
	s.apply(t, fmt.Sprintf(`apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: large
  annotations: {version: v1}
spec:
  components:
    - name: c
      type: component
      properties: {image: %s}
      traits:
        - type: spreadscaler
          properties: {instances: 1, spread: [{name: one, requirements: {birth: "%d"}}]}
`, image("hello1.wasm"), 3)) // b2 was born third
	at := time.Now()
	s.eventually(t, time.Minute, "b2 falls silent", func() error {
		inv, err := s.inventory("b2")
		if err == nil {
			for _, c := range inv.Components {
				if c.ID == "large-c" {
					return nil // this machine is quick
				}
			}
			return errors.New("it answers")
		}
		return nil
	})
	s.apply(t, tinyApp("tiny", "v1", image("tiny1.wasm"), 5, 1))
	others := func(instances uint32, file string) time.Duration {
		return s.eventually(t, patience, "the other hosts run tiny", func() error {
			for _, name := range []string{"a1", "b1"} {
				inv, err := s.inventory(name)
				if err != nil {
					return err
				}
				n := 0
				for _, c := range inv.Components {
					if strings.HasPrefix(string(c.ID), "tiny-c") && c.Max == instances && c.Image == image(file) {
						n++
					}
				}
				if n != 5 {
					return fmt.Errorf("host %s runs %d of 5", name, n)
				}
			}
			return nil
		})
	}
	t.Logf("tiny runs on the other hosts after %v", others(1, "tiny1.wasm").Round(100*time.Millisecond))
	took := s.eventually(t, patience, "b2 runs everything", func() error { return s.everywhere("tiny", image("tiny1.wasm"), 5, 1) })
	t.Logf("b2 was busy until %v after the deploy, and ran everything %v later", time.Since(at).Round(100*time.Millisecond), took.Round(100*time.Millisecond))
	s.awaitStatus(t, patience, "tiny", tenancy.StatusDeployed)
	s.awaitStatus(t, patience, "large", tenancy.StatusDeployed)
	s.apply(t, tinyApp("tiny", "v2", image("tiny1.wasm"), 5, 3))
	s.eventually(t, time.Minute, "tiny is scaled everywhere", func() error { return s.everywhere("tiny", image("tiny1.wasm"), 5, 3) })
	s.apply(t, tinyApp("tiny", "v3", image("tiny2.wasm"), 5, 3))
	s.eventually(t, time.Minute, "tiny has its new image everywhere", func() error { return s.everywhere("tiny", image("tiny2.wasm"), 5, 3) })
	// A long silence moved nothing.
	if err := s.runs(webID, s.app.image, s.where); err != nil {
		t.Error(err)
	}
	for _, app := range []string{"large", "tiny"} {
		s.undeploy(t, app)
		s.eventually(t, time.Minute, "nothing of "+app+" is left", func() error { return s.nothingOf(app) })
	}
}

// suffers is two misfortunes at once, because both take a minute of waiting.
func (s *story) suffers(t *testing.T) {
	s.apply(t, fmt.Sprintf(`apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: ext
  annotations: {version: v1}
spec:
  components:
    - name: server
      type: capability
      properties: {image: %q}
      traits:
        - type: spreadscaler
          properties: {instances: 1, spread: [{name: one, requirements: {zone: a}}]}
`, image("http-server.par.gz")))
	s.awaitStatus(t, patience, "ext", tenancy.StatusDeployed)
	first := s.providerProcess(t, 0)
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// The host restarts it by itself and says nothing; there is nothing to do.
	second := s.providerProcess(t, first)
	if err := s.status("ext", tenancy.StatusDeployed); err != nil {
		t.Error(err)
	}

	// It hangs while an image does not exist.
	if err := syscall.Kill(second, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p := startProbe(s.url())
	good := s.app
	s.app.image, s.app.version = image("missing.wasm"), "v3"
	s.apply(t, s.app.String())
	told := s.eventually(t, commandDeadline+time.Minute, "the status tells of the missing image", func() error {
		st, err := s.client.Status(s.ctx, "hello")
		if err != nil {
			return err
		}
		if !strings.Contains(st.Status.Message, "missing.wasm") || !strings.Contains(st.Status.Message, "keeps serving") {
			return fmt.Errorf("status is %+v", st.Status)
		}
		t.Logf("status of the missing image: %s %q", st.Status.Type, st.Status.Message)
		return nil
	})
	t.Logf("told after %v", told.Round(100*time.Millisecond))
	if err := s.runs(webID, good.image, s.where); err != nil {
		t.Error(err)
	}
	// Hosts say nothing of a provider that hangs, and a provider that works must
	// not be restarted for want of a word.
	if pid := child(s.hosts["a1"].PID()); pid != second {
		t.Errorf("the provider's process was %d and is %d", second, pid)
	}
	if err := syscall.Kill(second, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	// The way back: the old image under a new version.
	s.app.image, s.app.version = good.image, "v4"
	s.apply(t, s.app.String())
	back := s.awaitStatus(t, 2*time.Minute, "hello", tenancy.StatusDeployed)
	t.Logf("deployed again in %v", back.Round(100*time.Millisecond))
	a := p.end()
	blameless(t, a)
	if a.bodies[s.greeting()] != a.requests {
		t.Errorf("answers are %v", a.bodies)
	}
	s.awaitStatus(t, 2*time.Minute, "ext", tenancy.StatusDeployed)
	s.undeploy(t, "ext")
	s.eventually(t, time.Minute, "nothing of ext is left", func() error { return s.nothingOf("ext") })
	s.eventually(t, time.Minute, "the provider's process has ended", func() error {
		if pid := child(s.hosts["a1"].PID()); pid != 0 {
			return fmt.Errorf("process %d runs", pid)
		}
		return nil
	})
}

// losesHost kills a host without a word.
func (s *story) losesHost(t *testing.T) {
	// The interval of heartbeats is learned from the last few, and a host that has
	// just compiled has been irregular.
	s.steady(t, 4*heartbeat)
	p := startProbe(s.url())
	dead := s.hosts["b2"]
	dead.Kill()
	delete(s.hosts, "b2")
	s.where = map[string]uint32{"a1": 2, "b1": 2}
	took := s.eventually(t, time.Minute, "the work has moved", func() error { return s.runs(webID, s.app.image, s.where) })
	t.Logf("killed to moved: %v, heartbeats every %v", took.Round(100*time.Millisecond), heartbeat)
	if limit := 2*heartbeat + 3*time.Second; took > limit {
		t.Errorf("the work moved after %v, later than %v", took, limit)
	}
	s.awaitStatus(t, time.Minute, "hello", tenancy.StatusDeployed)
	// What was with the dead host is lost; the rest must not be.
	a := p.end()
	t.Logf("probe: %v; failures: %v", a, a.errors)

	// It comes back empty. What runs well elsewhere stays there.
	p = startProbe(s.url())
	s.startHost(s.t, "b2", "b")
	s.steady(t, 3*heartbeat)
	blameless(t, p.end())
}

// steady makes sure that nothing moves for a while.
func (s *story) steady(t *testing.T, d time.Duration) {
	t.Helper()
	until := time.Now().Add(d)
	for time.Now().Before(until) {
		if err := s.runs(webID, s.app.image, s.where); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
	}
}

// replacesHost stops a host in order; it comes back under another id.
func (s *story) replacesHost(t *testing.T) {
	was := s.hosts["b1"].id
	if err := s.hosts["b1"].Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	delete(s.hosts, "b1")
	s.where = map[string]uint32{"a1": 2, "b2": 2}
	took := s.eventually(t, patience, "the work has moved", func() error { return s.runs(webID, s.app.image, s.where) })
	t.Logf("stopped to running elsewhere, compiled anew: %v", took.Round(100*time.Millisecond))
	if h := s.startHost(s.t, "b1", "b"); h.id == was {
		t.Error("the host has its old id")
	}
	s.awaitStatus(t, time.Minute, "hello", tenancy.StatusDeployed)
	s.steady(t, 2*heartbeat)
}

// killsWadm kills the server when some of many components have started, and
// again when some have stopped.
func (s *story) killsWadm(t *testing.T) {
	const n = 20
	p := startProbe(s.url())
	begun := func(enough func(int) bool) func() error {
		return func() error {
			inv, err := s.inventory("a1")
			if err != nil {
				return err
			}
			have := 0
			for _, c := range inv.Components {
				if strings.HasPrefix(string(c.ID), "tiny-c") {
					have++
				}
			}
			if !enough(have) {
				return fmt.Errorf("%d components", have)
			}
			return nil
		}
	}
	kill := func() {
		s.wadm.Kill()
		s.startWadm(s.t)
	}
	s.apply(t, tinyApp("tiny", "k1", image("tiny1.wasm"), n, 1))
	s.eventually(t, time.Minute, "the deploy has begun", begun(func(have int) bool { return have > 0 }))
	kill()
	took := s.eventually(t, commandDeadline+time.Minute, "tiny runs everywhere", func() error { return s.everywhere("tiny", image("tiny1.wasm"), n, 1) })
	s.awaitStatus(t, time.Minute, "tiny", tenancy.StatusDeployed)
	t.Logf("the successor finished the deploy in %v", took.Round(100*time.Millisecond))
	s.undeploy(t, "tiny")
	s.eventually(t, time.Minute, "the undeploy has begun", begun(func(have int) bool { return have < n }))
	kill()
	took = s.eventually(t, commandDeadline+time.Minute, "nothing of tiny is left", func() error { return s.nothingOf("tiny") })
	s.awaitStatus(t, time.Minute, "tiny", tenancy.StatusUndeployed)
	t.Logf("the successor finished the undeploy in %v", took.Round(100*time.Millisecond))
	s.awaitStatus(t, time.Minute, "hello", tenancy.StatusDeployed)
	if err := s.runs(webID, s.app.image, s.where); err != nil {
		t.Error(err)
	}
	blameless(t, p.end())
}

// restartsNATS takes NATS away in the middle of a deploy; hosts and server find
// it again.
func (s *story) restartsNATS(t *testing.T) {
	const n = 20
	pids := []int{s.wadm.PID()}
	s.apply(t, tinyApp("tiny", "n1", image("tiny2.wasm"), n, 1))
	s.nats.Restart(t)
	took := s.eventually(t, commandDeadline+time.Minute, "tiny runs everywhere", func() error { return s.everywhere("tiny", image("tiny2.wasm"), n, 1) })
	t.Logf("deployed everywhere %v after the restart", took.Round(100*time.Millisecond))
	s.awaitStatus(t, time.Minute, "tiny", tenancy.StatusDeployed)
	s.awaitStatus(t, time.Minute, "hello", tenancy.StatusDeployed)
	if err := s.runs(webID, s.app.image, s.where); err != nil {
		t.Error(err)
	}
	if !s.wadm.Running() || !slices.Contains(pids, s.wadm.PID()) {
		t.Error("wadm did not outlive the restart")
	}
	p := startProbe(s.url())
	s.eventually(t, time.Minute, "hello answers", func() error {
		if a := p.read(); a.bodies[s.greeting()] < 50 {
			return fmt.Errorf("%v", a)
		}
		return nil
	})
	p.end()
	s.undeploy(t, "tiny")
	s.eventually(t, commandDeadline+time.Minute, "nothing of tiny is left", func() error { return s.nothingOf("tiny") })
}

func (s *story) undeploys(t *testing.T) {
	s.undeploy(t, "hello")
	// An update to an image that never came may hold a host up for its deadline.
	took := s.eventually(t, commandDeadline+time.Minute, "nothing of hello is left", func() error { return s.nothingOf("hello") })
	t.Logf("gone in %v", took.Round(100*time.Millisecond))
	s.awaitStatus(t, time.Minute, "hello", tenancy.StatusUndeployed)
	if names, err := s.configs(); err != nil || len(names) > 0 {
		t.Errorf("configurations left: %v, %v", names, err)
	}
	if links, err := s.control.Links(s.ctx, key); err != nil || len(links) > 0 {
		t.Errorf("links left: %v, %v", links, err)
	}
	if r, err := s.client.Delete(s.ctx, "hello", nil); err != nil || !r.Existed {
		t.Errorf("delete: %+v, %v", r, err)
	}
}
