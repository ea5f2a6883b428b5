package shard_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wadm/shard"
)

func TestARemovedViewIsStoredAgainAndNothingMoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 60)
		is := r.fleetOf(3)
		before, claims := r.placement(), len(r.w.Log())
		r.w.RemoveView()
		time.Sleep(2 * time.Second)
		if n := moved(before, r.placement()); n > 0 || len(r.w.Log()) != claims {
			t.Errorf("%d keys moved, %d claims", n, len(r.w.Log())-claims)
		}
		r.crash(is[1])
		time.Sleep(5 * time.Second)
		r.mustCover("after a crash behind a removed view")
	})
}

func TestTheOlderOfTwoOfOneNameComesBackWhenTheNewerIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 30)
		old := r.fleetOf(1)[0]
		delete(r.all, old.id)
		newer := r.start(old.id)
		time.Sleep(10 * time.Second)
		if err := old.fleet.Ready(); err == nil {
			t.Fatal("the older is ready")
		}
		if err := r.stop(newer); err != nil {
			t.Fatal(err)
		}
		r.all[old.id] = old
		time.Sleep(30 * time.Second)
		r.mustCover("after the newer has gone")
		if err := old.fleet.Ready(); err != nil {
			t.Error(err)
		}
	})
}

func TestAfterASuspensionNoClaimActsBeforeAnybodyHasLooked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 8)
		i := r.fleetOf(1)[0]
		i.sleep.add(time.Hour) // the loop has not run since
		for k, c := range i.held() {
			if err := c.MayAct(); !errors.Is(err, shard.ErrUnhealthy) {
				t.Errorf("%s: %v", k, err)
			}
		}
	})
}

func TestAnInstanceWithAnOwnerThatDoesNotStopSaysSoAndEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20)
		i := r.fleetOf(1)[0]
		stuck, release := r.keys[0], make(chan struct{})
		i.stick(stuck, release)
		if err := i.link.Unregister(t.Context(), stuck); err != nil {
			t.Fatal(err)
		}
		time.Sleep(35 * time.Second)
		if err := i.fleet.Ready(); err == nil || !strings.Contains(err.Error(), string(stuck)) {
			t.Errorf("ready: %v", err)
		}
		time.Sleep(50 * time.Second)
		select {
		case err := <-i.done:
			if !errors.Is(err, shard.ErrStuck) {
				t.Errorf("ended with %v", err)
			}
			i.done <- err
		default:
			t.Error("still runs")
		}
		close(release)
		synctest.Wait()
	})
}

func TestAMemberThatCannotActIsReportedAndReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 60)
		is := r.fleetOf(4)
		is[1].link.LoseStores(true)
		time.Sleep(9 * time.Second)
		if s := is[0].fleet.Status(); s.Bare == 0 {
			t.Error("keys nobody acts for are not reported")
		}
		time.Sleep(25 * time.Second)
		delete(r.all, is[1].id)
		r.mustCover("without the one that cannot act")
		r.all[is[1].id] = is[1]
		is[1].link.LoseStores(false)
		time.Sleep(40 * time.Second)
		r.mustCover("with it again")
	})
}
