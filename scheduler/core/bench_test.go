package core_test

import (
	"fmt"
	"testing"
	"time"

	"wadm/scheduler/core"
	"wadm/scheduler/lattice"
	"wadm/tenancy/manifest"
)

// fleet is a lattice that has been gathered: hosts of which each runs what it
// was given, and applications.
type fleet struct {
	core  *core.State
	now   time.Time
	hosts []map[string]any
	links map[lattice.LinkID]lattice.Link
	// sent counts commands about links.
	sent int
}

func hostID(i int) lattice.HostID { return lattice.HostID(fmt.Sprintf("N%05d", i)) }

// newFleet starts the given number of hosts with some workloads of nobody's on
// each, and deploys applications of one component with some instances.
func newFleet(b testing.TB, hosts, workloads, apps int, instances uint64) *fleet {
	b.Helper()
	f := &fleet{core: core.New(core.Config{Prefix: "b"}), now: start}
	d, err := f.core.Start(nil, nil, f.now)
	if err != nil {
		b.Fatal(err)
	}
	f.obey(d)
	var ids []lattice.HostID
	for i := range hosts {
		var components []any
		for k := range workloads {
			components = append(components, map[string]any{"id": fmt.Sprintf("other-%d", k), "image_ref": "other:1", "max_instances": 1, "annotations": map[string]string{"someone": "else"}})
		}
		f.hosts = append(f.hosts, map[string]any{"host_id": hostID(i), "friendly_name": "h", "labels": map[string]string{"zone": fmt.Sprint(i % 3)},
			"version": "1.9.2", "uptime_seconds": 1, "components": append([]any{}, components...), "providers": []any{}})
		ids = append(ids, hostID(i))
		f.obey(f.core.Event(f.beat(i), f.now))
	}
	f.obey(f.core.HostsListed(ids, f.now))
	for i := range hosts {
		inv, err := lattice.DecodeInventory(mustJSON(f.hosts[i]))
		if err != nil {
			b.Fatal(err)
		}
		f.obey(f.core.InventoryRead(inv, f.now))
	}
	f.obey(f.core.LinksListed(nil, f.now))
	desired := map[string]*manifest.Manifest{}
	for i := range apps {
		m := simple("web:1", instances)
		m.Metadata.Name = fmt.Sprintf("app%d", i)
		desired[m.Metadata.Name] = m
	}
	d, err = f.core.Desired(desired, f.now)
	if err != nil {
		b.Fatal(err)
	}
	f.obey(d)
	if !f.core.Recovered() {
		b.Fatal("the lattice has not been gathered")
	}
	return f
}

// obey does at once what a decision asks of hosts.
func (f *fleet) obey(d core.Decision) {
	for _, c := range d.Commands {
		switch c.Kind {
		case lattice.ScaleComponent:
		case lattice.PutLink, lattice.DeleteLink:
			if f.sent++; c.Kind == lattice.PutLink {
				f.links[c.Link.ID()] = *c.Link
			} else {
				delete(f.links, c.Link.ID())
			}
			f.obey(f.core.Reply(c, lattice.Reply{}, f.now))
			continue
		default:
			continue
		}
		var i int
		_, _ = fmt.Sscanf(string(c.Host), "N%d", &i)
		f.now = f.now.Add(time.Microsecond)
		f.obey(f.core.Event(f.event(i, lattice.ComponentScaled, map[string]any{"component_id": c.Workload, "image_ref": c.Image, "max_instances": c.Count, "annotations": c.Annotations, "host_id": c.Host}), f.now))
	}
}

func (f *fleet) event(i int, kind lattice.EventKind, data any) []byte {
	return mustJSON(map[string]any{"specversion": "1.0", "id": "1", "type": lattice.TypePrefix + string(kind), "source": hostID(i),
		"time": f.now.Format(time.RFC3339Nano), "data": data})
}

func (f *fleet) beat(i int) []byte { return f.event(i, lattice.HostHeartbeat, f.hosts[i]) }

