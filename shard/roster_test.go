package shard_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wadm/shard"
	"wadm/shard/ring"
)

// watch is a roster with a clock, in a fleet named a, b, c, …
type watch struct {
	t     testing.TB
	r     *shard.Roster
	me    shard.Member
	now   time.Time
	rev   uint64
	quiet map[string]bool
	votes map[string][]shard.Suspect
	drain map[string]bool
	sick  map[string]bool
	fleet []string
	// follow is a view that the others follow although this one has not seen it.
	follow uint64
}

func member(id string, life int) shard.Member {
	return shard.Member{
		ID: shard.MemberID(id), Incarnation: shard.Incarnation(fmt.Sprintf("%s-%d", id, life)),
		Schema: shard.Schema, Fingerprint: "f", Units: ring.FullUnits, State: shard.MemberActive,
	}
}

func newWatch(t testing.TB, me string, fleet ...string) *watch {
	var others []shard.Member
	for _, id := range fleet {
		if id != me {
			others = append(others, member(id, 1))
		}
	}
	return newWatchOf(t, member(me, 1), others...)
}

// newWatchOf is newWatch for members that are not all of one kind.
func newWatchOf(t testing.TB, me shard.Member, others ...shard.Member) *watch {
	w := &watch{
		t: t, me: me, now: time.Unix(1000, 0), rev: 10,
		quiet: map[string]bool{}, votes: map[string][]shard.Suspect{}, drain: map[string]bool{}, sick: map[string]bool{},
	}
	w.r = shard.NewRoster(w.me, ring.DefaultParams(), shard.RosterConfig{})
	var recs []shard.MemberChange
	for _, m := range append(others, me) {
		w.rev++
		recs = append(recs, shard.MemberChange{Member: m, Rev: w.rev})
		w.fleet = append(w.fleet, string(m.ID))
	}
	w.r.Records(w.now, recs, true)
	w.r.Health(w.now, true)
	return w
}

// view gives the roster a view with these members at full weight.
func (w *watch) view(ids ...string) {
	v := shard.View{Rev: w.r.View().Rev + 1, Schema: shard.Schema, Params: ring.DefaultParams(), Fingerprint: "f"}
	for _, id := range ids {
		v.Members = append(v.Members, shard.ViewMember{ID: shard.MemberID(id), Incarnation: shard.Incarnation(id + "-1"), Units: 4, State: shard.MemberActive})
	}
	w.r.Saw(w.now, v)
}

// run lets time pass, with beats, until a proposal comes or d is over.
func (w *watch) run(d time.Duration) (*shard.Proposal, time.Duration) {
	start := w.now
	for ; w.now.Sub(start) < d; w.now = w.now.Add(50 * time.Millisecond) {
		for _, id := range w.fleet {
			if id != string(w.me.ID) && !w.quiet[id] {
				w.r.Heard(w.now, shard.Beat{
					ID: shard.MemberID(id), Incarnation: shard.Incarnation(id + "-1"), View: max(w.follow, w.r.View().Rev), Silent: w.votes[id],
					Draining: w.drain[id], Unhealthy: w.sick[id],
				})
			}
		}
		if p, _ := w.r.Propose(w.now); p != nil {
			return p, w.now.Sub(start)
		}
	}
	return nil, d
}

// propose is run for what must come.
func (w *watch) propose(within time.Duration) (shard.View, time.Duration) {
	w.t.Helper()
	p, after := w.run(within)
	if p == nil {
		w.t.Fatalf("no proposal within %s", within)
	}
	if p.Expect != w.r.View().Rev {
		w.t.Errorf("proposal expects %d, the view is %d", p.Expect, w.r.View().Rev)
	}
	return p.View, after
}

func units(v shard.View) map[string]int {
	m := map[string]int{}
	for _, x := range v.Members {
		m[string(x.ID)] = x.Units
	}
	return m
}

func near(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want || got > want+150*time.Millisecond {
		t.Errorf("%s after %s, want %s", what, got, want)
	}
}

func TestAFirstViewIsProposedAtOnceByTheFirstRank(t *testing.T) {
	t.Parallel()
	a := newWatch(t, "a", "a", "b")
	a.r.NoView(a.now)
	v, after := a.propose(5 * time.Second)
	near(t, "first view", after, 200*time.Millisecond)
	if d := cmp.Diff(map[string]int{"a": 4, "b": 4}, units(v)); d != "" {
		t.Error(d)
	}
	b := newWatch(t, "b", "a", "b")
	b.r.NoView(b.now)
	if _, after := b.propose(5 * time.Second); after < 450*time.Millisecond {
		t.Errorf("the second rank proposed after %s", after)
	}
}

