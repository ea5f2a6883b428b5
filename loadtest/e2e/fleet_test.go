//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"wadm/loadtest/process"
	"wadm/tenancy"
)

// fleet is two instances of the server beside a world.
type fleet struct {
	*world
	t         *testing.T // of the whole story
	instances map[string]*process.Process
}

func (f *fleet) start(id string) {
	f.t.Helper()
	f.instances[id] = f.run(f.t, "wadm "+id, process.Command{Path: wadmBin, Args: []string{
		"-s", f.nats.URL(), "--instance-id", id, "--command-deadline", commandDeadline.String(),
	}})
}

// owner asks who acts for the lattice; some application must exist.
func (f *fleet) owner(t *testing.T, app string) (id string) {
	t.Helper()
	f.eventually(t, time.Minute, "somebody acts for the lattice", func() error {
		raw, err := f.client.Explain(f.ctx, app)
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

// lose ends the owner with a signal, waits until the other one acts, and starts it again.
func (f *fleet) lose(t *testing.T, app string, sig syscall.Signal) {
	t.Helper()
	was := f.owner(t, app)
	at := time.Now()
	if err := f.instances[was].Signal(sig); err != nil {
		t.Fatal(err)
	}
	var now string
	f.eventually(t, time.Minute, "the other instance acts", func() error {
		if now = f.owner(t, app); now == was {
			return fmt.Errorf("%s still does", was)
		}
		return nil
	})
	t.Logf("%v of %s; %s acts after %v", sig, was, now, time.Since(at).Round(100*time.Millisecond))
	f.eventually(t, time.Minute, was+" has ended", func() error {
		if f.instances[was].Running() {
			return fmt.Errorf("process %d runs", f.instances[was].PID())
		}
		return nil
	})
	f.start(was)
}

// begun waits until a host has taken some of a change.
func (f *fleet) begun(t *testing.T, what string, have func(n int) bool) {
	t.Helper()
	f.eventually(t, time.Minute, what, func() error {
		inv, err := f.inventory("a1")
		if err != nil {
			return err
		}
		n := 0
		for _, c := range inv.Components {
			if strings.HasPrefix(string(c.ID), "tiny-c") {
				n++
			}
		}
		if !have(n) {
			return fmt.Errorf("%d components", n)
		}
		return nil
	})
}

// TestRealHostsWithTwoInstances loses the owner of the lattice in the middle of a
// deploy, of two image changes and of an undeploy.
func TestRealHostsWithTwoInstances(t *testing.T) {
	f := &fleet{world: newWorld(t), t: t, instances: map[string]*process.Process{}}
	f.start("one")
	f.start("two")
	f.eventually(t, time.Minute, "wadm answers", func() error {
		_, err := f.client.List(f.ctx)
		return err
	})
	f.startHost(t, "a1", "a")
	f.startHost(t, "b1", "b")
	s := &story{world: f.world, t: t, app: helloApp{version: "v1", image: image("hello1.wasm"), instances: 2, level: "low", address: f.web},
		where: map[string]uint32{"a1": 1, "b1": 1}}
	s.comesUp(t)

	p := startProbe(s.url())
	const n = 20
	f.apply(t, tinyApp("tiny", "v1", image("tiny1.wasm"), n, 1))
	f.begun(t, "the deploy has begun", func(have int) bool { return have > 0 })
	f.lose(t, "hello", syscall.SIGKILL)
	took := f.eventually(t, commandDeadline+time.Minute, "tiny runs everywhere", func() error { return f.everywhere("tiny", image("tiny1.wasm"), n, 1) })
	f.awaitStatus(t, time.Minute, "tiny", tenancy.StatusDeployed)
	t.Logf("the deploy was finished %v later", took.Round(100*time.Millisecond))
	s.asked(t, p, 500)
	blameless(t, p.end())

	for i, change := range []struct {
		file string
		sig  syscall.Signal
	}{{"hello2.wasm", syscall.SIGKILL}, {"hello1.wasm", syscall.SIGTERM}} {
		p := startProbe(s.url())
		s.app.image, s.app.version = image(change.file), fmt.Sprintf("v%d", i+2)
		f.apply(t, s.app.String())
		f.eventually(t, time.Minute, "the change has begun", func() error { return f.status("hello", tenancy.StatusReconciling) })
		f.lose(t, "tiny", change.sig)
		took := f.eventually(t, 2*patience, "all hosts run the new image", func() error { return f.runs(webID, s.app.image, s.where) })
		f.awaitStatus(t, time.Minute, "hello", tenancy.StatusDeployed)
		t.Logf("the image was changed everywhere %v later", took.Round(100*time.Millisecond))
		s.eventually(t, time.Minute, "the new version answers", func() error {
			if a := p.read(); a.bodies[s.greeting()] < 100 {
				return fmt.Errorf("%v", a)
			}
			return nil
		})
		blameless(t, p.end())
	}

	f.undeploy(t, "tiny")
	f.begun(t, "the undeploy has begun", func(have int) bool { return have < n })
	f.lose(t, "hello", syscall.SIGKILL)
	took = f.eventually(t, commandDeadline+time.Minute, "nothing of tiny is left", func() error { return f.nothingOf("tiny") })
	f.awaitStatus(t, time.Minute, "tiny", tenancy.StatusUndeployed)
	t.Logf("the undeploy was finished %v later", took.Round(100*time.Millisecond))
	if err := f.runs(webID, s.app.image, s.where); err != nil {
		t.Error(err)
	}
	s.undeploys(t)
}
