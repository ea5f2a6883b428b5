package process_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wadm/loadtest/process"
	"wadm/loadtest/simhost"
	"wadm/tenancy"
)

// slowly makes images take long enough for a kill to hit work under way.
func slowly(string) simhost.Image {
	return simhost.Image{Fetch: 100 * time.Millisecond, Compile: 300 * time.Millisecond}
}

// trap kills a server inside the hosts' own loop when they have answered a
// number of commands, so that nothing moves between the command and the kill.
type trap struct {
	victim atomic.Pointer[process.Process]
	left   atomic.Int64
	sprung chan struct{}
}

func newTrap() *trap { return &trap{sprung: make(chan struct{}, 1)} }

// arm kills p at the n-th command from now on.
func (x *trap) arm(p *process.Process, n int) {
	x.victim.Store(p)
	x.left.Store(int64(n))
}

func (x *trap) onCommand(simhost.Record) {
	if x.left.Add(-1) == 0 {
		x.victim.Load().Kill()
		x.sprung <- struct{}{}
	}
}

func (x *trap) await(r *rig) {
	r.t.Helper()
	select {
	case <-x.sprung:
	case <-r.ctx.Done():
		r.t.Fatal("the server was never killed: too few commands")
	}
}

// again starts servers one after the other and kills each at its n-th command.
// A server that has nothing left to ask for survives and is the last one;
// without one the caller has to start it.
func (x *trap) again(r *rig, kills []int, finished func() error) (last *instance) {
	r.t.Helper()
	for _, n := range kills {
		in := r.launch("one", deadline...)
		x.arm(in.Process, n)
		r.eventually("killed again or finished", func() error {
			if x.left.Load() <= 0 {
				return nil
			}
			return finished()
		})
		if x.left.Swap(0) > 0 {
			r.ready(in)
			return in
		}
		x.await(r)
	}
	return nil
}

// deadline of commands: after a kill nobody knows whether a stored command was
// sent, and its target waits as long as it might still be carried out.
var deadline = []string{"--command-deadline", "8s"}

// counts sums up what was asked of the hosts since a moment.
type counts struct {
	// stops of components and providers, and updates.
	stops, updates int
	// needless commands asked for what was so already or being done.
	needless []string
}

func commandsSince(l *simhost.Lattice, seen int) (c counts) {
	for _, r := range l.Commands()[seen:] {
		switch {
		case r.Kind == "provider.stop", r.Kind == "component.scale" && strings.Contains(string(r.Body), `"count":0`):
			c.stops++
		case r.Kind == "component.update":
			c.updates++
		}
		if r.Needless {
			c.needless = append(c.needless, fmt.Sprintf("%s at %s under epoch %d: %s", r.Kind, r.Host, r.Epoch, r.Body))
		}
	}
	return c
}

func TestKilledWhileDeployingTheSuccessorFinishesAndRestartsNothing(t *testing.T) {
	t.Parallel()
	const components = 3
	for _, kills := range [][]int{{1}, {9}, {20}, {2, 5, 3, 2}} {
		t.Run(fmt.Sprint(kills), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			x := newTrap()
			l := r.lattice("default", 4, simhost.Config{Images: slowly, OnCommand: x.onCommand, RequireEpoch: true})
			seedForeign(t, l)
			c := r.client("default")
			in := r.start("one", deadline...)
			x.arm(in.Process, kills[0])
			r.put(c, web(components))
			r.deploy(c, "web")
			x.await(r)
			last := x.again(r, kills[1:], func() error { return whole(l, components) })
			at := time.Now()
			if last == nil {
				r.start("one", deadline...)
			}
			r.awaitStatus(c, "web", tenancy.StatusDeployed)
			t.Logf("deployed %v after the last start", time.Since(at).Round(time.Millisecond))
			if err := whole(l, components); err != nil {
				t.Error(err)
			}
			got := commandsSince(l, 0)
			if got.stops+got.updates > 0 {
				t.Errorf("%d stops, %d updates in a deploy", got.stops, got.updates)
			}
			for _, s := range got.needless {
				t.Errorf("needless: %s", s)
			}
			spotless(t, l)
		})
	}
}

func TestKilledWhileUndeployingTheSuccessorLeavesNothing(t *testing.T) {
	t.Parallel()
	const components = 3
	for _, kills := range [][]int{{1}, {8}, {20}, {2, 5, 3, 2}} {
		t.Run(fmt.Sprint(kills), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			x := newTrap()
			l := r.lattice("default", 4, simhost.Config{
				ShutdownDelay: 200 * time.Millisecond, OnCommand: x.onCommand, RequireEpoch: true,
			})
			seedForeign(t, l)
			c := r.client("default")
			in := r.start("one", deadline...)
			r.put(c, web(components))
			r.deploy(c, "web")
			r.awaitStatus(c, "web", tenancy.StatusDeployed)
			seen := len(l.Commands())
			x.arm(in.Process, kills[0])
			r.undeploy(c, "web")
			x.await(r)
			last := x.again(r, kills[1:], func() error { return bare(l) })
			at := time.Now()
			if last == nil {
				r.start("one", deadline...)
			}
			r.eventually("nothing is left", func() error { return bare(l) })
			r.awaitStatus(c, "web", tenancy.StatusUndeployed)
			t.Logf("undeployed %v after the last start", time.Since(at).Round(time.Millisecond))
			for _, s := range commandsSince(l, seen).needless {
				t.Errorf("needless: %s", s)
			}
			spotless(t, l)
		})
	}
}

func TestARestartOfTheServerAsksHostsForNothing(t *testing.T) {
	t.Parallel()
	const components = 3
	r := newRig(t)
	l := r.lattice("default", 4, simhost.Config{})
	c := r.client("default")
	in := r.start("one")
	r.put(c, web(components))
	r.deploy(c, "web")
	r.awaitStatus(c, "web", tenancy.StatusDeployed)
	seen := len(l.Commands())
	for range 3 {
		in.Kill()
		in = r.start("one")
		// It acts: an operator's hand is corrected.
		h := l.Hosts()[0]
		if err := h.RemoveComponent("web-c0"); err != nil {
			t.Fatal(err)
		}
		r.eventually("the component is back", func() error { return whole(l, components) })
	}
	if n := len(l.Commands()) - seen; n != 3 {
		t.Errorf("%d commands for 3 removed instances", n)
	}
	spotless(t, l)
}