func TestALossIsProposedRankByRank(t *testing.T) {
	t.Parallel()
	for rank, me := range []string{"a", "c"} { // b is the one that is lost
		w := newWatch(t, me, "a", "b", "c")
		w.view("a", "b", "c")
		w.run(2 * time.Second)
		w.quiet["b"] = true
		v, after := w.propose(10 * time.Second)
		near(t, "loss seen by "+me, after, 1500*time.Millisecond+200*time.Millisecond-50*time.Millisecond+time.Duration(rank)*300*time.Millisecond)
		if d := cmp.Diff(map[string]int{"a": 4, "c": 4}, units(v)); d != "" {
			t.Error(d)
		}
	}
}

func TestALossSaysHowLongAgoTheLostWereHeard(t *testing.T) {
	t.Parallel()
	w := newWatch(t, "a", "a", "b", "c")
	w.view("a", "b", "c")
	w.run(5 * time.Second)
	last := w.now
	w.quiet["c"] = true
	v, _ := w.propose(5 * time.Second)
	if len(v.Ended) != 1 || v.Ended[0].Incarnation != "c-1" {
		t.Fatalf("ended: %+v", v.Ended)
	}
	near(t, "silence told", time.Duration(v.Ended[0].Silent)*time.Millisecond, w.now.Sub(last))

	// Whoever never heard the lost one reckons with that, from when the view arrives.
	o := newWatch(t, "d", "d")
	v.Rev = o.r.View().Rev + 1
	o.r.Saw(o.now, v)
	head := shard.Head{Key: "t.l", Seq: 1, Record: shard.Record{Owner: "c", Incarnation: "c-1", State: shard.Held}}
	st := o.r.Standing(o.now, head)
	if want := o.now.Add(-time.Duration(v.Ended[0].Silent) * time.Millisecond); st.Alive || !st.Silent.Equal(want) {
		t.Errorf("standing %+v, want silent since %s", st, want)
	}
	// The next view tells only of its own.
	v.Rev = w.r.View().Rev + 1
	w.r.Saw(w.now, v)
	w.quiet["b"] = true
	if v, _ = w.propose(5 * time.Second); len(v.Ended) != 1 || v.Ended[0].Incarnation != "b-1" {
		t.Errorf("ended: %+v", v.Ended)
	}
}

func TestOneGivenUpAlthoughItIsHeardHasNotFallenSilent(t *testing.T) {
	t.Parallel()
	w := newWatch(t, "a", "a", "b", "c")
	w.view("a", "b", "c")
	w.run(5 * time.Second)
	w.sick["c"] = true
	w.rev++
	w.r.Records(w.now, []shard.MemberChange{{Member: shard.Member{ID: "c"}, Rev: w.rev, Gone: true}}, false)
	v, _ := w.propose(30 * time.Second)
	if _, in := v.Member("c"); in || len(v.Ended) != 0 {
		t.Errorf("view %+v", v)
	}
}

func TestInAFleetOfFourASuspicionNeedsASecondVoice(t *testing.T) {
	t.Parallel()
	w := newWatch(t, "a", "a", "b", "c", "d")
	w.view("a", "b", "c", "d")
	w.run(2 * time.Second)
	w.quiet["b"] = true
	if p, _ := w.run(10 * time.Second); p != nil {
		t.Fatalf("proposed alone: %s", p.View.Cause)
	}
	if s := w.r.Suspects(w.now); len(s) != 1 || s[0].ID != "b" {
		t.Errorf("suspects %v", s)
	}
	w.votes["c"] = []shard.Suspect{{ID: "b", Incarnation: "b-0"}}
	if p, _ := w.run(3 * time.Second); p != nil {
		t.Fatal("a vote about an earlier life counted")
	}
	w.votes["c"] = []shard.Suspect{{ID: "b", Incarnation: "b-1"}}
	v, after := w.propose(5 * time.Second)
	near(t, "loss", after, 200*time.Millisecond)
	if _, ok := v.Member("b"); ok {
		t.Error("b is still in the view")
	}
}

