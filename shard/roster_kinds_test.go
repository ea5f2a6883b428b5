package shard_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wadm/shard"
	"wadm/shard/ring"
)

// kinds are members that are not of the kind of watch.view's views.
func kinds(id string) map[string]shard.Member {
	newer, older, placed, both := member(id, 1), member(id, 1), member(id, 1), member(id, 1)
	newer.Schema++
	older.Schema--
	placed.Fingerprint = "g"
	both.Schema, both.Fingerprint = newer.Schema, placed.Fingerprint
	return map[string]shard.Member{"a newer schema": newer, "an older schema": older, "another fingerprint": placed, "both": both}
}

// leave removes a member's record as its last act does.
func (w *watch) leave(id string) {
	w.rev++
	w.quiet[id] = true
	w.r.Records(w.now, []shard.MemberChange{{Member: shard.Member{ID: shard.MemberID(id)}, Rev: w.rev, Gone: true, Left: true}}, false)
}

// silent asserts that nothing is proposed for d.
func (w *watch) silent(what string, d time.Duration) {
	w.t.Helper()
	if p, after := w.run(d); p != nil {
		w.t.Fatalf("%s: proposed %q of schema %d after %s", what, p.View.Cause, p.View.Schema, after)
	}
}

// Whatever changes among the members of the view, it is theirs to write while one of them lives.
func TestAnotherKindWritesNoViewWhileOneOfTheViewsKindLives(t *testing.T) {
	t.Parallel()
	for name, me := range kinds("x") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			small := member("c", 1)
			small.Units = 2
			w := newWatchOf(t, me, member("a", 1), member("b", 1), small)
			w.drain["a"] = true
			w.view("a", "b", "c")
			w.silent("a drain and a weight that shrinks", time.Minute)
			w.quiet["c"] = true
			w.run(5 * time.Second)
			if s := w.r.Suspects(w.now); s != nil {
				t.Errorf("votes against %v", s)
			}
			w.silent("a loss", time.Minute)
			w.r.NoView(w.now)
			w.silent("a removed view", time.Minute)
			w.leave("b")
			w.leave("c")
			w.silent("only one is left", time.Minute)

			w.leave("a")
			p, after := w.run(time.Minute)
			if p == nil {
				t.Fatal("does not take over when the last one has left")
			}
			near(t, "take-over", after, 200*time.Millisecond)
			if p.Expect != 0 {
				t.Errorf("expects %d although the view was removed", p.Expect)
			}
			if d := cmp.Diff(map[string]int{"x": 4}, units(p.View)); d != "" || p.View.Schema != me.Schema || p.View.Fingerprint != me.Fingerprint {
				t.Errorf("schema %d, fingerprint %q; %s", p.View.Schema, p.View.Fingerprint, d)
			}
		})
	}
}

// One of four or more is not dead because a single instance does not hear it, and
// the view changes hands no sooner than its members would give one of theirs up.
func TestAnotherKindThatHearsNobodyWritesNoView(t *testing.T) {
	t.Parallel()
	for name, me := range kinds("x") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWatchOf(t, me, member("a", 1), member("b", 1), member("c", 1), member("d", 1))
			for _, id := range []string{"a", "b", "c", "d"} {
				w.quiet[id] = true
			}
			w.view("a", "b", "c", "d")
			w.silent("deaf", 10*time.Minute)
		})
	}
}

// In its first moment an instance has heard nobody yet.
func TestAnotherKindThatHasJustStartedWritesNoView(t *testing.T) {
	t.Parallel()
	for name, me := range kinds("x") {
		draining := member("a", 1)
		draining.State, draining.Units = shard.MemberDraining, 2
		w := newWatchOf(t, me, draining, member("b", 1))
		w.view("a", "b")
		w.quiet["a"], w.quiet["b"] = true, true
		w.silent(name, 500*time.Millisecond)
	}
}

func TestAViewChangesKindOnlyWhenTheLossOfAllOfTheOldOneIsBelieved(t *testing.T) {
	t.Parallel()
	for name, me := range kinds("x") {
		if me.Schema < shard.Schema {
			continue // such a one leaves the view alone
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWatchOf(t, me, member("a", 1), member("b", 1), member("c", 1))
			w.view("a", "b", "c")
			w.run(2 * time.Second)
			w.quiet["a"], w.quiet["b"], w.quiet["c"] = true, true, true
			v, after := w.propose(time.Minute)
			near(t, "the loss of three", after, 13400*time.Millisecond)
			if d := cmp.Diff(map[string]int{"x": 4}, units(v)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAnotherKindHasNoVoiceInASuspicion(t *testing.T) {
	t.Parallel()
	for name, x := range kinds("x") {
		w := newWatchOf(t, member("a", 1), member("b", 1), member("c", 1), member("d", 1), x)
		w.view("a", "b", "c", "d")
		w.run(2 * time.Second)
		w.quiet["b"] = true
		w.votes["x"] = []shard.Suspect{{ID: "b", Incarnation: "b-1"}}
		w.silent(name, 30*time.Second)
		w.votes["d"] = w.votes["x"]
		w.propose(5 * time.Second)
	}
}

// The members of a view that was removed know it and store it again; who has
// started since knows neither it nor whose it was.
func TestWhoHasNotSeenARemovedViewLeavesItToThoseThatFollowIt(t *testing.T) {
	t.Parallel()
	for name, me := range kinds("x") {
		w := newWatchOf(t, me, member("a", 1))
		w.follow = 7
		w.r.NoView(w.now)
		w.silent(name, time.Minute)
		w.sick["a"] = true // it will not store anything
		if v, _ := w.propose(time.Minute); v.Schema != me.Schema {
			t.Errorf("%s: schema %d", name, v.Schema)
		}
	}
}

// What a newer schema means is not known, so its view stays until somebody removes it.
func TestAViewOfANewerSchemaIsReplacedOnlyWhenItWasRemoved(t *testing.T) {
	t.Parallel()
	newer := kinds("n")["a newer schema"]
	for name, v := range map[string]shard.View{
		"readable": {
			Rev: 5, Schema: newer.Schema, Params: ring.DefaultParams(), Fingerprint: "f",
			Members: []shard.ViewMember{{ID: "n", Incarnation: "n-1", Units: 4, State: shard.MemberActive}},
		},
		"not readable": {Rev: 5, Schema: newer.Schema},
	} {
		w := newWatchOf(t, member("a", 1), newer)
		w.r.Saw(w.now, v)
		w.silent(name+", newer ones live", time.Minute)
		w.r.NoView(w.now)
		w.silent(name+", removed while newer ones live", time.Minute)
		w.r.Saw(w.now, v)
		w.leave("n")
		w.silent(name+", newer ones have left", time.Minute)
		w.r.NoView(w.now)
		p, _ := w.run(time.Minute)
		if p == nil {
			t.Fatalf("%s: nothing is proposed instead", name)
		}
		if d := cmp.Diff(map[string]int{"a": 4}, units(p.View)); d != "" || p.Expect != 0 || p.View.Schema != shard.Schema {
			t.Errorf("%s: expects %d, schema %d; %s", name, p.Expect, p.View.Schema, d)
		}
	}
}
