package core_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"wadm/scheduler/core"
	"wadm/scheduler/lattice"
	"wadm/tenancy/manifest"
)

// linked is an application of one component that is linked to a shared one.
func linked(i int) *manifest.Manifest {
	m := simple("web:1", 1)
	m.Metadata.Name = fmt.Sprintf("linked%d", i)
	m.Spec.Components[0].Traits = append(m.Spec.Components[0].Traits, manifest.Trait{Type: manifest.TraitLink, Link: &manifest.Link{
		Namespace: "wasi", Package: "keyvalue", Interfaces: []string{"store"}, Target: manifest.LinkTarget{Name: "store"}}})
	m.Spec.Components = append(m.Spec.Components, manifest.Component{Name: "store", Type: manifest.TypeComponent,
		Properties: manifest.Properties{Application: &manifest.SharedRef{Name: "store", Component: "web"}}})
	return m
}

// newLinkedFleet is a fleet of three hosts with applications of one link each. All
// links lead to one component, as those to a shared provider do.
func newLinkedFleet(b testing.TB, links int) (*fleet, map[string]*manifest.Manifest) {
	b.Helper()
	f := newFleet(b, 3, 0, 0, 1)
	f.links = map[lattice.LinkID]lattice.Link{}
	store := simple("store:1", 1)
	store.Metadata.Name = "store"
	store.Metadata.Annotations = map[string]string{"experimental.wasmcloud.dev/shared": "true"}
	apps := map[string]*manifest.Manifest{"store": store}
	for i := range links {
		m := linked(i)
		apps[m.Metadata.Name] = m
	}
	f.desire(b, apps)
	if len(f.links) != links {
		b.Fatalf("%d links", len(f.links))
	}
	return f, apps
}

func (f *fleet) desire(b testing.TB, apps map[string]*manifest.Manifest) {
	b.Helper()
	d, err := f.core.Desired(apps, f.now)
	if err != nil {
		b.Fatal(err)
	}
	f.obey(d)
}

func forLinks(b *testing.B, run func(b *testing.B, links int)) {
	for _, links := range []int{1000, 4000} {
		b.Run(fmt.Sprintf("links=%d", links), func(b *testing.B) { run(b, links) })
	}
}

// BenchmarkLinkDeleted measures the whole reaction: the event that somebody has
// deleted a link, the command that puts it again, and its answer.
func BenchmarkLinkDeleted(b *testing.B) {
	forLinks(b, func(b *testing.B, links int) {
		f, _ := newLinkedFleet(b, links)
		var all []lattice.Link
		for _, l := range f.links {
			all = append(all, l)
		}
		sent := f.sent
		n := 0
		b.ReportAllocs()
		for b.Loop() {
			l := all[n%len(all)]
			n++
			f.now = f.now.Add(time.Minute)
			delete(f.links, l.ID())
			f.obey(f.core.Event(f.event(0, lattice.LinkDeleted, l), f.now))
		}
		if f.sent != sent+n {
			b.Fatalf("%d commands for %d deletions", f.sent-sent, n)
		}
	})
}

// BenchmarkLinkDeployed measures the deploy and the removal of an application with
// one link beside many others.
func BenchmarkLinkDeployed(b *testing.B) {
	forLinks(b, func(b *testing.B, links int) {
		f, apps := newLinkedFleet(b, links)
		more := maps.Clone(apps)
		more["linked-1"] = linked(-1)
		b.ReportAllocs()
		for b.Loop() {
			f.now = f.now.Add(time.Minute)
			f.desire(b, more)
			if len(f.links) != links+1 {
				b.Fatalf("%d links after the deploy", len(f.links))
			}
			f.now = f.now.Add(time.Minute)
			f.desire(b, apps)
			if len(f.links) != links {
				b.Fatalf("%d links after the removal", len(f.links))
			}
		}
	})
}

// BenchmarkLinksCome measures everything at once: all links put and answered, and
// all of them removed again.
func BenchmarkLinksCome(b *testing.B) {
	forLinks(b, func(b *testing.B, links int) {
		var up, down time.Duration
		for b.Loop() {
			began := time.Now()
			f, apps := newLinkedFleet(b, links)
			up += time.Since(began)
			began = time.Now()
			f.now = f.now.Add(time.Minute)
			f.desire(b, map[string]*manifest.Manifest{"store": apps["store"]})
			if down += time.Since(began); len(f.links) > 0 {
				b.Fatalf("%d links are left", len(f.links))
			}
		}
		b.ReportMetric(float64(up.Microseconds())/float64(b.N*links), "µs/put")
		b.ReportMetric(float64(down.Microseconds())/float64(b.N*links), "µs/delete")
	})
}

// BenchmarkLinksListed measures an owner's first list of links, all of which are news.
func BenchmarkLinksListed(b *testing.B) {
	forLinks(b, func(b *testing.B, links int) {
		f, apps := newLinkedFleet(b, links)
		var list []lattice.Link
		for _, l := range f.links {
			list = append(list, l)
		}
		snapshot := f.core.Snapshot()
		for b.Loop() {
			b.StopTimer()
			s := core.New(core.Config{Prefix: "n"})
			if _, err := s.Start(snapshot, nil, f.now); err != nil {
				b.Fatal(err)
			}
			if _, err := s.Desired(apps, f.now); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			s.LinksListed(list, f.now)
		}
	})
}