func TestExpiryOfTheRecordIsASecondVoice(t *testing.T) {
	t.Parallel()
	w := newWatch(t, "a", "a", "b", "c", "d")
	w.view("a", "b", "c", "d")
	w.run(2 * time.Second)
	w.r.Records(w.now, []shard.MemberChange{{Member: shard.Member{ID: "b"}, Rev: 100, Gone: true}}, false)
	if p, _ := w.run(5 * time.Second); p != nil {
		t.Fatalf("expiry of a member that beats counted: %s", p.View.Cause)
	}
	w.quiet["b"] = true
	w.propose(5 * time.Second)
}

func TestAnUnhealthyInstanceNeitherSuspectsNorProposes(t *testing.T) {
	t.Parallel()
	w := newWatch(t, "a", "a", "b", "c")
	w.view("a", "b", "c")
	w.run(2 * time.Second)
	w.quiet["b"], w.quiet["c"] = true, true
	w.r.Health(w.now, false)
	if p, _ := w.run(time.Minute); p != nil || len(w.r.Suspects(w.now)) != 0 {
		t.Fatal("proposed or suspected while unhealthy")
	}
	// Nor does it let anybody in.
	w.rev++
	w.r.Records(w.now, []shard.MemberChange{{Member: member("d", 1), Rev: w.rev}}, false)
	w.fleet = append(w.fleet, "d")
	if p, _ := w.run(time.Minute); p != nil {
		t.Fatalf("proposed while unhealthy: %s", p.View.Cause)
	}
	w.quiet["d"] = true
	w.r.Health(w.now, true)
	if p, _ := w.run(2900 * time.Millisecond); p != nil || len(w.r.Suspects(w.now)) != 0 {
		t.Error("suspects somebody at once after having been deaf")
	}
}

func TestASickFirstRankIsSkipped(t *testing.T) {
	t.Parallel()
	w := newWatch(t, "b", "a", "b", "c")
	w.view("a", "b", "c")
	w.sick["a"] = true
	w.run(2 * time.Second)
	w.quiet["c"] = true
	_, after := w.propose(10 * time.Second)
	near(t, "loss", after, 1650*time.Millisecond)
}

func TestJoinsAreCoalescedAndRamped(t *testing.T) {
	t.Parallel()
	w := newWatch(t, "a", "a", "b", "c")
	w.view("a")
	v, after := w.propose(10 * time.Second)
	near(t, "join", after, 3*time.Second)
	full := map[string]int{"a": 4, "b": 4, "c": 4}
	for step := 1; step <= 4; step++ {
		if d := cmp.Diff(full, units(v)); d != "" {
			t.Error(d)
		}
		want := &shard.Ramp{From: []shard.Weight{{ID: "a", Units: 4}}, Step: step, Of: 4}
		if step == 4 {
			want = nil
		}
		if d := cmp.Diff(want, v.Ramp); d != "" {
			t.Errorf("step %d: %s", step, d)
		}
		v.Rev = w.r.View().Rev + 1
		w.r.Saw(w.now, v)
		if step < 4 {
			v, after = w.propose(10 * time.Second)
			near(t, "step", after, 5*time.Second)
		}
	}
	if p, _ := w.run(time.Minute); p != nil {
		t.Errorf("proposed at rest: %s", p.View.Cause)
	}
}

// However many join at once, and however many come while a ramp is under way: what
// moves in all steps together is what would have moved at once.
func TestRampsOfSeveralMoveNothingTwice(t *testing.T) {
	t.Parallel()
	for name, joiners := range map[string][]string{
		"one": {"d"}, "two": {"d", "e"}, "four": {"d", "e", "f", "g"},
	} {
		w := newWatch(t, "a", append([]string{"a", "b", "c"}, joiners...)...)
		w.view("a", "b", "c")
		before := ringOf(t, w.r.View())
		prev, moved := before, 0
		for {
			p, _ := w.run(20 * time.Second)
			if p == nil {
				break
			}
			v := p.View
			v.Rev = w.r.View().Rev + 1
			w.r.Saw(w.now, v)
			next := ringOf(t, v)
			m := movement(t, prev, next)
			moved += m.Moved
			if m.Moved > m.Least+m.Partitions/50 {
				t.Errorf("%s: %q moves %d, least %d", name, v.Cause, m.Moved, m.Least)
			}
			prev = next
		}
		whole := movement(t, before, prev)
		if moved != whole.Moved || moved > whole.Least+whole.Partitions/50 {
			t.Errorf("%s: %d moved in steps, %d at once, least %d", name, moved, whole.Moved, whole.Least)
		}
		if len(w.r.View().Members) != 3+len(joiners) || w.r.View().Ramp != nil {
			t.Errorf("%s: ends with %+v", name, w.r.View())
		}
	}
}

