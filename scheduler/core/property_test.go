package core_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"wadm/scheduler/lattice"
	"wadm/tenancy/manifest"
)

// zones are the label values hosts and spreads draw from.
var zones = []string{"a", "b", "c"}

func drawLabels(t *rapid.T, what string) map[string]string {
	labels := map[string]string{}
	if z := rapid.SampledFrom(append([]string{""}, zones...)).Draw(t, what+" zone"); z != "" {
		labels["zone"] = z
	}
	if rapid.Bool().Draw(t, what+" edge") {
		labels["edge"] = "yes"
	}
	return labels
}

// drawApp draws an application. Ids are shared between some applications on purpose.
func drawApp(t *rapid.T, name string) *manifest.Manifest {
	m := &manifest.Manifest{APIVersion: "core.oam.dev/v1beta1", Kind: "Application", Metadata: manifest.Metadata{Name: name}}
	n := rapid.IntRange(1, 3).Draw(t, "components")
	for i := range n {
		kind := manifest.TypeComponent
		if rapid.IntRange(0, 3).Draw(t, "type") == 0 {
			kind = manifest.TypeCapability
		}
		c := manifest.Component{Name: fmt.Sprintf("c%d", i), Type: kind}
		image := fmt.Sprintf("%s:%d", c.Name, rapid.IntRange(1, 3).Draw(t, "image"))
		c.Properties.Image = &image
		if rapid.Bool().Draw(t, "configured") {
			c.Properties.Config = []manifest.Config{{Name: fmt.Sprintf("cfg%d", rapid.IntRange(0, 1).Draw(t, "config")),
				Properties: map[string]string{"v": rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")}}}
		}
		sc := &manifest.SpreadScaler{Instances: uint64(rapid.IntRange(0, 5).Draw(t, "instances"))}
		for j := range rapid.IntRange(0, 2).Draw(t, "spreads") {
			w := uint64(rapid.IntRange(0, 3).Draw(t, "weight"))
			sc.Spread = append(sc.Spread, manifest.Spread{Name: fmt.Sprintf("s%d", j), Requirements: drawLabels(t, "spread"), Weight: &w})
		}
		trait := manifest.TraitSpreadScaler
		if rapid.IntRange(0, 3).Draw(t, "daemon") == 0 {
			trait = manifest.TraitDaemonScaler
		}
		c.Traits = append(c.Traits, manifest.Trait{Type: trait, Spread: sc})
		m.Spec.Components = append(m.Spec.Components, c)
	}
	// Two configurations of one name in one application must agree; the first says.
	values := map[string]map[string]string{}
	for i := range m.Spec.Components {
		for j, cfg := range m.Spec.Components[i].Properties.Config {
			if v, ok := values[cfg.Name]; ok {
				m.Spec.Components[i].Properties.Config[j].Properties = v
			} else {
				values[cfg.Name] = cfg.Properties
			}
		}
	}
	for i := range m.Spec.Components {
		target := rapid.IntRange(0, n-1).Draw(t, "target")
		if target == i || m.Spec.Components[target].Type == manifest.TypeCapability || !rapid.Bool().Draw(t, "linked") {
			continue
		}
		l := &manifest.Link{Namespace: "wasi", Package: "http", Interfaces: []string{rapid.SampledFrom([]string{"x", "y"}).Draw(t, "interface")},
			Target: manifest.LinkTarget{Name: m.Spec.Components[target].Name}}
		m.Spec.Components[i].Traits = append(m.Spec.Components[i].Traits, manifest.Trait{Type: manifest.TraitLink, Link: l})
	}
	return m
}

// drawOperation makes one thing happen.
func drawOperation(t *rapid.T, w *world) {
	ids := slices.Sorted(maps.Keys(w.hosts))
	var alive []lattice.HostID
	for _, id := range ids {
		if w.hosts[id].alive {
			alive = append(alive, id)
		}
	}
	switch rapid.IntRange(0, 11).Draw(t, "operation") {
	case 0, 1, 2, 3:
		name := rapid.SampledFrom([]string{"one", "two"}).Draw(t, "application")
		w.apps[name] = drawApp(t, name)
		b, _ := w.apps[name].MarshalJSON()
		w.logf("-- deploy %s", b)
		w.desired()
	case 4:
		name := rapid.SampledFrom([]string{"one", "two"}).Draw(t, "application")
		delete(w.apps, name)
		w.logf("-- undeploy %s", name)
		w.desired()
	case 5:
		h := w.addHost(lattice.HostID(fmt.Sprintf("h%d", len(w.hosts))), drawLabels(t, "host"))
		w.logf("-- host %s %v", h.id, h.labels)
	case 6:
		if len(alive) > 1 {
			id, graceful := rapid.SampledFrom(alive).Draw(t, "host"), rapid.Bool().Draw(t, "gracefully")
			w.logf("-- kill %s gracefully=%v", id, graceful)
			w.kill(id, graceful)
		}
	case 7:
		if len(alive) > 0 {
			h := w.hosts[rapid.SampledFrom(alive).Draw(t, "host")]
			h.labels = drawLabels(t, "new")
			w.logf("-- relabel %s %v", h.id, h.labels)
			w.emit(h, lattice.LabelsChanged, map[string]any{"host_id": h.id, "labels": h.labels})
		}
	case 8:
		if len(alive) > 0 {
			h := w.hosts[rapid.SampledFrom(alive).Draw(t, "host")]
			for _, x := range slices.SortedFunc(maps.Keys(h.workloads), lattice.Workload.Compare) {
				i := h.workloads[x]
				w.logf("-- remove %s@%s", x.ID, h.id)
				delete(h.workloads, x)
				if x.Provider {
					w.emit(h, lattice.ProviderStopped, map[string]any{"provider_id": x.ID, "annotations": i.annotations, "host_id": h.id, "reason": "stop"})
				} else {
					h.scaled(w, x.ID, i.image, i.annotations, 0)
				}
				break
			}
		}
	case 9:
		if len(alive) > 0 {
			h := w.hosts[rapid.SampledFrom(alive).Draw(t, "host")]
			h.busy = w.now.Add(time.Duration(rapid.IntRange(1, 12).Draw(t, "seconds")) * time.Second)
			w.logf("-- mute %s until %.3f", h.id, h.busy.Sub(start).Seconds())
		}
	case 10:
		w.logf("-- restart")
		w.boot()
	case 11:
		w.links = nil // someone wiped them, and no event told
	}
	w.run(time.Duration(rapid.IntRange(0, 20_000).Draw(t, "pause")) * time.Millisecond)
}

// TestConvergesWhateverHappens: after any sequence of operations and faults, and
// a rest, every host runs exactly what the manifests want, and nothing more is asked.
func TestConvergesWhateverHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		for _, ref := range []string{"c0", "c1", "c2"} {
			for v := range 3 {
				w.images[fmt.Sprintf("%s:%d", ref, v+1)] = image{
					fetch: time.Duration(rapid.IntRange(0, 4000).Draw(t, "fetch")) * time.Millisecond,
					mutes: rapid.IntRange(0, 4).Draw(t, "mutes") == 0,
				}
			}
		}
		for i := range rapid.IntRange(1, 4).Draw(t, "hosts") {
			w.addHost(lattice.HostID(fmt.Sprintf("h%d", i)), drawLabels(t, "host"))
		}
		if rapid.Bool().Draw(t, "foreign") {
			h := w.hosts["h0"]
			key := lattice.ComponentOf("one-c0")
			h.workloads[key] = &workload{image: "c0:1", annotations: map[string]string{"someone": "else"}, max: 1}
			h.scaled(w, "one-c0", "c0:1", h.workloads[key].annotations, 1)
		}
		w.run(time.Second)
		if rapid.Bool().Draw(t, "lossy") {
			w.meddle = func(lattice.EventKind, []byte) []time.Duration {
				switch rapid.IntRange(0, 9).Draw(t, "fate") {
				case 0:
					return nil
				case 1:
					return []time.Duration{0, time.Second}
				case 2:
					return []time.Duration{3 * time.Second}
				}
				return []time.Duration{0}
			}
		}
		for range rapid.IntRange(1, 12).Draw(t, "operations") {
			drawOperation(t, w)
		}
		w.meddle = nil
		w.run(15 * time.Minute)
		sent := w.sent
		w.log = nil
		w.run(10 * time.Minute)
		if w.sent != sent {
			t.Errorf("%d commands after convergence:\n%s", w.sent-sent, strings.Join(w.log, "\n"))
		}
		if len(w.broken) > 0 {
			t.Errorf("broken: %q", w.broken)
		}
		for _, problem := range verify(w) {
			t.Error(problem)
		}
		if t.Failed() {
			w.log = nil
			w.show()
			t.Logf("what happened:\n%s\n%s", strings.Join(w.history, "\n"), strings.Join(w.log, "\n"))
		}
	})
}

