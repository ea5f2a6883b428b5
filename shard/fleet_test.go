package shard_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"wadm/shard"
	"wadm/shard/shardtest"
)

func TestAFleetSharesEveryKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 200)
		is := r.fleetOf(4)
		for _, i := range is {
			if n := len(i.held()); n < 20 || n > 90 {
				t.Errorf("%s owns %d of 200", i.id, n)
			}
		}
		if err := shardtest.CheckMovement(r.w.Views()); err != nil {
			t.Error(err)
		}
		before := len(r.w.Log())
		time.Sleep(10 * time.Minute)
		if n := len(r.w.Log()) - before; n != 0 {
			t.Errorf("%d claims written at rest", n)
		}
	})
}

func TestTheFirstInstanceIsReadyWithinASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 200)
		i := r.start("wadm-0")
		time.Sleep(time.Second)
		if err := i.fleet.Ready(); err != nil {
			t.Error(err)
		}
		r.mustCover("after a second")
	})
}

func TestACrashedInstanceIsReplacedWithin2500Milliseconds(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3, 4, 6} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 200)
				is := r.fleetOf(n)
				before := r.placement()
				lost := len(is[1].held())
				r.crash(is[1])
				time.Sleep(4 * time.Second)
				if p50, worst := r.gaps(); worst > 2500*time.Millisecond {
					t.Errorf("keys were not acted for: p50 %s, worst %s", p50, worst)
				}
				r.mustCover("after the crash")
				if m := moved(before, r.placement()); m > lost+4 {
					t.Errorf("%d keys moved, %d were lost", m, lost)
				}
			})
		})
	}
}

func TestAPlannedStopLeavesKeysForLessThanHalfASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 200)
		is := r.fleetOf(4)
		before := r.placement()
		held := len(is[2].held())
		if err := r.stop(is[2]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if _, worst := r.gaps(); worst > 500*time.Millisecond {
			t.Errorf("worst gap %s", worst)
		}
		r.mustCover("after the stop")
		if m := moved(before, r.placement()); m > held+4 {
			t.Errorf("%d keys moved, %d were given up", m, held)
		}
		for k, errs := range is[2].ended {
			if !errors.Is(errs[len(errs)-1], shard.ErrHandOver) {
				t.Errorf("%s ended with %v", k, errs)
			}
		}
	})
}

// An owner that does not know whether what it sent has arrived says so: its
// successor waits as after a crash, and effects stay in order.
func TestAPlannedStopWithEffectsUnderWayIsAwaited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 100)
		is := r.fleetOf(3)
		given := is[1].held()
		is[1].underWay = 2200 * time.Millisecond
		if err := r.stop(is[1]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		r.mustCover("after the stop")
		for k, d := range r.effects.Gaps(time.Now()) {
			if _, ok := given[k]; ok && (d < 2300*time.Millisecond || d > 2800*time.Millisecond) {
				t.Errorf("%s: gap %s", k, d)
			}
		}
	})
}

func TestAJoinIsRampedAndMovesOnlyItsShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 400)
		r.fleetOf(4)
		before := r.placement()
		r.start("wadm-9")
		time.Sleep(40 * time.Second)
		r.mustCover("after the join")
		if _, worst := r.gaps(); worst > 500*time.Millisecond {
			t.Errorf("worst gap %s", worst)
		}
		if m := moved(before, r.placement()); m < 40 || m > 80+8+24 {
			t.Errorf("%d of 400 keys moved, ideal 80", m)
		}
		if err := shardtest.CheckMovement(r.w.Views()); err != nil {
			t.Error(err)
		}
	})
}

func TestJoinsAtOnceMakeOneView(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 50)
		r.fleetOf(1)
		before := len(r.w.Views())
		for i := range 4 {
			r.start(shard.MemberID(fmt.Sprintf("new-%d", i)))
			time.Sleep(300 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		if n := len(r.w.Views()) - before; n != 1 {
			t.Errorf("%d views for four joins within the window", n)
		}
	})
}
