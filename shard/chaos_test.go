package shard_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wadm/shard"
	"wadm/shard/shardtest"
)

var chaosSeeds = flag.Int("chaos.seeds", 4, "how many schedules of faults to run")

// TestChaos runs fleets under schedules of faults drawn from a seed; fake time
// makes a schedule repeatable. After the last fault every key has its one owner
// within 20 s, nothing moves or is written any more, and neither the ledger nor
// the hosts have seen an older epoch after a newer one.
func TestChaos(t *testing.T) {
	t.Parallel()
	for seed := range *chaosSeeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { chaos(t, uint64(seed)) })
		})
	}
}

func chaos(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 42))
	r := newRig(t, 60)
	r.every, r.late = 500*time.Millisecond, true
	for i := range 2 + rnd.IntN(4) {
		r.start(shard.MemberID(fmt.Sprintf("wadm-%d", i)))
	}
	time.Sleep(30 * time.Second)
	var trace []string
	note := func(f string, args ...any) {
		trace = append(trace, time.Now().Format("04:05.000 ")+fmt.Sprintf(f, args...))
	}
	pick := func() *instance {
		var is []*instance
		for i := range 10 {
			if x := r.all[shard.MemberID(fmt.Sprintf("wadm-%d", i))]; x != nil && !x.dead {
				is = append(is, x)
			}
		}
		return is[rnd.IntN(len(is))]
	}
	living := func() (n int) {
		for _, i := range r.all {
			if !i.dead {
				n++
			}
		}
		return n
	}
	var dead []*instance
	for range 25 {
		switch rnd.IntN(10) {
		case 0:
			if living() > 1 {
				i := pick()
				note("crash %s", i.id)
				r.crash(i)
				delete(r.all, i.id)
				dead = append(dead, i)
			}
		case 1:
			if living() > 1 {
				i := pick()
				note("stop %s", i.id)
				if err := r.stop(i); err != nil && !errors.Is(err, shard.ErrUnhealthy) {
					note("error %v", err)
				}
			}
		case 2, 3:
			id := shard.MemberID(fmt.Sprintf("wadm-%d", rnd.IntN(8)))
			if r.all[id] == nil {
				note("start %s", id)
				r.start(id)
			}
		case 4:
			i := pick()
			note("cut %s", i.id)
			i.cut(true)
		case 5:
			note("heal all")
			for _, i := range r.all {
				i.cut(false)
				i.link.LoseStores(false)
			}
		case 6:
			i := pick()
			note("lose the stores of %s", i.id)
			i.link.LoseStores(true)
		case 7:
			i, j := pick(), pick()
			note("deafen %s to %s", i.id, j.id)
			i.link.Deafen(j.id, rnd.IntN(2) == 0)
			j.unheard.Store(true)
		case 8:
			i := pick()
			note("suspend %s", i.id)
			i.sleep.add(2 * time.Second)
		case 9:
			if living() > 1 {
				i := pick()
				note("crash and restart %s", i.id)
				r.crash(i)
				dead = append(dead, i)
				time.Sleep(time.Duration(rnd.IntN(1500)) * time.Millisecond)
				r.start(i.id)
			}
		}
		d := time.Duration(rnd.IntN(4000)) * time.Millisecond
		time.Sleep(d)
	}
	for _, i := range r.all {
		i.cut(false)
		i.link.LoseStores(false)
		for id := range 10 {
			i.link.Deafen(shard.MemberID(fmt.Sprintf("wadm-%d", id)), false)
		}
	}
	time.Sleep(18 * time.Second)
	err := r.covered()
	for n := 0; err != nil && n < 20; n++ { // a key of a member that joins may be on its way
		time.Sleep(100 * time.Millisecond)
		err = r.covered()
	}
	if err != nil {
		t.Errorf("20 s after the last fault: %v", err)
	}
	time.Sleep(2 * time.Minute)
	if err := r.covered(); err != nil {
		t.Errorf("in the end: %v", err)
	}
	claims, views := len(r.w.Log()), len(r.w.Views())
	time.Sleep(time.Minute)
	if c, v := len(r.w.Log())-claims, len(r.w.Views())-views; c != 0 || v != 0 {
		t.Errorf("at rest %d claims and %d views are written", c, v)
	}
	for _, i := range dead {
		i.cancel()
		<-i.done //nolint:errcheck // dead: however it ended
	}
	if s := r.effects.Stale(); t.Failed() || len(s) > 0 {
		for _, s := range trace {
			t.Log(s)
		}
		for _, v := range r.w.Views() {
			t.Logf("view %d by %s: %s", v.Rev, v.Proposer, v.Cause)
		}
		for _, x := range s {
			t.Log(x)
			for _, h := range r.w.Log() {
				if strings.HasPrefix(x, "I2: "+string(h.Key)+":") {
					t.Logf("  %d %s %s %s settle %d view %d", h.Seq, h.Record.Incarnation, h.Record.State, h.Record.Reason, h.Record.Settle, h.Record.View)
				}
			}
		}
	}
}

func TestATakeOverOfThousandsIsQuickAndBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		r.every = time.Hour
		const n = 1500
		for i := range n {
			k := shard.Key(fmt.Sprintf("t.l%d", i))
			if err := r.w.Register(t.Context(), k); err != nil {
				t.Fatal(err)
			}
			r.keys = append(r.keys, k)
		}
		var herd shardtest.Herd
		r.w.SetDelay(func(op, key string) time.Duration {
			if op != "claim" {
				return 0
			}
			leave := herd.Enter()
			time.AfterFunc(time.Millisecond, leave)
			return time.Millisecond
		})
		is := []*instance{r.start("a"), r.start("b")}
		time.Sleep(60 * time.Second)
		r.mustCover("at the start")
		if m := herd.Most(); m > 2*64*2 {
			t.Errorf("%d claims were under way at once", m)
		}
		r.gaps()
		r.crash(is[1])
		time.Sleep(5 * time.Second)
		r.mustCover("after the crash")
		if p50, worst := r.gaps(); worst > 2500*time.Millisecond {
			t.Errorf("p50 %s, worst %s", p50, worst)
		}
	})
}

func TestAStuckOwnerDelaysNoOtherKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 100)
		is := r.fleetOf(3)
		var stuck shard.Key
		for k := range is[0].held() {
			stuck = k
			break
		}
		release := make(chan struct{})
		is[0].stick(stuck, release)
		is[0].cancel()
		time.Sleep(3 * time.Second)
		for k, d := range r.effects.Gaps(time.Now()) {
			if k != stuck && d > 500*time.Millisecond {
				t.Errorf("%s: gap %s", k, d)
			}
		}
		// The others wait for its release, then take it over.
		time.Sleep(8 * time.Second)
		taken := false
		for _, i := range is[1:] {
			_, ok := i.held()[stuck]
			taken = taken || ok
		}
		if !taken {
			t.Error("the stuck key was not taken over")
		}
		close(release)
		delete(r.all, is[0].id)
		if err := <-is[0].done; err == nil || !strings.Contains(err.Error(), "1 owners still running") {
			t.Errorf("the instance ended with %v", err)
		}
		r.mustCover("in the end")
	})
}