// A member that comes while others gain their keys waits for the end of that ramp.
func TestOneRampAtATime(t *testing.T) {
	t.Parallel()
	w := newWatch(t, "a", "a", "b")
	w.view("a")
	next := func() (shard.View, time.Duration) {
		v, after := w.propose(20 * time.Second)
		v.Rev = w.r.View().Rev + 1
		w.r.Saw(w.now, v)
		return v, after
	}
	if v, _ := next(); v.Ramp == nil || v.Ramp.Step != 1 {
		t.Fatalf("no ramp: %+v", v)
	}
	w.fleet = append(w.fleet, "c")
	w.r.Records(w.now, []shard.MemberChange{{Member: member("c", 1), Rev: 50}}, false)
	for range 3 {
		v, after := next()
		near(t, "step", after, 5*time.Second)
		if len(v.Members) != 2 {
			t.Fatalf("joined inside a ramp: %+v", v)
		}
	}
	v, after := next()
	if after > 100*time.Millisecond || len(v.Members) != 3 || v.Ramp == nil || len(v.Ramp.From) != 2 {
		t.Errorf("after %s: %+v", after, v)
	}
}

// Who dies on the way is replaced at once, and the ramp goes on.
func TestALossInsideARampIsServedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWatch(t, "a", "a", "b", "c")
	w.view("a", "b")
	v, _ := w.propose(20 * time.Second)
	v.Rev = w.r.View().Rev + 1
	w.r.Saw(w.now, v)
	before := ringOf(t, v)
	w.quiet["b"] = true
	v, after := w.propose(20 * time.Second)
	near(t, "loss", after, 1700*time.Millisecond)
	r := ringOf(t, v)
	if n := r.Shares()["b"]; n != 0 || v.Ramp == nil || v.Ramp.Step != 1 {
		t.Errorf("b keeps %d partitions; %+v", n, v)
	}
	if m := movement(t, before, r); m.Moved > m.Least+m.Partitions/50 {
		t.Errorf("moved %d, least %d", m.Moved, m.Least)
	}
	// The only one that was there before dies as well: nobody is left to take from.
	v.Rev = w.r.View().Rev + 1
	w.r.Saw(w.now, v)
	other := newWatch(t, "c", "a", "c")
	other.r.Saw(other.now, v)
	other.quiet["a"] = true
	v, _ = other.propose(20 * time.Second)
	if v.Ramp != nil || ringOf(t, v).Shares()["c"] != 4096 {
		t.Errorf("left alone: %+v", v)
	}
}

// A list that was read anew tells of good-byes too, and nobody who said one has vanished.
func TestGoodbyesThatWereMissedAreNoMassLoss(t *testing.T) {
	t.Parallel()
	w := newWatch(t, "a", "a", "b", "c", "d", "e")
	w.view("a", "b", "c", "d", "e")
	if p, _ := w.run(2 * time.Second); p != nil {
		t.Fatalf("%+v", p.View)
	}
	list := []shard.MemberChange{{Member: shard.Member{ID: "d"}, Rev: 90, Gone: true, Left: true}, {Member: shard.Member{ID: "e"}, Rev: 91, Gone: true, Left: true}}
	for i, id := range []string{"a", "b", "c"} {
		list = append(list, shard.MemberChange{Member: member(id, 1), Rev: uint64(92 + i)})
	}
	w.quiet["d"], w.quiet["e"] = true, true
	w.r.Records(w.now, list, true)
	v, after := w.propose(20 * time.Second)
	if v.Cause != "left d, left e" || after > time.Second {
		t.Errorf("after %v: %s", after, v.Cause)
	}
}

