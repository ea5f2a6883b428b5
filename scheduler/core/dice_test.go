package core_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"pgregory.net/rapid"

	"wadm/scheduler/core"
	"wadm/scheduler/lattice"
	"wadm/tenancy/manifest"
)

// dice decides what happens: rapid's, so that a failure is made small, or seeded
// ones, so that the same can happen twice.
type dice interface {
	// between draws from lo to hi, both included.
	between(lo, hi int, what string) int
}

type rapidDice struct{ t *rapid.T }

func (d rapidDice) between(lo, hi int, what string) int {
	return rapid.IntRange(lo, hi).Draw(d.t, what)
}

type seededDice struct{ r *rand.Rand }

func (d seededDice) between(lo, hi int, _ string) int { return lo + d.r.IntN(hi-lo+1) }

func seeded(seed uint64) dice { return seededDice{rand.New(rand.NewPCG(seed, 7))} }

func oneOf[T any](d dice, what string, from ...T) T { return from[d.between(0, len(from)-1, what)] }

func drawLabels(d dice, what string) map[string]string {
	labels := map[string]string{}
	if z := oneOf(d, what+" zone", "", "a", "b", "c"); z != "" {
		labels["zone"] = z
	}
	if d.between(0, 1, what+" edge") == 1 {
		labels["edge"] = "yes"
	}
	return labels
}

// drawApp draws an application. Some components of two applications share an id.
func drawApp(d dice, name string) *manifest.Manifest {
	m := &manifest.Manifest{APIVersion: "core.oam.dev/v1beta1", Kind: "Application", Metadata: manifest.Metadata{Name: name}}
	n := d.between(1, 3, "components")
	values := map[string]map[string]string{}
	var secret *manifest.Secret
	for i := range n {
		c := manifest.Component{Name: fmt.Sprintf("c%d", i), Type: oneOf(d, "type", manifest.TypeComponent, manifest.TypeComponent, manifest.TypeComponent, manifest.TypeCapability)}
		image := fmt.Sprintf("%s:%d", c.Name, d.between(1, 3, "image"))
		c.Properties.Image = &image
		if d.between(0, 1, "configured") == 1 {
			// Two configurations of one name in one application must agree; the first says.
			cfg := manifest.Config{Name: fmt.Sprintf("cfg%d", d.between(0, 1, "config")), Properties: map[string]string{"v": oneOf(d, "value", "1", "2")}}
			if v, ok := values[cfg.Name]; ok {
				cfg.Properties = v
			}
			values[cfg.Name] = cfg.Properties
			c.Properties.Config = []manifest.Config{cfg}
		}
		if d.between(0, 3, "secret") == 0 {
			c.Properties.Secrets = []manifest.Secret{{Name: "token", Policy: "vault", Key: oneOf(d, "key", "k1", "k2")}}
			m.Spec.Policies = []manifest.Policy{{Name: "vault", Type: "policy.secret.wasmcloud.dev/v1alpha1", Properties: map[string]string{"backend": "nats-kv"}}}
			if secret == nil {
				secret = &c.Properties.Secrets[0]
			}
			c.Properties.Secrets[0] = *secret
		}
		sc := &manifest.SpreadScaler{Instances: uint64(d.between(0, 5, "instances"))}
		for j := range d.between(0, 2, "spreads") {
			w := uint64(d.between(0, 3, "weight"))
			sc.Spread = append(sc.Spread, manifest.Spread{Name: fmt.Sprintf("s%d", j), Requirements: drawLabels(d, "spread"), Weight: &w})
		}
		c.Traits = []manifest.Trait{{Type: oneOf(d, "scaler", manifest.TraitSpreadScaler, manifest.TraitSpreadScaler, manifest.TraitSpreadScaler, manifest.TraitDaemonScaler), Spread: sc}}
		m.Spec.Components = append(m.Spec.Components, c)
	}
	for i := range m.Spec.Components {
		target := d.between(0, n-1, "target")
		if d.between(0, 1, "linked") == 0 || target == i || m.Spec.Components[target].Type == manifest.TypeCapability {
			continue
		}
		l := &manifest.Link{Namespace: "wasi", Package: "http", Interfaces: []string{oneOf(d, "interface", "x", "y")},
			Target: manifest.LinkTarget{Name: m.Spec.Components[target].Name}}
		if d.between(0, 3, "configured link") == 0 && len(values) > 0 {
			cfg := slices.Sorted(maps.Keys(values))[0]
			l.Source = &manifest.LinkEnd{Config: []manifest.Config{{Name: cfg, Properties: values[cfg]}}}
		}
		m.Spec.Components[i].Traits = append(m.Spec.Components[i].Traits, manifest.Trait{Type: manifest.TraitLink, Link: l})
	}
	for i := range m.Spec.Components {
		// Only what no link touches shares its id, or two links might exclude each other.
		c := &m.Spec.Components[i]
		touched := slices.ContainsFunc(m.Spec.Components, func(o manifest.Component) bool {
			return slices.ContainsFunc(o.Traits, func(t manifest.Trait) bool {
				return t.Link != nil && (o.Name == c.Name || t.Link.Target.Name == c.Name)
			})
		})
		if !touched && d.between(0, 2, "shared id") == 0 {
			id := "everybodys"
			c.Properties.ID = &id
			break
		}
	}
	return m
}

