package shardtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"wadm/shard"
	"wadm/shard/ring"
)

// Contract runs everything that an implementation of shard's ports must meet.
// bubble runs body in a testing/synctest bubble with ports to an empty store
// whose membership records live for 15 s.
func Contract(t *testing.T, bubble func(t *testing.T, body func(t *testing.T, p shard.Ports))) {
	for name, body := range map[string]func(t *testing.T, p shard.Ports){
		"registry holds what was registered":            contractRegistry,
		"registry refuses what is not a key":            contractRegistryRefuses,
		"claims succeed each other":                     contractClaims,
		"claims are followed from their heads on":       contractFollow,
		"of many claims with one condition one is made": contractRace,
		"member records are conditional":                contractMembers,
		"member records expire":                         contractExpiry,
		"member records are removed by their member":    contractDrop,
		"views succeed each other":                      contractViews,
		"beats reach everybody":                         contractBeats,
		"the ledger answers":                            contractLedger,
		"subscriptions end with their context":          contractEnd,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, body)
		})
	}
}

// gather collects what a subscription delivers.
type gather[T any] struct {
	mu    sync.Mutex
	items []T
}

func (g *gather[T]) add(x T) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.items = append(g.items, x)
}

func (g *gather[T]) all() []T {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]T(nil), g.items...)
}

// subscribe runs a subscription until the test ends.
func subscribe(t *testing.T, run func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("subscription ended with %v", err)
		}
	})
}

// settle lets everything under way arrive.
func settle() {
	time.Sleep(100 * time.Millisecond)
	synctest.Wait()
}