// Who joins while nobody of the view is heard has its share at once. Those that may be
// heard again go on with their ramp: no leap, and nothing between them moves.
func TestAJoinWhileNobodyIsHeardLeavesTheRampOfTheOthersAlone(t *testing.T) {
	t.Parallel()
	for _, me := range []string{"b", "d"} { // b had its share before
		w := newWatch(t, me, "a", "b", "c")
		var ids []shard.ViewMember
		for _, id := range []shard.MemberID{"a", "b", "c"} {
			if id != shard.MemberID(me) {
				ids = append(ids, shard.ViewMember{ID: id, Incarnation: shard.Incarnation(id + "-1"), Units: 4, State: shard.MemberActive})
			}
		}
		before := shard.View{
			Rev: 7, Schema: shard.Schema, Params: ring.DefaultParams(), Fingerprint: "f", Members: ids,
			Ramp: &shard.Ramp{From: []shard.Weight{{ID: "a", Units: 4}, {ID: "b", Units: 4}}, Step: 1, Of: 4},
		}
		w.r.Saw(w.now, before)
		if p, _ := w.run(time.Second); p != nil {
			t.Fatalf("joins inside a ramp: %+v", p.View)
		}
		w.quiet["a"], w.quiet["b"], w.quiet["c"] = true, true, true
		v, _ := w.propose(4 * time.Second)
		if v.Cause != "joined "+me || v.Ramp == nil || v.Ramp.Step != 1 {
			t.Fatalf("%+v", v)
		}
		if _, err := v.Encode(); err != nil {
			t.Error(err)
		}
		from, to := ringOf(t, before), ringOf(t, v)
		if m := movement(t, from, to); m.Moved > m.Least+m.Partitions/50 {
			t.Errorf("moved %d, least %d", m.Moved, m.Least)
		}
		if n := to.Shares()[me]; n < 900 {
			t.Errorf("%s has %d partitions", me, n)
		}
	}
}