// drawOperation makes one thing happen.
func drawOperation(d dice, w *world) {
	var alive []lattice.HostID
	for _, id := range slices.Sorted(maps.Keys(w.hosts)) {
		if w.hosts[id].alive {
			alive = append(alive, id)
		}
	}
	name := oneOf(d, "application", "one", "two")
	var h *host
	if len(alive) > 0 {
		h = w.hosts[oneOf(d, "host", alive...)]
	}
	op := d.between(0, 14, "operation")
	switch {
	case op < 5:
		w.apps[name] = drawApp(d, name)
		b, _ := w.apps[name].MarshalJSON()
		w.logf("-- deploy %s", b)
		w.desired()
	case op == 5:
		delete(w.apps, name)
		w.logf("-- undeploy %s", name)
		w.desired()
	case op == 6:
		h := w.addHost(lattice.HostID(fmt.Sprintf("h%d", len(w.hosts))), drawLabels(d, "new host"))
		w.logf("-- host %s %v", h.id, h.labels)
	case op == 7 && len(alive) > 1:
		graceful := d.between(0, 1, "gracefully") == 1
		w.logf("-- kill %s gracefully=%v", h.id, graceful)
		w.kill(h.id, graceful)
	case op == 8 && h != nil:
		h.labels = drawLabels(d, "new")
		w.logf("-- relabel %s %v", h.id, h.labels)
		w.emit(h, lattice.LabelsChanged, map[string]any{"host_id": h.id, "labels": h.labels})
	case op == 9 && h != nil && len(h.workloads) > 0:
		x := oneOf(d, "workload", slices.SortedFunc(maps.Keys(h.workloads), lattice.Workload.Compare)...)
		w.logf("-- remove %s@%s", x.ID, h.id)
		w.removeByHand(h, x)
	case op == 10 && h != nil:
		// A host that is busy gets no less so: it does things in the order it was asked.
		h.busy = later(h.busy, w.now.Add(time.Duration(d.between(1, 40, "seconds"))*time.Second))
		w.logf("-- mute %s until %.3f", h.id, h.busy.Sub(start).Seconds())
	case op == 11:
		w.logf("-- restart")
		w.boot()
	case op == 12:
		w.logf("-- links wiped, and no event told")
		w.links, w.shown = nil, nil
	case op == 13 && h != nil:
		x := lattice.ComponentOf("everybodys")
		x.Provider = d.between(0, 1, "provider") == 1
		// Who starts something under an id that we are just starting there, or before we
		// can know of it, is not protected by anybody: not in the moment either in which
		// a new owner can't tell yet whether an inventory or an event is the later.
		if h.workloads[x] == nil && !w.asked(h.id, x) && w.now.Sub(w.bootedAt) > 30*time.Second {
			w.logf("-- foreign %s@%s", x.ID, h.id)
			meddle := w.meddle
			w.meddle = nil
			w.startForeign(h, x, "theirs:1")
			w.meddle = meddle
		}
	case op == 14 && h != nil:
		ref := fmt.Sprintf("c%d:%d", d.between(0, 2, "name"), d.between(1, 3, "image"))
		im := w.images[ref]
		im.fail = "no such image"
		w.images[ref] = im
		w.logf("-- image %s is gone", ref)
	}
	w.run(time.Duration(d.between(0, 20_000, "pause")) * time.Millisecond)
}