func contractRegistry(t *testing.T, p shard.Ports) {
	ctx := t.Context()
	for _, k := range []shard.Key{"a.1", "a.2", "a.2", "b.1"} {
		if err := p.Registry.Register(ctx, k); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Registry.Unregister(ctx, "a.1"); err != nil {
		t.Fatal(err)
	}
	var g gather[[]shard.KeyChange]
	subscribe(t, func(ctx context.Context) error { return p.Registry.Watch(ctx, g.add) })
	settle()
	calls := g.all()
	if len(calls) != 1 {
		t.Fatalf("%d calls before any change, want 1", len(calls))
	}
	present := map[shard.Key]bool{}
	for _, c := range calls[0] {
		present[c.Key] = !c.Gone
	}
	if !present["a.2"] || !present["b.1"] || present["a.1"] {
		t.Errorf("present %v", present)
	}
	for _, step := range []func() error{
		func() error { return p.Registry.Register(ctx, "c.1") },
		func() error { return p.Registry.Unregister(ctx, "c.1") },
		func() error { return p.Registry.Unregister(ctx, "never.was") },
		func() error { return p.Registry.Register(ctx, "c.1") },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
		settle()
	}
	var got []bool
	for _, call := range g.all()[1:] {
		for _, c := range call {
			if c.Key == "c.1" {
				got = append(got, c.Gone)
			}
		}
	}
	if d := cmp.Diff([]bool{false, true, false}, got); d != "" {
		t.Errorf("changes of c.1: %s", d)
	}
}

func contractRegistryRefuses(t *testing.T, p shard.Ports) {
	for _, k := range []shard.Key{"", "a", "a.", ".a", "a.b.c", "a.*", "a.>", "a b.c", "a._x", "ä.b"} {
		if err := p.Registry.Register(t.Context(), k); !errors.Is(err, shard.ErrBadKey) {
			t.Errorf("register %q: %v", k, err)
		}
		if err := p.Registry.Unregister(t.Context(), k); !errors.Is(err, shard.ErrBadKey) {
			t.Errorf("unregister %q: %v", k, err)
		}
	}
}

func held1(owner string, state shard.ClaimState) shard.Record {
	return shard.Record{Owner: shard.MemberID(owner), Incarnation: shard.Incarnation(owner + "-1"), State: state, View: 7, Settle: 12, Reason: "test"}
}

func contractClaims(t *testing.T, p shard.Ports) {
	ctx := t.Context()
	h, err := p.Claims.Last(ctx, "a.1")
	if err != nil || h.Seq != 0 || h.Key != "a.1" {
		t.Fatalf("head of nothing: %+v, %v", h, err)
	}
	var last uint64
	for i, owner := range []string{"x", "y", "x"} {
		for _, wrong := range []uint64{last + 1, last + 100} {
			if _, err := p.Claims.Put(ctx, "a.1", held1(owner, shard.Held), wrong); !errors.Is(err, shard.ErrFenced) {
				t.Fatalf("expecting %d instead of %d: %v", wrong, last, err)
			}
		}
		seq, err := p.Claims.Put(ctx, "a.1", held1(owner, shard.Held), last)
		if err != nil {
			t.Fatal(err)
		}
		if seq <= last {
			t.Fatalf("claim %d has sequence %d after %d", i, seq, last)
		}
		if _, err := p.Claims.Put(ctx, "a.1", held1("z", shard.Held), last); !errors.Is(err, shard.ErrFenced) {
			t.Fatalf("the same condition twice: %v", err)
		}
		last = seq
		h, err := p.Claims.Last(ctx, "a.1")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(shard.Head{Key: "a.1", Seq: seq, Record: held1(owner, shard.Held)}, h); d != "" {
			t.Errorf("head: %s", d)
		}
	}
	other, err := p.Claims.Put(ctx, "a.2", held1("x", shard.Held), 0)
	if err != nil || other <= last {
		t.Errorf("another key: %d, %v: sequences rise over all keys", other, err)
	}
	if _, err := p.Claims.Put(ctx, "a.3", shard.Record{Owner: "x"}, 0); !errors.Is(err, shard.ErrBadRecord) {
		t.Errorf("an incomplete record: %v", err)
	}
}

func contractFollow(t *testing.T, p shard.Ports) {
	ctx := t.Context()
	seqs := map[shard.Key]uint64{}
	put := func(k shard.Key, r shard.Record) {
		t.Helper()
		seq, err := p.Claims.Put(ctx, k, r, seqs[k])
		if err != nil {
			t.Fatal(err)
		}
		seqs[k] = seq
	}
	for i := range 50 {
		put(shard.Key(fmt.Sprintf("a.%d", i%20)), held1("x", shard.Held))
	}
	var g gather[[]shard.Head]
	subscribe(t, func(ctx context.Context) error { return p.Claims.Follow(ctx, g.add) })
	settle()
	calls := g.all()
	if len(calls) != 1 || len(calls[0]) != 20 {
		t.Fatalf("%d calls, the first with %d heads; want 1 with 20", len(calls), len(calls[0]))
	}
	for _, h := range calls[0] {
		if h.Seq != seqs[h.Key] {
			t.Errorf("%s: head %d, want %d", h.Key, h.Seq, seqs[h.Key])
		}
	}
	put("a.3", held1("x", shard.Released))
	settle()
	put("a.3", held1("y", shard.Held))
	put("b.0", held1("y", shard.Held))
	settle()
	var live []uint64
	for _, call := range g.all()[1:] {
		for _, h := range call {
			live = append(live, h.Seq)
		}
	}
	last := seqs["b.0"]
	if d := cmp.Diff([]uint64{last - 2, last - 1, last}, live); d != "" {
		t.Errorf("live heads: %s", d)
	}
}

func contractRace(t *testing.T, p shard.Ports) {
	var wg sync.WaitGroup
	var won gather[uint64]
	for i := range 16 {
		wg.Go(func() {
			for {
				seq, err := p.Claims.Put(t.Context(), "a.1", held1(fmt.Sprintf("m%d", i), shard.Held), 0)
				switch {
				case err == nil:
					won.add(seq)
				case errors.Is(err, shard.ErrBusy):
					continue
				case !errors.Is(err, shard.ErrFenced):
					t.Errorf("loser got %v", err)
				}
				return
			}
		})
	}
	wg.Wait()
	if n := len(won.all()); n != 1 {
		t.Errorf("%d of 16 claims were made", n)
	}
}

func member1(id string, life int) shard.Member {
	return shard.Member{
		ID: shard.MemberID(id), Incarnation: shard.Incarnation(fmt.Sprintf("%s-%d", id, life)),
		Started: time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC), Version: "v1", Schema: shard.Schema,
		Fingerprint: "f", Units: 4, State: shard.MemberActive, Held: 3,
	}
}

