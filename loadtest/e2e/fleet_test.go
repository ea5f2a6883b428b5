//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"wadm/loadtest/process"
	"wadm/scheduler/lattice"
	"wadm/shard"
	"wadm/shard/natskv"
	"wadm/tenancy"
)

// fleet is two instances of the server beside a world.
type fleet struct {
	*world
	t         *testing.T // of the whole story
	instances map[string]*instance
	versions  int // of manifests; each is put once
}

// instance is one life of an instance of the server.
type instance struct {
	*process.Process
	admin string // URL of its HTTP endpoint
}

var adminUp = regexp.MustCompile(`admin endpoint is up.* address=(\S+)`)

// start starts an instance and waits until it takes its part.
func (f *fleet) start(id string) {
	f.t.Helper()
	p := f.run(f.t, "wadm "+id, process.Command{Path: wadmBin, Args: []string{
		"-s", f.nats.URL(), "--instance-id", id, "--command-deadline", commandDeadline.String(), "--http-admin", "127.0.0.1:0",
	}})
	ctx, cancel := context.WithTimeout(f.ctx, time.Minute)
	defer cancel()
	m, err := p.Await(ctx, adminUp)
	if err != nil {
		f.t.Fatal(err)
	}
	f.instances[id] = &instance{Process: p, admin: "http://" + m[1]}
	f.eventually(f.t, time.Minute, id+" is ready", func() error { return isReady(f.instances[id].admin) })
}

// isReady is nil when an instance says that it takes its part.
func isReady(admin string) error {
	body, err := fetch(&http.Client{Timeout: 10 * time.Second}, admin+"/readyz")
	if err == nil && body != `{"status":"ok"}` {
		err = fmt.Errorf("the answer is %q", body)
	}
	return err
}

// other is the instance that is not the given one.
func (f *fleet) other(id string) string {
	for other := range f.instances {
		if other != id {
			return other
		}
	}
	panic("there is no other")
}

// owner asks who acts for the lattice; the application hello must be deployed.
func (f *fleet) owner(t *testing.T) (id string) {
	t.Helper()
	f.eventually(t, time.Minute, "somebody acts for the lattice", func() error {
		// Who asks for an owner that is no more waits for nothing.
		ctx, cancel := context.WithTimeout(f.ctx, time.Second)
		defer cancel()
		raw, err := f.client.Explain(ctx, "hello")
		if err != nil {
			return err
		}
		var x struct {
			Owner    string
			Gathered bool
		}
		if err := json.Unmarshal(raw, &x); err != nil {
			return err
		}
		if id = x.Owner; f.instances[id] == nil || !x.Gathered {
			return fmt.Errorf("%+v", x)
		}
		return nil
	})
	return id
}

// holder reads who wrote the last claim of the lattice.
func (f *fleet) holder() (string, error) {
	js, err := f.nc.JetStream()
	if err != nil {
		return "", err
	}
	m, err := js.GetLastMsg(natskv.DefaultLedger, natskv.ClaimSubject+"."+key.Token())
	if err != nil {
		return "", err
	}
	rec, err := shard.DecodeRecord(m.Data)
	return string(rec.Owner), err
}

// settled waits until both instances share the lattices and none is about to move.
func (f *fleet) settled(t *testing.T) {
	t.Helper()
	o, err := natskv.NewObserver(f.nc, natskv.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f.eventually(t, time.Minute, "the instances agree on the two of them", func() error {
		v, _, err := o.View(f.ctx)
		if err != nil {
			return err
		}
		if len(v.Members) != len(f.instances) || v.Ramp != nil {
			return fmt.Errorf("members %v, ramp %v", v.Members, v.Ramp)
		}
		r, err := v.Ring()
		if err != nil {
			return err
		}
		to, _ := r.Owner(key.Token())
		if now, err := f.holder(); err != nil || now != string(to) {
			return fmt.Errorf("%s has the lattice, %s should: %v", now, to, err)
		}
		return nil
	})
}

// lost waits until an instance that got a signal has ended as it should and the other one acts.
func (f *fleet) lost(t *testing.T, was string, at time.Time, sig os.Signal) {
	t.Helper()
	f.eventually(t, time.Minute, "the other instance acts", func() error {
		if f.owner(t) == was {
			return fmt.Errorf("%s still does", was)
		}
		return nil
	})
	t.Logf("%s acts %v after it", f.other(was), time.Since(at).Round(100*time.Millisecond))
	f.ended(t, was, sig)
}

// ended waits for the end of an instance that got a signal.
func (f *fleet) ended(t *testing.T, id string, sig os.Signal) {
	t.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, time.Minute)
	defer cancel()
	code, err := f.instances[id].Wait(ctx)
	if err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	want := 0
	if sig == syscall.SIGKILL {
		want = -1 // it has no say in it
	}
	if code != want {
		t.Errorf("%s ended with exit code %d after %v, want %d", id, code, sig, want)
	}
}