// newUnsatisfied starts hosts and deploys applications of one component of two
// instances with the spreads given, and waits until all is at rest.
func newUnsatisfied(b testing.TB, hosts, apps int, spreads func(app int) []manifest.Spread) *fleet {
	b.Helper()
	f := newFleet(b, hosts, 1, 0, 0)
	desired := map[string]*manifest.Manifest{}
	for i := range apps {
		m := simple("web:1", 2)
		m.Metadata.Name = fmt.Sprintf("app%d", i)
		m.Spec.Components[0].Traits[0].Spread.Spread = spreads(i)
		desired[m.Metadata.Name] = m
	}
	d, err := f.core.Desired(desired, f.now)
	if err != nil {
		b.Fatal(err)
	}
	f.obey(d)
	f.now = f.now.Add(time.Second)
	f.obey(f.core.Tick(f.now))
	return f
}

// comeAndGo has a host start, do what it is asked and stop.
func (f *fleet) comeAndGo(i int, labels map[string]string) {
	f.now = f.now.Add(time.Second)
	f.obey(f.core.Event(f.event(i, lattice.HostStarted, map[string]any{"friendly_name": "new", "labels": labels, "version": "1.9.2"}), f.now))
	f.now = f.now.Add(time.Second)
	f.obey(f.core.Event(f.event(i, lattice.HostStopped, map[string]any{"labels": map[string]string{}}), f.now))
}

// TestQuietHeartbeatsCostNothing: a heartbeat without news leads to no work and
// next to no allocation, however large the lattice.
func TestQuietHeartbeatsCostNothing(t *testing.T) {
	f := newFleet(t, 50, 20, 5, 1)
	f.now = f.now.Add(time.Second)
	// A host that runs nothing of ours: what was started is not in its inventory here.
	i := 49
	first := f.beat(i)
	if d := f.core.Event(first, f.now); d.Dropped != nil {
		t.Fatal(d.Dropped)
	}
	b := f.beat(i)
	if n := testing.AllocsPerRun(200, func() {
		if d := f.core.Event(b, f.now); !d.Unchanged {
			t.Fatal("news")
		}
	}); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

// TestHostsThatFitNobodyCostNothing: a host that no application wants leads to no
// evaluation of those that lack hosts, however many there are.
func TestHostsThatFitNobodyCostNothing(t *testing.T) {
	cost := func(apps int) float64 {
		f := newUnsatisfied(t, 50, apps, func(int) []manifest.Spread {
			return []manifest.Spread{{Name: "moon", Requirements: map[string]string{"zone": "moon"}}, {Name: "one", Requirements: map[string]string{"zone": "1"}}}
		})
		return testing.AllocsPerRun(50, func() { f.comeAndGo(50, map[string]string{"zone": "1"}) })
	}
	if few, many := cost(1), cost(200); many > few+20 {
		t.Errorf("%v allocations with 200 applications, %v with one", many, few)
	}
}

func BenchmarkQuietHeartbeat(b *testing.B) {
	for _, hosts := range []int{3, 1000, 10_000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			f := newFleet(b, hosts, 20, 1, 1)
			f.now = f.now.Add(time.Second)
			f.core.Event(f.beat(hosts-1), f.now)
			ev := f.beat(hosts - 1)
			b.ReportAllocs()
			for b.Loop() {
				if d := f.core.Event(ev, f.now); !d.Unchanged {
					b.Fatal("news")
				}
			}
		})
	}
}

// BenchmarkInstanceDied measures the whole reaction: the event that an instance
// has ended, the command that replaces it, and the event that it has worked.
func BenchmarkInstanceDied(b *testing.B) {
	for _, size := range []struct {
		hosts, apps int
		instances   uint64
	}{{10, 10, 10}, {100, 100, 10}, {1000, 1000, 10}, {10_000, 1000, 10}, {1000, 10, 1000}, {10_000, 1, 10_000}} {
		b.Run(fmt.Sprintf("hosts=%d/apps=%d/instances=%d", size.hosts, size.apps, size.instances), func(b *testing.B) {
			f := newFleet(b, size.hosts, 1, size.apps, size.instances)
			sent := 0
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; b.Loop(); n++ {
				f.now = f.now.Add(time.Second)
				i := n % size.hosts
				d := f.core.Event(f.event(i, lattice.ComponentScaled, map[string]any{"component_id": "app0-web", "image_ref": "web:1", "max_instances": 0, "annotations": map[string]string{}, "host_id": hostID(i)}), f.now)
				sent += len(d.Commands)
				f.obey(d)
			}
			if sent == 0 {
				b.Fatal("nothing was done about it")
			}
		})
	}
}