func ringOf(t *testing.T, v shard.View) *ring.Ring {
	t.Helper()
	r, err := v.Ring()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func movement(t *testing.T, from, to *ring.Ring) ring.Movement {
	t.Helper()
	m, err := ring.Compare(from, to)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAnotherArrivalRestartsTheCoalescing(t *testing.T) {
	t.Parallel()
	w := newWatch(t, "a", "a", "b")
	w.view("a")
	w.run(2 * time.Second)
	w.fleet = append(w.fleet, "c")
	w.r.Records(w.now, []shard.MemberChange{{Member: member("c", 1), Rev: 50}}, false)
	v, after := w.propose(10 * time.Second)
	near(t, "join", after, 3*time.Second)
	if len(v.Members) != 3 {
		t.Errorf("members %v", units(v))
	}
}

func TestADrainIsProposedAtOnceByTheOneThatDrains(t *testing.T) {
	t.Parallel()
	w := newWatch(t, "c", "a", "b", "c")
	w.view("a", "b", "c")
	w.run(2 * time.Second)
	w.r.Drain()
	v, after := w.propose(time.Second)
	if after > 50*time.Millisecond {
		t.Errorf("after %s", after)
	}
	if m, _ := v.Member("c"); m.State != shard.MemberDraining || m.Units != 0 {
		t.Errorf("member %+v", m)
	}
	other := newWatch(t, "a", "a", "b", "c")
	other.view("a", "b", "c")
	other.run(2 * time.Second)
	other.drain["c"] = true
	other.propose(time.Second)
}

func TestAGoodbyeNeedsNoSuspicion(t *testing.T) {
	t.Parallel()
	w := newWatch(t, "a", "a", "b", "c", "d", "e")
	w.view("a", "b", "c", "d", "e")
	w.run(2 * time.Second)
	w.r.Records(w.now, []shard.MemberChange{{Member: shard.Member{ID: "e"}, Rev: 90, Gone: true, Left: true}}, false)
	v, after := w.propose(2 * time.Second)
	near(t, "goodbye", after, 200*time.Millisecond)
	if _, ok := v.Member("e"); ok {
		t.Error("still there")
	}
	if v.Cause != "left e" {
		t.Errorf("the cause is %q", v.Cause)
	}
}

func TestAMassLossIsHeldBackAndForgottenWhenTheyReturn(t *testing.T) {
	t.Parallel()
	w := newWatch(t, "a", "a", "b", "c")
	w.view("a", "b", "c")
	w.run(2 * time.Second)
	w.quiet["b"], w.quiet["c"] = true, true
	if p, _ := w.run(11 * time.Second); p != nil {
		t.Fatalf("proposed %s", p.View.Cause)
	}
	w.quiet["c"] = false
	if p, after := w.run(time.Second); p == nil || after > 500*time.Millisecond {
		t.Errorf("with only one lost: %v after %s", p, after)
	}

	w = newWatch(t, "a", "a", "b", "c")
	w.view("a", "b", "c")
	w.run(2 * time.Second)
	w.quiet["b"], w.quiet["c"] = true, true
	_, after := w.propose(30 * time.Second)
	near(t, "loss of everybody", after, 13400*time.Millisecond)
}

func TestAWeightThatShrinksIsServedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWatch(t, "a", "a", "b")
	w.view("a", "b")
	w.run(2 * time.Second)
	m := member("b", 1)
	m.Units = 2
	w.r.Records(w.now, []shard.MemberChange{{Member: m, Rev: 60}}, false)
	v, after := w.propose(2 * time.Second)
	if after > 100*time.Millisecond || units(v)["b"] != 2 {
		t.Errorf("after %s: %v", after, units(v))
	}
}

func TestAViewOfANewerSchemaIsNotTouched(t *testing.T) {
	t.Parallel()
	w := newWatch(t, "a", "a", "b")
	w.r.Saw(w.now, shard.View{Rev: 5, Schema: shard.Schema + 1})
	if p, _ := w.run(time.Minute); p != nil {
		t.Errorf("proposed %+v", p)
	}
}

func TestAHolderByAViewThatHasNotArrivedCountsAsLiving(t *testing.T) {
	t.Parallel()
	w := newWatch(t, "a", "a", "b")
	w.view("a", "b")
	head := func(view uint64) shard.Head {
		return shard.Head{Key: "t.l", Seq: 1, Record: shard.Record{Owner: "new", Incarnation: "new-1", State: shard.Held, View: view}}
	}
	if !w.r.Standing(w.now, head(w.r.View().Rev+1)).Alive {
		t.Error("a holder that acts by a newer view is given no time")
	}
	if w.r.Standing(w.now, head(w.r.View().Rev)).Alive {
		t.Error("a holder that is not in its own view counts as living")
	}
}

func TestExclusionIsNoticed(t *testing.T) {
	t.Parallel()
	w := newWatch(t, "a", "a", "b")
	w.view("a", "b")
	v := w.r.View()
	v.Rev++
	v.Members = v.Members[1:]
	if !w.r.Saw(w.now, v) {
		t.Error("not noticed")
	}
	if w.r.Saw(w.now, v) {
		t.Error("noticed twice")
	}
}

// Whatever an instance hears, in whatever order, what it proposes is a valid view
// that builds a ring and holds nobody twice; and it comes to rest.
func TestPropertyProposalsAreValidAndComeToRest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		all := []string{"a", "b", "c", "d", "e", "f"}
		w := newWatch(t, "a", all...)
		w.r.NoView(w.now)
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			id := rapid.SampledFrom(all[1:]).Draw(rt, "who")
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0:
				w.quiet[id] = !w.quiet[id]
			case 1:
				w.drain[id] = !w.drain[id]
			case 2:
				w.votes[id] = []shard.Suspect{{ID: "b", Incarnation: "b-1"}, {ID: "c", Incarnation: "c-1"}}
			case 3:
				w.rev++
				w.r.Records(w.now, []shard.MemberChange{{Member: shard.Member{ID: shard.MemberID(id)}, Rev: w.rev, Gone: true, Left: rapid.Bool().Draw(rt, "left")}}, false)
			case 4:
				w.rev++
				m := member(id, 1)
				m.Units = rapid.IntRange(1, 8).Draw(rt, "units")
				w.r.Records(w.now, []shard.MemberChange{{Member: m, Rev: w.rev}}, false)
			}
			if p, _ := w.run(time.Duration(rapid.IntRange(50, 4000).Draw(rt, "ms")) * time.Millisecond); p != nil {
				accept(rt, w, p)
			}
		}
		for n := 0; ; n++ {
			p, _ := w.run(14 * time.Second)
			if p == nil {
				break
			}
			if n > 60 {
				rt.Fatal("does not come to rest")
			}
			accept(rt, w, p)
		}
	})
}

func accept(t *rapid.T, w *watch, p *shard.Proposal) {
	b, err := p.View.Encode()
	if err != nil {
		t.Fatalf("proposal: %v", err)
	}
	v, err := shard.DecodeView(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Ring(); err != nil {
		t.Fatal(err)
	}
	old := w.r.View()
	if cmp.Equal(old.Members, v.Members) && cmp.Equal(old.Ramp, v.Ramp) {
		t.Fatalf("proposal changes nothing: %s", v.Cause)
	}
	v.Rev = w.r.View().Rev + 1
	w.r.Saw(w.now, v)
}