// asked tells whether a command about a workload may be on its way to a host.
func (w *world) asked(h lattice.HostID, x lattice.Workload) bool {
	at, ever := w.askedAt[target{h, x}]
	return ever && w.now.Sub(at) < 3*time.Minute
}

// removeByHand stops a workload past us.
func (w *world) removeByHand(h *host, x lattice.Workload) {
	i := h.workloads[x]
	delete(h.workloads, x)
	delete(h.foreign, x)
	if x.Provider {
		w.emit(h, lattice.ProviderStopped, map[string]any{"provider_id": x.ID, "annotations": i.annotations, "host_id": h.id, "reason": "stop"})
		return
	}
	h.scaled(w, x.ID, i.image, i.annotations, 0)
}

// startForeign starts a workload of someone else.
func (w *world) startForeign(h *host, x lattice.Workload, image string) {
	i := &workload{image: image, annotations: map[string]string{"someone": "else"}, max: 1}
	h.workloads[x], h.foreign[x] = i, i
	if x.Provider {
		w.emit(h, lattice.ProviderStarted, map[string]any{"provider_id": x.ID, "image_ref": image, "annotations": i.annotations, "host_id": h.id})
		return
	}
	h.scaled(w, x.ID, image, i.annotations, 1)
}

// hasty has shorter waits than usual, so that worlds come to rest sooner. The
// deadline still exceeds the longest time for which a host is mute.
var hasty = core.Config{CommandDeadline: time.Minute, BackoffMax: 30 * time.Second, Resync: 2 * time.Minute}

// drawWorld draws a fleet and how images behave.
func drawWorld(d dice) *world {
	w := newWorldWith(hasty)
	for _, ref := range []string{"c0", "c1", "c2"} {
		for v := range 3 {
			w.images[fmt.Sprintf("%s:%d", ref, v+1)] = image{
				fetch: time.Duration(d.between(0, 4000, "fetch")) * time.Millisecond,
				mutes: d.between(0, 4, "mutes") == 0,
			}
		}
	}
	for i := range d.between(1, 5, "hosts") {
		w.addHost(lattice.HostID(fmt.Sprintf("h%d", i)), drawLabels(d, "host"))
	}
	w.run(time.Second)
	w.twice = d.between(0, 1, "asked twice") == 1
	w.lag = time.Duration(d.between(0, 1, "lag")) * 20 * time.Millisecond
	w.saveDelay = time.Duration(d.between(0, 1, "late snapshots")) * 5 * time.Second
	w.unlucky = func(lucky *host) *host {
		for _, id := range slices.Sorted(maps.Keys(w.hosts)) {
			if h := w.hosts[id]; h.alive && h.mute(w) && d.between(0, 2, "unlucky") == 0 {
				return h
			}
		}
		return lucky
	}
	return w
}

// ordeal lets things happen to a world, some of them badly, and then lets it rest.
func ordeal(d dice, w *world) {
	if d.between(0, 1, "lossy") == 1 {
		w.meddle = func(lattice.EventKind, []byte) []time.Duration {
			switch d.between(0, 9, "fate") {
			case 0:
				return nil
			case 1:
				return []time.Duration{0, time.Second}
			case 2:
				return []time.Duration{3 * time.Second}
			}
			return []time.Duration{0}
		}
		w.deaf = func(lattice.Command) bool { return d.between(0, 19, "deaf") == 0 }
	}
	for range d.between(1, 12, "operations") {
		drawOperation(d, w)
	}
	w.meddle, w.deaf = nil, nil
	for ref, im := range w.images {
		im.fail = ""
		w.images[ref] = im
	}
	w.run(6 * time.Minute)
}