// verify compares the world with its manifests by counting, without placing.
func verify(w *world) (problems []string) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	wantLinks, wantConfigs := map[lattice.LinkID]lattice.Link{}, map[string]map[string]string{}
	for _, app := range slices.Sorted(maps.Keys(w.apps)) {
		m := w.apps[app]
		for i := range m.Spec.Components {
			c := &m.Spec.Components[i]
			id := lattice.WorkloadID(manifest.ComponentID(app, c.Name, c.Properties.ID))
			key := lattice.Workload{ID: id, Provider: c.Type == manifest.TypeCapability}
			for _, cfg := range c.Properties.Config {
				wantConfigs[manifest.ConfigName(app, cfg)] = cfg.Properties
			}
			for _, tr := range c.Traits {
				if tr.Link != nil {
					l := lattice.Link{Source: id, Name: "default", Namespace: tr.Link.Namespace, Package: tr.Link.Package, Interfaces: tr.Link.Interfaces,
						Target: lattice.WorkloadID(manifest.ComponentID(app, tr.Link.Target.Name, nil))}
					if x := m.Component(tr.Link.Target.Name); x != nil && !(c.Type == manifest.TypeCapability && x.Type == manifest.TypeCapability) {
						wantLinks[l.ID()] = l
					}
					continue
				}
				verifyScaler(w, app, c, key, tr, bad)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(w.hosts)) {
		h := w.hosts[id]
		if !h.alive {
			continue
		}
		for x, i := range h.workloads {
			if i.annotations[lattice.AnnotationManagedBy] != lattice.ManagedBy {
				continue
			}
			app := i.annotations[lattice.AnnotationApp]
			m := w.apps[app]
			ok := false
			for j := 0; m != nil && j < len(m.Spec.Components); j++ {
				c := &m.Spec.Components[j]
				ok = ok || manifest.ComponentID(app, c.Name, nil) == string(x.ID) && x.Provider == (c.Type == manifest.TypeCapability)
			}
			if !ok {
				bad("leftover %s@%s of %s", x.ID, id, app)
			}
		}
	}
	for id, l := range wantLinks {
		found := false
		for _, have := range w.links {
			found = found || have.ID() == id && slices.Equal(have.Interfaces, l.Interfaces)
		}
		if !found && w.anyone() != nil {
			bad("link %+v is missing", id)
		}
	}
	for _, have := range w.links {
		if _, ok := wantLinks[have.ID()]; !ok {
			bad("link %+v is left over", have.ID())
		}
	}
	for n, v := range wantConfigs {
		if !maps.Equal(w.configs[n], v) {
			bad("config %s is %v, want %v", n, w.configs[n], v)
		}
	}
	for n := range w.configs {
		if _, ok := wantConfigs[n]; !ok {
			bad("config %s is left over", n)
		}
	}
	return problems
}

// verifyScaler checks what holds for any right placement of one scaler: images
// and configurations are the wanted ones, only eligible hosts are used, and the
// count is reached unless no host is eligible or other spreads took them all.
func verifyScaler(w *world, app string, c *manifest.Component, key lattice.Workload, tr manifest.Trait, bad func(string, ...any)) {
	id, spreads := key.ID, tr.Spread.Spread
	if len(spreads) == 0 {
		spreads = []manifest.Spread{{Name: "default"}}
	}
	counts := map[string]int{}
	total, eligible, free := 0, 0, 0
	for _, hid := range slices.Sorted(maps.Keys(w.hosts)) {
		h := w.hosts[hid]
		if !h.alive {
			continue
		}
		fits := slices.ContainsFunc(spreads, func(s manifest.Spread) bool { return h.fits(s.Requirements) })
		i := h.workloads[key]
		if fits {
			eligible++
			if i == nil {
				free++
			}
		}
		if i == nil || i.annotations[lattice.AnnotationApp] != app {
			if i != nil && fits && c.Type == manifest.TypeCapability {
				total++ // someone else's counts
			}
			continue
		}
		if !fits {
			bad("%s@%s runs where no spread of %s wants it", id, hid, app)
		}
		if want := *c.Properties.Image; i.image != want {
			bad("%s@%s runs %s, want %s", id, hid, i.image, want)
		}
		var names []string
		for _, cfg := range c.Properties.Config {
			names = append(names, manifest.ConfigName(app, cfg))
		}
		if !slices.Equal(i.config, names) {
			bad("%s@%s has configurations %v, want %v", id, hid, i.config, names)
		}
		counts[i.annotations[lattice.AnnotationSpread]] += int(i.max)
		total += int(i.max)
		if tr.Type == manifest.TraitDaemonScaler && c.Type == manifest.TypeComponent && i.max != uint32(tr.Spread.Instances) {
			bad("%s@%s has %d, daemon wants %d", id, hid, i.max, tr.Spread.Instances)
		}
	}
	if tr.Type == manifest.TraitDaemonScaler {
		if tr.Spread.Instances > 0 && free > 0 {
			bad("daemon %s is missing on %d of %d hosts", id, free, eligible)
		}
		return
	}
	want := int(tr.Spread.Instances)
	if total > want && total != 0 && !(c.Type == manifest.TypeCapability) {
		bad("%s has %d, want %d (%v)", id, total, want, counts)
	}
	if len(spreads) == 1 && free+total > 0 && total < want && (c.Type == manifest.TypeComponent && eligible > 0 || free > 0) {
		if c.Type == manifest.TypeComponent && total == 0 && free == 0 {
			return // only foreign work there
		}
		bad("%s has %d, want %d; %d hosts eligible, %d free", id, total, want, eligible, free)
	}
}

func (h *host) fits(labels map[string]string) bool {
	for k, v := range labels {
		if h.labels[k] != v {
			return false
		}
	}
	return true
}
