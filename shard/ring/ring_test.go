package ring_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wadm/shard/ring"
)

var update = flag.Bool("update", false, "rewrite golden files")

func build(t testing.TB, members ...ring.Member) *ring.Ring {
	t.Helper()
	r, err := ring.New(ring.DefaultParams(), members, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func fleet(n, units int) []ring.Member {
	ms := make([]ring.Member, n)
	for i := range ms {
		ms[i] = ring.Member{ID: fmt.Sprintf("wadm-%d", i), Units: units}
	}
	return ms
}

// golden is one recorded placement. A difference means that instances of this
// build and of older ones disagree about nearly everything.
type golden struct {
	Members     []ring.Member
	Fingerprint string
	Digest      string
	Shares      map[string]int
	Keys        map[string]string
}

func TestPlacementIsAsRecorded(t *testing.T) {
	t.Parallel()
	var got []golden
	for _, ms := range [][]ring.Member{fleet(1, 4), fleet(3, 4), fleet(10, 4), {{ID: "big", Units: 8}, {ID: "a", Units: 4}, {ID: "b", Units: 1}}} {
		r := build(t, ms...)
		g := golden{
			Members: ms, Fingerprint: ring.DefaultParams().Fingerprint(),
			Digest: fmt.Sprintf("%016x", r.Digest()), Shares: r.Shares(), Keys: map[string]string{},
		}
		for i := range 40 {
			k := fmt.Sprintf("tenant%d.lattice-%d", i%4, i)
			g.Keys[k], _ = r.Owner(k)
		}
		got = append(got, g)
	}
	path := filepath.Join("testdata", "golden.json")
	if *update {
		b, err := json.MarshalIndent(got, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(b, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want []golden
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("placement changed; a mixed fleet would disagree (-recorded +now):\n%s", d)
	}
}

func TestFingerprintTellsEveryParameter(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for name, change := range map[string]func(*ring.Params){
		"default":    func(*ring.Params) {},
		"algorithm":  func(p *ring.Params) { p.Algorithm = "consistent/9" },
		"hash":       func(p *ring.Params) { p.Hash = "fnv" },
		"partitions": func(p *ring.Params) { p.Partitions = 271 },
		"replicas":   func(p *ring.Params) { p.Replicas = 41 },
		"load":       func(p *ring.Params) { p.Load = 1.2 },
	} {
		p := ring.DefaultParams()
		change(&p)
		if other, ok := seen[p.Fingerprint()]; ok {
			t.Errorf("%s and %s have one fingerprint", name, other)
		}
		seen[p.Fingerprint()] = name
	}
}

// What makes the library panic, hang or answer nil is an error or an empty ring here.
func TestHazardsOfTheLibraryAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change  func(*ring.Params)
		members []ring.Member
		want    error
	}{
		"load below one":        {func(p *ring.Params) { p.Load = 0.9 }, fleet(3, 4), ring.ErrParams},
		"load not a number":     {func(p *ring.Params) { p.Load = math.NaN() }, fleet(3, 4), ring.ErrParams},
		"negative partitions":   {func(p *ring.Params) { p.Partitions = -1 }, fleet(3, 4), ring.ErrParams},
		"no partitions":         {func(p *ring.Params) { p.Partitions = 0 }, fleet(3, 4), ring.ErrParams},
		"huge partitions":       {func(p *ring.Params) { p.Partitions = 1 << 30 }, fleet(3, 4), ring.ErrParams},
		"no replicas":           {func(p *ring.Params) { p.Replicas = 0 }, fleet(3, 4), ring.ErrParams},
		"other library version": {func(p *ring.Params) { p.Algorithm = "consistent/0.10.0" }, fleet(3, 4), ring.ErrParams},
		"member twice":          {nil, []ring.Member{{ID: "a", Units: 4}, {ID: "a", Units: 4}}, ring.ErrMembers},
		"member without id":     {nil, []ring.Member{{Units: 4}}, ring.ErrMembers},
		"negative units":        {nil, []ring.Member{{ID: "a", Units: -1}}, ring.ErrMembers},
		"too many units":        {nil, []ring.Member{{ID: "a", Units: 1000}}, ring.ErrMembers},
		"too many members":      {nil, fleet(1001, 1), ring.ErrMembers},
	} {
		p := ring.DefaultParams()
		if tc.change != nil {
			tc.change(&p)
		}
		if _, err := ring.New(p, tc.members, nil); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	for name, ms := range map[string][]ring.Member{"nobody": nil, "only weightless": {{ID: "a"}}} {
		r := build(t, ms...)
		if id, ok := r.Owner("t.l"); ok {
			t.Errorf("%s: owner %q", name, id)
		}
	}
}

func TestEveryFleetSizeGetsATable(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 100; n += 3 {
		for _, p := range []ring.Params{
			{Algorithm: ring.Algorithm, Hash: ring.Hash, Partitions: 271, Replicas: 20, Load: 1.25},
			{Algorithm: ring.Algorithm, Hash: ring.Hash, Partitions: 271, Replicas: 5, Load: 1},
			{Algorithm: ring.Algorithm, Hash: ring.Hash, Partitions: 3, Replicas: 1, Load: 1},
		} {
			if _, err := ring.New(p, fleet(n, 1), nil); err != nil {
				t.Fatalf("%d members: %v", n, err)
			}
		}
	}
}

func TestOverridesWinWhileTheirMemberIsThere(t *testing.T) {
	t.Parallel()
	ms := fleet(3, 4)
	plain := build(t, ms...)
	r, err := ring.New(ring.DefaultParams(), ms, map[string]string{"t.l": "wadm-2", "t.x": "gone"})
	if err != nil {
		t.Fatal(err)
	}
	if id, _ := r.Owner("t.l"); id != "wadm-2" {
		t.Errorf("owner %s", id)
	}
	want, _ := plain.Owner("t.x")
	if id, _ := r.Owner("t.x"); id != want {
		t.Errorf("override to an absent member: %s, want %s", id, want)
	}
	if r.Digest() == plain.Digest() {
		t.Error("digest does not tell an override")
	}
}

// growing gives rings of 1 to n members.
func growing(t *testing.T, prefix string, n int) []*ring.Ring {
	t.Helper()
	var ms []ring.Member
	var rs []*ring.Ring
	for i := range n {
		ms = append(ms, ring.Member{ID: fmt.Sprintf("%s-%d", prefix, i), Units: ring.FullUnits})
		rs = append(rs, build(t, ms...))
	}
	return rs
}

func compare(t *testing.T, from, to *ring.Ring) ring.Movement {
	t.Helper()
	m, err := ring.Compare(from, to)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Bounds of movement and balance at P=4096, 100 points a unit, load 1.25.
func TestAJoinOrLeaveMovesLittleMoreThanItsShare(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"wadm", "i", "pod-7c9f", "eu-west-1a", "x"} {
		rs := growing(t, prefix, 12)
		for i := range rs {
			n := i + 1
			for id, s := range rs[i].Shares() {
				if mean := 4096 / float64(n); float64(s) > mean*1.25+4 {
					t.Fatalf("%s has %d partitions of %d members, mean %.0f", id, s, n, mean)
				}
			}
			if i == 0 {
				continue
			}
			for _, m := range []ring.Movement{compare(t, rs[i-1], rs[i]), compare(t, rs[i], rs[i-1])} {
				if float64(m.Moved-m.Least) > 0.01*float64(m.Partitions) {
					t.Errorf("%s, between %d and %d members: %d moved, least %d", prefix, i, n, m.Moved, m.Least)
				}
			}
		}
	}
}

func TestStepsOfARampMoveWhatOneLeapWould(t *testing.T) {
	t.Parallel()
	rs := growing(t, "wadm", 12)
	for i, from := range rs {
		for _, to := range rs[i+1:] {
			leap := compare(t, from, to)
			const of = 4
			prev, moved := from, 0
			for step := range of + 1 {
				r, err := ring.Ramp(from, to, step, of)
				if err != nil {
					t.Fatal(err)
				}
				m := compare(t, prev, r)
				// The parts are equal as far as chance makes them so.
				if step > 0 && float64(m.Moved) > 1.4*float64(leap.Moved)/of+16 {
					t.Errorf("from %d members, step %d moves %d of %d", i+1, step, m.Moved, leap.Moved)
				}
				moved, prev = moved+m.Moved, r
			}
			if moved != leap.Moved || prev.Digest() != to.Digest() {
				t.Errorf("from %d members: %d moved in steps, %d at once", i+1, moved, leap.Moved)
			}
		}
	}
}

func TestARampGivesNothingToWhoHasNoWeightAnyMore(t *testing.T) {
	t.Parallel()
	from, to := build(t, fleet(3, 4)...), build(t, append(fleet(2, 4), ring.Member{ID: "new", Units: 4})...)
	for step := range 5 {
		r, err := ring.Ramp(from, to, step, 4)
		if err != nil {
			t.Fatal(err)
		}
		for id, n := range r.Shares() {
			if id != "new" && to.Shares()[id] == 0 && n > 0 {
				t.Errorf("step %d: %s, which is gone, has %d partitions", step, id, n)
			}
		}
	}
	empty := build(t)
	if r, err := ring.Ramp(empty, to, 1, 4); err != nil || r.Digest() != to.Digest() {
		t.Errorf("from nothing: %v", err)
	}
	if r, err := ring.Ramp(from, empty, 1, 4); err != nil || r.Digest() != empty.Digest() {
		t.Errorf("to nothing: %v", err)
	}
	for _, bad := range [][2]int{{-1, 4}, {5, 4}, {0, 0}} {
		if _, err := ring.Ramp(from, to, bad[0], bad[1]); !errors.Is(err, ring.ErrParams) {
			t.Errorf("step %d of %d: %v", bad[0], bad[1], err)
		}
	}
}

func TestPropertyOrderOfMembersDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-zA-Z0-9_-]{1,8}`), 1, 5, rapid.ID[string]).Draw(t, "ids")
		ms := make([]ring.Member, len(ids))
		for i, id := range ids {
			ms[i] = ring.Member{ID: id, Units: rapid.IntRange(0, 8).Draw(t, "units")}
		}
		a := mustBuild(t, ms)
		b := mustBuild(t, rapid.Permutation(ms).Draw(t, "order"))
		if a.Digest() != b.Digest() {
			t.Fatal("another order gives another table")
		}
	})
}

func TestWeightsAreServedInProportion(t *testing.T) {
	t.Parallel()
	s := build(t, ring.Member{ID: "a", Units: 4}, ring.Member{ID: "b", Units: 4}, ring.Member{ID: "c", Units: 8}, ring.Member{ID: "d", Units: 0}).Shares()
	for id, want := range map[string]float64{"a": 1024, "b": 1024, "c": 2048, "d": 0} {
		if got := float64(s[id]); got < want*0.8 || got > want*1.25+8 {
			t.Errorf("%s has %v partitions, fair would be %v", id, got, want)
		}
	}
}

func TestSeparatorOfAKeyDoesNotJoinNeighbours(t *testing.T) {
	t.Parallel()
	r := build(t, fleet(4, 4)...)
	if r.Partition("ab.c") == r.Partition("a.bc") {
		t.Error("two keys of the same letters share a partition")
	}
}

func mustBuild(t *rapid.T, ms []ring.Member) *ring.Ring {
	r, err := ring.New(ring.DefaultParams(), ms, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func BenchmarkOwner(b *testing.B) {
	r := build(b, fleet(10, 4)...)
	b.ReportAllocs()
	for b.Loop() {
		r.Owner("tenant-1.lattice-77")
	}
}

func BenchmarkNew(b *testing.B) {
	ms := fleet(10, 4)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.New(ring.DefaultParams(), ms, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzNewNeverPanics(f *testing.F) {
	f.Add("a", "b", 4, 1, 4096, 40, 1.25)
	f.Add("a", "a", 0, -1, 0, -5, 0.9)
	f.Fuzz(func(t *testing.T, a, b string, ua, ub, parts, reps int, load float64) {
		p := ring.Params{Algorithm: ring.Algorithm, Hash: ring.Hash, Partitions: parts, Replicas: reps, Load: load}
		r, err := ring.New(p, []ring.Member{{ID: a, Units: ua}, {ID: b, Units: ub}}, nil)
		if err != nil {
			return
		}
		id, ok := r.Owner("t.l")
		if ok != (ua+ub > 0) || (ok && id != a && id != b) {
			t.Fatalf("owner %q, %v", id, ok)
		}
	})
}
