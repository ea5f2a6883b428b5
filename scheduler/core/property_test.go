package core_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wadm/scheduler/lattice"
	"wadm/tenancy/manifest"
)

// told writes down what has happened, for a failed test.
func (w *world) told() string {
	w.log = nil
	w.show()
	return strings.Join(w.history, "\n") + "\n" + strings.Join(w.log, "\n")
}

// TestConvergesWhateverHappens: after any sequence of operations and faults, and
// a rest, every host runs what the manifests want, and nothing more is asked.
func TestConvergesWhateverHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := rapidDice{t}
		w := drawWorld(d)
		ordeal(d, w)
		sent := w.sent
		w.log = nil
		w.run(3 * time.Minute)
		var problems []string
		if w.sent != sent {
			problems = append(problems, fmt.Sprintf("%d commands after convergence:\n%s", w.sent-sent, strings.Join(w.log, "\n")))
		}
		problems = append(problems, w.broken...)
		problems = append(problems, verify(w)...)
		if len(problems) > 0 {
			t.Fatalf("%s\nwhat happened:\n%s", strings.Join(problems, "\n"), w.told())
		}
	})
}

// TestSameInputsSameDecisions: maps have no order of their own, decisions have one.
func TestSameInputsSameDecisions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		live := func(watch func(*world)) []string {
			d := seeded(seed)
			w := drawWorld(d)
			w.watch = func() { watch(w) }
			ordeal(d, w)
			return w.history
		}
		// Whoever asks for explanations all the time changes nothing either.
		curious := func(w *world) {
			for _, app := range []string{"one", "two"} {
				if w.core.Explain(app, w.now).App != app {
					t.Fatal("explained something else")
				}
			}
		}
		if diff := cmp.Diff(live(func(*world) {}), live(curious)); diff != "" {
			t.Fatalf("two lives with one seed differ:\n%s", diff)
		}
	})
}

// TestJunkDisturbsNothing: what is no event is refused with a reason, and neither
// what is decided nor when changes.
func TestJunkDisturbsNothing(t *testing.T) {
	t.Parallel()
	live := func(junk bool) []string {
		d := seeded(11)
		w := drawWorld(d)
		w.watch = func() {
			for _, b := range []string{"", "{}", "junk", `{"specversion":"1.0","type":"com.wasmcloud.lattice.host_heartbeat","source":"h0","time":"2026-01-01T00:00:00Z","data":{}}`,
				`{"specversion":"1.0","type":"com.wasmcloud.lattice.something_new","source":"h0","time":"2026-01-01T00:00:00Z","data":{}}`} {
				if !junk {
					continue
				}
				dec := w.core.Event([]byte(b), w.now)
				if dec.Dropped == nil {
					t.Errorf("%q was not dropped", b)
				}
				w.apply(dec)
			}
		}
		ordeal(d, w)
		return w.history
	}
	if diff := cmp.Diff(live(false), live(true)); diff != "" {
		t.Errorf("junk made a difference:\n%s", diff)
	}
}

// TestNeverAboveTheWantedCount: while an application comes up from nothing,
// without faults, no more than the wanted instances exist at any time.
func TestNeverAboveTheWantedCount(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := rapidDice{t}
		w := drawWorld(d)
		m := drawApp(d, "one")
		w.apps["one"] = m
		w.watch = func() {
			for i := range m.Spec.Components {
				c := &m.Spec.Components[i]
				x := lattice.Workload{ID: lattice.WorkloadID(manifest.ComponentID("one", c.Name, c.Properties.ID)), Provider: c.Type == manifest.TypeCapability}
				total, hosts := uint64(0), uint64(0)
				for _, h := range w.hosts {
					if i := h.workloads[x]; i != nil {
						total += uint64(i.max)
						hosts++
					}
				}
				most := c.Traits[0].Spread.Instances
				if c.Traits[0].Type == manifest.TraitDaemonScaler {
					most *= max(hosts, 1)
				}
				if total > most {
					w.broken = append(w.broken, fmt.Sprintf("%d instances of %s, want %d", total, x.ID, most))
				}
			}
		}
		w.desired()
		w.run(5 * time.Minute)
		if len(w.broken) > 0 {
			t.Fatalf("%s\n%s", w.broken[0], w.told())
		}
		if problems := verify(w); len(problems) > 0 {
			t.Fatalf("%s\n%s", strings.Join(problems, "\n"), w.told())
		}
	})
}

// TestFreshDeploymentIsEven: on free hosts, the counts of a spread on its hosts
// differ by one at most.
func TestFreshDeploymentIsEven(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		hosts := rapid.IntRange(1, 8).Draw(t, "hosts")
		for i := range hosts {
			w.addHost(lattice.HostID(fmt.Sprintf("h%d", i)), nil)
		}
		w.run(time.Second)
		image := "web:1"
		n := rapid.IntRange(0, 30).Draw(t, "instances")
		w.apps["one"] = simple(image, uint64(n))
		w.desired()
		w.run(time.Minute)
		var counts []int
		for _, h := range w.hosts {
			c := 0
			for _, i := range h.workloads {
				c = int(i.max)
			}
			counts = append(counts, c)
		}
		if slices.Max(counts)-slices.Min(counts) > 1 {
			t.Fatalf("%d instances on %d hosts: %v", n, hosts, counts)
		}
	})
}

// TestLeastDisruption: growth starts nothing and shrinkage stops nothing it need
// not, no other host is touched, and an unchanged count touches none.
func TestLeastDisruption(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		hosts := rapid.IntRange(1, 8).Draw(t, "hosts")
		for i := range hosts {
			w.addHost(lattice.HostID(fmt.Sprintf("h%d", i)), nil)
		}
		w.run(time.Second)
		n := uint64(rapid.IntRange(0, 30).Draw(t, "before"))
		w.apps["one"] = simple("web:1", n)
		w.desired()
		w.run(time.Minute)
		before := counts(w)
		sent := w.sent
		m := uint64(rapid.IntRange(0, 30).Draw(t, "after"))
		w.apps["one"] = simple("web:1", m)
		w.desired()
		w.run(time.Minute)
		touched := 0
		for id, after := range counts(w) {
			switch have := before[id]; {
			case after != have:
				touched++
				if (after > have) != (m > n) {
					t.Fatalf("from %d to %d moved %s from %d to %d", n, m, id, have, after)
				}
			}
		}
		if w.sent-sent != touched {
			t.Fatalf("%d commands for %d changes", w.sent-sent, touched)
		}
		if diff := int(max(m, n) - min(m, n)); touched > diff {
			t.Fatalf("from %d to %d touched %d hosts", n, m, touched)
		}
	})
}

func counts(w *world) map[lattice.HostID]uint32 {
	out := map[lattice.HostID]uint32{}
	for id, h := range w.hosts {
		out[id] = 0
		for _, i := range h.workloads {
			out[id] = i.max
		}
	}
	return out
}

// simple is an application of one component.
func simple(image string, n uint64) *manifest.Manifest {
	return &manifest.Manifest{
		APIVersion: "core.oam.dev/v1beta1", Kind: "Application", Metadata: manifest.Metadata{Name: "one"},
		Spec: manifest.Spec{Components: []manifest.Component{{
			Name: "web", Type: manifest.TypeComponent, Properties: manifest.Properties{Image: &image},
			Traits: []manifest.Trait{{Type: manifest.TraitSpreadScaler, Spread: &manifest.SpreadScaler{Instances: n}}},
		}}},
	}
}