// BenchmarkHostJoins measures a host that comes and goes in a large lattice.
func BenchmarkHostJoins(b *testing.B) {
	for _, hosts := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			f := newFleet(b, hosts, 1, 1000, 3)
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				f.comeAndGo(hosts, map[string]string{})
			}
		})
	}
}

// BenchmarkHostsAndTheUnsatisfied measures a host that comes and goes while the
// applications want one with a label that none has: each one of its own, all
// the same, or each one of its own besides one of a zone, of which there are many.
func BenchmarkHostsAndTheUnsatisfied(b *testing.B) {
	own := func(i int) map[string]string { return map[string]string{"slot": fmt.Sprint(i)} }
	only := func(i int) []manifest.Spread { return []manifest.Spread{{Name: "own", Requirements: own(i)}} }
	for _, shape := range []struct {
		name    string
		spreads func(int) []manifest.Spread
		labels  map[string]string
	}{
		{"fits=none", only, map[string]string{"zone": "0"}},
		{"fits=one", only, own(7)},
		{"fits=all-in-part", func(i int) []manifest.Spread {
			return append(only(i), manifest.Spread{Name: "zone", Requirements: map[string]string{"zone": "1"}})
		}, map[string]string{"zone": "1"}},
	} {
		for _, size := range []struct{ hosts, apps int }{{2000, 200}, {10_000, 1000}} {
			b.Run(fmt.Sprintf("%s/hosts=%d/apps=%d", shape.name, size.hosts, size.apps), func(b *testing.B) {
				f := newUnsatisfied(b, size.hosts, size.apps, shape.spreads)
				b.ReportAllocs()
				b.ResetTimer()
				for b.Loop() {
					f.comeAndGo(size.hosts, shape.labels)
				}
			})
		}
	}
}

// BenchmarkGather measures a take-over: everything is listed once.
func BenchmarkGather(b *testing.B) {
	for _, hosts := range []int{3, 1000, 10_000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				newFleet(b, hosts, 5, 1, 1)
			}
		})
	}
}

// BenchmarkFirstDeploy measures the deploy of a new application in a large lattice,
// with the snapshot that its commands wait for.
func BenchmarkFirstDeploy(b *testing.B) {
	f := newFleet(b, 1000, 20, 0, 0)
	f.core.Snapshot()
	apps := map[string]*manifest.Manifest{}
	b.ReportAllocs()
	for b.Loop() {
		f.now = f.now.Add(time.Second)
		m := simple("web:1", 1)
		m.Metadata.Name = fmt.Sprintf("app%d", len(apps))
		apps[m.Metadata.Name] = m
		d, err := f.core.Desired(apps, f.now)
		if err != nil {
			b.Fatal(err)
		}
		if d.State == nil {
			b.Fatal("nothing is stored")
		}
		f.obey(d)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	f := newFleet(b, 1000, 20, 10, 10)
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		size = len(f.core.Snapshot())
	}
	b.ReportMetric(float64(size), "bytes")
}

// FuzzSnapshot: whatever is stored, an owner starts or says why not.
func FuzzSnapshot(f *testing.F) {
	fl := newFleet(f, 3, 2, 2, 2)
	f.Add(fl.core.Snapshot())
	f.Add([]byte(`{"apps":["a"],"links":[{"id":{"Source":"s","Target":"t","Namespace":"wasi","Package":"http","Name":"default"},"owner":"a"}],"configs":[{"name":"c","owner":"a","workloads":[{"ID":"w"}]}]}`))
	f.Add([]byte(`{"hosts":[{"Host":"h","Components":[{"ID":"c","Max":3}]}]}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := core.New(core.Config{Prefix: "f"})
		if _, err := s.Start(b, nil, start); err != nil {
			return
		}
		now := start.Add(time.Second)
		s.HostsListed(nil, now)
		s.LinksListed(nil, now)
		if _, err := s.Desired(nil, now); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			now = now.Add(time.Minute)
			s.Tick(now)
		}
		// What it stores, the next one can read.
		if _, err := core.New(core.Config{Prefix: "g"}).Start(s.Snapshot(), nil, now); err != nil {
			t.Fatal(err)
		}
	})
}
