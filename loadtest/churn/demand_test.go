package churn_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wadm/config/natsconn/natstest"
	"wadm/loadtest/churn"
	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
)

func TestCountsFollowTheWeights(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		n             int
		weights, want []int
	}{
		{7, []int{30, 40}, []int{3, 4}},
		{7, []int{100, 100}, []int{4, 3}},
		{10, []int{0, 0}, []int{5, 5}},
		{103, []int{42, 3, 37, 384}, []int{10, 0, 8, 85}},
		{5, []int{1, 1, 1}, []int{2, 2, 1}},
		{2, []int{1, 1, 1, 1}, []int{1, 1, 0, 0}},
		{12, []int{25, 25, 50}, []int{3, 3, 6}},
		{4, nil, []int{4}},
	} {
		if d := cmp.Diff(tc.want, churn.Counts(tc.n, tc.weights...)); d != "" {
			t.Errorf("%d by %v: %s", tc.n, tc.weights, d)
		}
	}
}

// TestEveryDifferenceIsSeen builds what a world demands by hand, spoils one thing
// at a time, and expects the check to name it.
func TestEveryDifferenceIsSeen(t *testing.T) {
	t.Parallel()
	managed := map[string]string{lattice.AnnotationManagedBy: "wadm", lattice.AnnotationApp: "shop"}
	component := func(id, image string, n uint32) lattice.Component {
		return lattice.Component{ID: lattice.WorkloadID(id), Image: image, Annotations: managed, Max: n}
	}
	link := lattice.Link{
		Source: "shop-web", Target: "shop-db", Name: "default", Namespace: "churn", Package: "store", Interfaces: []string{"rows"},
		SourceConfig: []string{}, TargetConfig: []string{},
	}
	for _, tc := range []struct {
		name  string
		spoil func(l *simhost.Lattice, a, b *simhost.Host) error
		want  string // part of the only difference; empty for none
	}{
		{"nothing", func(*simhost.Lattice, *simhost.Host, *simhost.Host) error { return nil }, ""},
		{"shared out another way", func(_ *simhost.Lattice, a, b *simhost.Host) error {
			// The one of the spread "any" may be on any host but that of the spread "a".
			return errors.Join(b.StartComponent(component("shop-web", "web:1", 1)), a.StartComponent(component("shop-web", "web:1", 3)))
		}, ""},
		{"too many", func(_ *simhost.Lattice, a, _ *simhost.Host) error {
			return a.StartComponent(component("shop-web", "web:1", 4))
		}, "shop-web runs 4 on"},
		{"none", func(_ *simhost.Lattice, a, _ *simhost.Host) error { return a.RemoveComponent("shop-web") }, "1 spreads are served, 2 could be"},
		{"daemon missing", func(_ *simhost.Lattice, _, b *simhost.Host) error { return b.RemoveComponent("shop-log") }, "shop-log runs 0 times"},
		{"daemon where none belongs", func(_ *simhost.Lattice, a, _ *simhost.Host) error {
			return a.StartComponent(component("shop-log", "log:1", 2))
		}, "fits no spread"},
		{"provider missing", func(_ *simhost.Lattice, a, _ *simhost.Host) error { return a.RemoveProvider("shop-db") }, "shop-db runs on 0 hosts"},
		{"provider twice", func(_ *simhost.Lattice, _, b *simhost.Host) error {
			return b.StartProvider(lattice.Provider{ID: "shop-db", Image: "db:1", Annotations: managed})
		}, "shop-db runs on 2 hosts"},
		{"wrong image", func(_ *simhost.Lattice, _, b *simhost.Host) error {
			return errors.Join(b.RemoveComponent("shop-log"), b.StartComponent(component("shop-log", "log:2", 2)))
		}, "runs log:2, want log:1"},
		{"image only said", func(_ *simhost.Lattice, _, b *simhost.Host) error {
			return errors.Join(b.RemoveComponent("shop-log"), b.StartComponent(component("shop-log", "log:0", 1)), b.StartComponent(component("shop-log", "log:1", 2)))
		}, "says shop-log runs log:1, and it runs log:0"},
		{"leftover", func(_ *simhost.Lattice, a, _ *simhost.Host) error {
			return a.StartComponent(component("old-web", "web:0", 1))
		}, "component old-web is left over"},
		{"link too many", func(l *simhost.Lattice, _, _ *simhost.Host) error {
			k := link
			k.Package = "http"
			return l.SeedLink(k)
		}, "should not be"},
		{"configuration changed", func(l *simhost.Lattice, _, _ *simhost.Host) error {
			return l.SeedConfig("shop-web_conf", map[string]string{"k": "other"})
		}, "shop-web_conf is map[k:other]"},
		{"configuration left over", func(l *simhost.Lattice, _, _ *simhost.Host) error { return l.SeedConfig("shop-old", nil) }, "shop-old is left over"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l, err := simhost.New(natstest.Start(t, natstest.WithoutJetStream()).Connect(t), "x", simhost.Config{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(l.Close)
			host := func(zone string) *simhost.Host {
				h, err := l.AddHost(simhost.HostConfig{Labels: map[string]string{"zone": zone}})
				if err != nil {
					t.Fatal(err)
				}
				return h
			}
			a, b := host("a"), host("b")
			if err := errors.Join(
				l.SeedConfig("shop-web_conf", map[string]string{"k": "v"}), l.SeedLink(link),
				a.StartComponent(component("shop-web", "web:1", 3)), b.StartComponent(component("shop-web", "web:1", 1)),
				a.StartProvider(lattice.Provider{ID: "shop-db", Image: "db:1", Annotations: managed}),
				b.StartComponent(component("shop-log", "log:1", 2)),
				tc.spoil(l, a, b),
			); err != nil {
				t.Fatal(err)
			}
			got := churn.Differences(l, churn.SmallWorld())
			switch {
			case tc.want == "" && len(got) > 0:
				t.Errorf("differences %q, want none", got)
			case tc.want != "" && (len(got) != 1 || !strings.Contains(got[0], tc.want)):
				t.Errorf("differences %q, want one with %q", got, tc.want)
			}
		})
	}
}

func TestTheSameSeedMakesTheSamePlan(t *testing.T) {
	t.Parallel()
	text := func(seed uint64) map[string][]string {
		plan, err := churn.NewPlan(churn.Config{Seed: seed, Duration: 60e9})
		if err != nil {
			t.Fatal(err)
		}
		out := map[string][]string{}
		for name, ops := range plan.Operations() {
			for _, o := range ops {
				out[name] = append(out[name], o.String())
			}
		}
		return out
	}
	if d := cmp.Diff(text(7), text(7)); d != "" {
		t.Error(d)
	}
	if cmp.Equal(text(7), text(8)) {
		t.Error("two seeds make one plan")
	}
}

func TestImpossibleConfigurationsAreRefused(t *testing.T) {
	t.Parallel()
	for _, cfg := range []churn.Config{
		{Lattices: -1}, {Hosts: 2}, {Apps: -1}, {Duration: -1}, {Rate: -1}, {Loss: 1}, {EventLoss: -0.1}, {Heartbeat: -1},
	} {
		if _, err := churn.NewPlan(cfg); !errors.Is(err, churn.ErrConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