// stop stops all instances at the same time, in order.
func (f *fleet) stop(t *testing.T) {
	t.Helper()
	at := time.Now()
	for id, i := range f.instances {
		if err := i.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	for id := range f.instances {
		f.ended(t, id, syscall.SIGTERM)
	}
	t.Logf("stopped in %v", time.Since(at).Round(time.Millisecond))
}

func (f *fleet) version() string {
	f.versions++
	return fmt.Sprintf("fleet-%d", f.versions)
}

// deployTiny and undeployTiny are n small components on every host.
func (f *fleet) deployTiny(n int) operation {
	file := image("tiny1.wasm")
	mine := func(c lattice.Component) bool {
		return strings.HasPrefix(string(c.ID), "tiny-c") && c.Image == file && c.Max == 1
	}
	return operation{
		what: "deploy", total: n * len(f.hosts), did: mine,
		done: func(inv lattice.Inventory) int { return count(inv, mine) },
		ask:  func(t *testing.T) { f.apply(t, tinyApp("tiny", f.version(), file, n, 1)) },
		await: func(t *testing.T) {
			f.eventually(t, commandDeadline+time.Minute, "tiny runs everywhere", func() error { return f.everywhere("tiny", file, n, 1) })
			f.awaitStatus(t, time.Minute, "tiny", tenancy.StatusDeployed)
		},
	}
}

func (f *fleet) undeployTiny(n int) operation {
	mine := func(c lattice.Component) bool { return strings.HasPrefix(string(c.ID), "tiny-c") }
	return operation{
		what: "undeploy", total: n * len(f.hosts),
		did:  func(c lattice.Component) bool { return mine(c) && c.Max == 0 },
		done: func(inv lattice.Inventory) int { return n - count(inv, mine) },
		ask:  func(t *testing.T) { f.undeploy(t, "tiny") },
		await: func(t *testing.T) {
			f.eventually(t, commandDeadline+time.Minute, "nothing of tiny is left", func() error { return f.nothingOf("tiny") })
			f.awaitStatus(t, time.Minute, "tiny", tenancy.StatusUndeployed)
		},
	}
}

// changeImage gives hello another image, one host after the other.
func (f *fleet) changeImage(s *story, file string) operation {
	mine := func(c lattice.Component) bool { return c.ID == webID && c.Image == image(file) && c.Max > 0 }
	return operation{
		what: "image change", total: len(f.hosts), did: mine,
		done: func(inv lattice.Inventory) int { return count(inv, mine) },
		ask: func(t *testing.T) {
			s.app.image, s.app.version = image(file), f.version()
			f.apply(t, s.app.String())
		},
		await: func(t *testing.T) {
			f.eventually(t, 2*patience, "all hosts run the new image", func() error { return f.runs(webID, image(file), s.where) })
			f.awaitStatus(t, time.Minute, "hello", tenancy.StatusDeployed)
		},
	}
}

func count(inv lattice.Inventory, mine func(lattice.Component) bool) (n int) {
	for _, c := range inv.Components {
		if mine(c) {
			n++
		}
	}
	return n
}

// TestRealHostsWithTwoInstances loses the owner of the lattice in the middle of a
// deploy, of two image changes and of an undeploy.
func TestRealHostsWithTwoInstances(t *testing.T) {
	f := &fleet{world: newWorld(t), t: t, instances: map[string]*instance{}}
	f.start("one")
	f.start("two")
	f.startHost(t, "a1", "a")
	f.startHost(t, "b1", "b")
	s := &story{world: f.world, t: t, app: helloApp{version: "v1", image: image("hello1.wasm"), instances: 2, level: "low", address: f.web},
		where: map[string]uint32{"a1": 1, "b1": 1}}
	s.comesUp(t)

	const n = 100 // so many that the server still asks for some when hosts tell of the first
	p := startProbe(s.url())
	f.interrupt(t, f.deployTiny(n), f.undeployTiny(n), n/20, syscall.SIGKILL)
	s.asked(t, p, 500)
	blameless(t, p.end())

	for _, change := range []struct {
		from, to string
		sig      syscall.Signal
	}{{"hello1.wasm", "hello2.wasm", syscall.SIGKILL}, {"hello2.wasm", "hello1.wasm", syscall.SIGTERM}} {
		p := startProbe(s.url())
		f.interrupt(t, f.changeImage(s, change.to), f.changeImage(s, change.from), 1, change.sig)
		before := p.read().bodies[s.greeting()]
		s.eventually(t, time.Minute, "the new version answers", func() error {
			if n := p.read().bodies[s.greeting()]; n < before+100 {
				return fmt.Errorf("%d answers", n-before)
			}
			return nil
		})
		blameless(t, p.end())
	}

	p = startProbe(s.url())
	f.interrupt(t, f.undeployTiny(n), f.deployTiny(n), n/20, syscall.SIGKILL)
	s.asked(t, p, 500)
	blameless(t, p.end())
	if err := f.runs(webID, s.app.image, s.where); err != nil {
		t.Error(err)
	}
	s.undeploys(t)
	f.stop(t)
}