func contractMembers(t *testing.T, p shard.Ports) {
	ctx := t.Context()
	r1, err := p.Members.PutMember(ctx, member1("a", 1), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []uint64{0, r1 + 1} {
		if _, err := p.Members.PutMember(ctx, member1("a", 2), wrong); !errors.Is(err, shard.ErrFenced) {
			t.Errorf("expecting %d instead of %d: %v", wrong, r1, err)
		}
	}
	var g gather[[]shard.MemberChange]
	subscribe(t, func(ctx context.Context) error { return p.Members.WatchMembers(ctx, g.add) })
	settle()
	r2, err := p.Members.PutMember(ctx, member1("a", 2), r1)
	if err != nil || r2 <= r1 {
		t.Fatalf("revision %d after %d, %v", r2, r1, err)
	}
	settle()
	want := [][]shard.MemberChange{{{Member: member1("a", 1), Rev: r1}}, {{Member: member1("a", 2), Rev: r2}}}
	if d := cmp.Diff(want, g.all()); d != "" {
		t.Error(d)
	}
	if _, err := p.Members.PutMember(ctx, shard.Member{ID: "b"}, 0); !errors.Is(err, shard.ErrBadRecord) {
		t.Errorf("incomplete record: %v", err)
	}
}

func contractExpiry(t *testing.T, p shard.Ports) {
	ctx := t.Context()
	var g gather[[]shard.MemberChange]
	subscribe(t, func(ctx context.Context) error { return p.Members.WatchMembers(ctx, g.add) })
	settle()
	rev := uint64(0)
	for range 10 {
		r, err := p.Members.PutMember(ctx, member1("a", 1), rev)
		if err != nil {
			t.Fatal(err)
		}
		rev = r
		time.Sleep(10 * time.Second)
	}
	for _, call := range g.all() {
		for _, c := range call {
			if c.Gone {
				t.Fatal("gone although refreshed")
			}
		}
	}
	time.Sleep(10 * time.Second)
	settle()
	calls := g.all()
	last := calls[len(calls)-1][0]
	if last.Member.ID != "a" || !last.Gone || last.Left || last.Rev <= rev {
		t.Fatalf("after expiry: %+v", last)
	}
	if _, err := p.Members.PutMember(ctx, member1("a", 1), rev); !errors.Is(err, shard.ErrFenced) {
		t.Errorf("refresh of an expired record: %v", err)
	}
	if r, err := p.Members.PutMember(ctx, member1("a", 2), 0); err != nil || r <= rev {
		t.Errorf("coming back: %d, %v", r, err)
	}
}

func contractDrop(t *testing.T, p shard.Ports) {
	ctx := t.Context()
	rev, err := p.Members.PutMember(ctx, member1("a", 1), 0)
	if err != nil {
		t.Fatal(err)
	}
	var g gather[[]shard.MemberChange]
	subscribe(t, func(ctx context.Context) error { return p.Members.WatchMembers(ctx, g.add) })
	settle()
	if err := p.Members.DropMember(ctx, "a", rev+1); !errors.Is(err, shard.ErrFenced) {
		t.Errorf("wrong condition: %v", err)
	}
	if err := p.Members.DropMember(ctx, "a", rev); err != nil {
		t.Fatal(err)
	}
	settle()
	calls := g.all()
	if last := calls[len(calls)-1][0]; last.Member.ID != "a" || !last.Gone || !last.Left {
		t.Errorf("after leaving: %+v", last)
	}
	if _, err := p.Members.PutMember(ctx, member1("a", 2), 0); err != nil {
		t.Errorf("coming back: %v", err)
	}
}

func view1(cause string) shard.View {
	return shard.View{
		Schema: shard.Schema, Params: ring.DefaultParams(), Fingerprint: "f", Cause: cause, Proposer: "a",
		Members:   []shard.ViewMember{{ID: "a", Incarnation: "a-1", Units: 4, State: shard.MemberActive}},
		Overrides: map[shard.Key]shard.MemberID{"t.l": "a"},
	}
}

func contractViews(t *testing.T, p shard.Ports) {
	ctx := t.Context()
	var g gather[*shard.View]
	subscribe(t, func(ctx context.Context) error { return p.Views.WatchView(ctx, g.add) })
	settle()
	if calls := g.all(); len(calls) != 1 || calls[0] != nil {
		t.Fatalf("without a view: %v", calls)
	}
	r1, err := p.Views.PutView(ctx, view1("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Views.PutView(ctx, view1("late"), 0); !errors.Is(err, shard.ErrFenced) {
		t.Errorf("second first view: %v", err)
	}
	r2, err := p.Views.PutView(ctx, view1("two"), r1)
	if err != nil || r2 <= r1 {
		t.Fatalf("revision %d after %d, %v", r2, r1, err)
	}
	if _, err := p.Views.PutView(ctx, view1("late"), r1); !errors.Is(err, shard.ErrFenced) {
		t.Errorf("view of the past: %v", err)
	}
	settle()
	want := view1("two")
	want.Rev = r2
	calls := g.all()
	if d := cmp.Diff(&want, calls[len(calls)-1]); d != "" {
		t.Error(d)
	}
	var late gather[*shard.View]
	subscribe(t, func(ctx context.Context) error { return p.Views.WatchView(ctx, late.add) })
	settle()
	if d := cmp.Diff([]*shard.View{&want}, late.all()); d != "" {
		t.Errorf("who comes later: %s", d)
	}
}

func contractBeats(t *testing.T, p shard.Ports) {
	var a, b gather[shard.Beat]
	subscribe(t, func(ctx context.Context) error { return p.Beats.ReceiveBeats(ctx, a.add) })
	subscribe(t, func(ctx context.Context) error { return p.Beats.ReceiveBeats(ctx, b.add) })
	settle()
	beat := shard.Beat{ID: "a", Incarnation: "a-1", View: 3, Digest: 1 << 63, Unhealthy: true, Draining: true, Held: 5, Silent: []shard.Suspect{{ID: "b", Incarnation: "b-1"}}}
	if err := p.Beats.SendBeat(beat); err != nil {
		t.Fatal(err)
	}
	if err := p.Beats.SendBeat(shard.Beat{ID: "a.b", Incarnation: "x"}); !errors.Is(err, shard.ErrBadRecord) {
		t.Errorf("beat of a bad name: %v", err)
	}
	settle()
	for _, g := range []*gather[shard.Beat]{&a, &b} {
		if d := cmp.Diff([]shard.Beat{beat}, g.all()); d != "" {
			t.Error(d)
		}
	}
}

func contractLedger(t *testing.T, p shard.Ports) {
	m1, err := p.Ledger.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seq, err := p.Claims.Put(t.Context(), "a.1", held1("x", shard.Held), 0)
	if err != nil {
		t.Fatal(err)
	}
	m2, err := p.Ledger.Probe(t.Context())
	if err != nil || m2.Last != seq || !m2.Created.Equal(m1.Created) {
		t.Errorf("mark %+v after %+v, want last %d; %v", m2, m1, seq, err)
	}
}

func contractEnd(t *testing.T, p shard.Ports) {
	for name, run := range map[string]func(ctx context.Context) error{
		"registry": func(ctx context.Context) error { return p.Registry.Watch(ctx, func([]shard.KeyChange) {}) },
		"claims":   func(ctx context.Context) error { return p.Claims.Follow(ctx, func([]shard.Head) {}) },
		"members":  func(ctx context.Context) error { return p.Members.WatchMembers(ctx, func([]shard.MemberChange) {}) },
		"view":     func(ctx context.Context) error { return p.Views.WatchView(ctx, func(*shard.View) {}) },
		"beats":    func(ctx context.Context) error { return p.Beats.ReceiveBeats(ctx, func(shard.Beat) {}) },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := run(ctx); err != nil {
			t.Errorf("%s ended with %v", name, err)
		}
		if ctx.Err() == nil {
			t.Errorf("%s ended by itself", name)
		}
		cancel()
	}
}
