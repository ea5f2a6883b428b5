package shard_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wadm/shard"
	"wadm/shard/shardtest"
)

func TestStoreOutageMovesNothing(t *testing.T) {
	t.Parallel()
	for _, outage := range []time.Duration{time.Second, 12 * time.Second, time.Minute} {
		t.Run(outage.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 100)
				is := r.fleetOf(4)
				before, views, claims := r.placement(), len(r.w.Views()), len(r.w.Log())
				for _, i := range is {
					i.link.LoseStores(true)
				}
				time.Sleep(outage)
				for _, i := range is {
					if outage > time.Second && i.fleet.Ready() == nil {
						t.Errorf("%s is ready without stores", i.id)
					}
					i.link.LoseStores(false)
				}
				time.Sleep(30 * time.Second)
				r.mustCover("after the outage")
				if m := moved(before, r.placement()); m != 0 {
					t.Errorf("%d keys moved", m)
				}
				if v, c := len(r.w.Views())-views, len(r.w.Log())-claims; v != 0 || c != 0 {
					t.Errorf("%d views and %d claims", v, c)
				}
			})
		})
	}
}

func TestTotalOutageWithStaggeredReturnMovesNothing(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 100)
				is := r.fleetOf(n)
				before := r.placement()
				for _, i := range is {
					i.link.Cut(true)
				}
				time.Sleep(20 * time.Second)
				for _, i := range is {
					i.link.Cut(false)
					time.Sleep(2 * time.Second / time.Duration(n))
				}
				time.Sleep(30 * time.Second)
				r.mustCover("after the outage")
				if m := moved(before, r.placement()); m != 0 {
					t.Errorf("%d keys moved", m)
				}
			})
		})
	}
}

func TestMassLossIsBraked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 100)
		is := r.fleetOf(6)
		views := len(r.w.Views())
		for _, i := range is[3:] {
			r.crash(i)
		}
		time.Sleep(12 * time.Second)
		if n := len(r.w.Views()) - views; n != 0 {
			t.Errorf("%d views although half the fleet vanished at once", n)
		}
		if is[0].fleet.Status().Braked == 0 {
			t.Error("status does not tell the brake")
		}
		time.Sleep(10 * time.Second)
		r.mustCover("after the brake")
	})
}

func TestAnInstanceCutOffDropsEverythingAndComesBackAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 100)
		is := r.fleetOf(4)
		old := is[1].fleet.Status().Incarnation
		is[1].link.Cut(true)
		time.Sleep(1200 * time.Millisecond)
		for k, c := range is[1].held() {
			if !errors.Is(c.MayAct(), shard.ErrUnhealthy) {
				t.Fatalf("%s: may act = %v although cut off", k, c.MayAct())
			}
		}
		time.Sleep(10 * time.Second)
		is[1].link.Cut(false)
		time.Sleep(40 * time.Second)
		r.mustCover("after the return")
		if s := is[1].fleet.Status(); s.Incarnation == old || len(is[1].held()) == 0 {
			t.Errorf("incarnation %s, owns %d", s.Incarnation, len(is[1].held()))
		}
	})
}

func TestOneWayDeafnessMovesNothingInAFleetWithVoters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 100)
		is := r.fleetOf(4)
		views := len(r.w.Views())
		is[0].link.Deafen("wadm-2", true)
		time.Sleep(time.Minute)
		if n := len(r.w.Views()) - views; n != 0 {
			t.Errorf("%d views because one instance does not hear another", n)
		}
		r.mustCover("in spite of deafness")
	})
}

func TestARestartUnderTheSameNameMovesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 100)
		is := r.fleetOf(3)
		before := r.placement()
		r.crash(is[1])
		delete(r.all, "wadm-1")
		time.Sleep(300 * time.Millisecond)
		r.start("wadm-1")
		time.Sleep(10 * time.Second)
		r.mustCover("after the restart")
		if m := moved(before, r.placement()); m != 0 {
			t.Errorf("%d keys moved", m)
		}
		is[1].cancel()
		<-is[1].done //nolint:errcheck // it was cancelled, so its error says nothing
	})
}

func TestALoneInstanceComesBackUnderAnotherNameWithinASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 60)
		is := r.fleetOf(1)
		if err := r.stop(is[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		i := r.start("another")
		time.Sleep(1200 * time.Millisecond)
		if err := i.fleet.Ready(); err != nil {
			t.Error(err)
		}
		r.mustCover("after the start")
		for k, c := range i.held() {
			if err := c.MayAct(); err != nil {
				t.Fatalf("%s: may not act after an orderly stop: %v", k, err)
			}
		}
	})
}

func TestTwoInstancesOfOneNameDoNotFight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 60)
		is := r.fleetOf(2)
		delete(r.all, "wadm-1")
		b := r.start("wadm-1")
		time.Sleep(30 * time.Second)
		r.mustCover("with a second of that name")
		if err := is[1].fleet.Ready(); err == nil || !strings.Contains(err.Error(), shard.ErrSuperseded.Error()) {
			t.Errorf("the older is ready: %v", err)
		}
		if s := is[1].fleet.Status(); s.Bare != 0 {
			t.Errorf("the older counts what the newer owns as without an owner: %v", s.Orphans)
		}
		if err := b.fleet.Ready(); err != nil {
			t.Errorf("the newer is not ready: %v", err)
		}
		claims := len(r.w.Log())
		time.Sleep(time.Minute)
		if n := len(r.w.Log()) - claims; n != 0 {
			t.Errorf("%d claims at rest", n)
		}
		is[1].cancel()
		if err := <-is[1].done; err != nil {
			t.Error(err)
		}
	})
}

func TestSuspensionDropsEverything(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 60)
		is := r.fleetOf(3)
		old := is[0].fleet.Status().Incarnation
		is[0].sleep.add(3 * time.Second)
		time.Sleep(100 * time.Millisecond)
		if n := len(is[0].held()); n != 0 {
			t.Errorf("still owns %d keys after a suspension", n)
		}
		time.Sleep(10 * time.Second)
		r.mustCover("after the suspension")
		if is[0].fleet.Status().Incarnation == old {
			t.Error("same incarnation")
		}
	})
}

func TestAForeignRingOwnsNothingAndTheOthersCarryOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 60)
		is := r.fleetOf(2)
		views := len(r.w.Views())
		odd := r.start("odd", func(c *shard.FleetConfig) {
			p := c.WithDefaults().Params
			p.Partitions = 271
			c.Params = p
		})
		time.Sleep(time.Minute)
		if n := len(odd.held()); n != 0 {
			t.Errorf("owns %d keys", n)
		}
		if err := odd.fleet.Ready(); err == nil || !strings.Contains(err.Error(), shard.ErrForeignRing.Error()) {
			t.Errorf("ready: %v", err)
		}
		if n := len(r.w.Views()) - views; n != 0 {
			t.Errorf("%d views", n)
		}
		foreign := false
		for _, m := range is[0].fleet.Status().Members {
			foreign = foreign || (m.ID == "odd" && m.Foreign && !m.InView)
		}
		if !foreign {
			t.Error("the others' status does not show it")
		}
		r.mustCover("beside a foreign ring")
		// When the last of the old build is gone, the new one takes over.
		for _, i := range is {
			if err := r.stop(i); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(30 * time.Second)
		r.mustCover("after the change of builds")
	})
}

func TestANewKeyIsOwnedAtOnceAndARemovedOneGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20)
		r.fleetOf(3)
		if err := r.w.Register(t.Context(), "t.new"); err != nil {
			t.Fatal(err)
		}
		r.keys = append(r.keys, "t.new")
		time.Sleep(200 * time.Millisecond)
		r.mustCover("with a new key")
		if err := r.w.Unregister(t.Context(), r.keys[0]); err != nil {
			t.Fatal(err)
		}
		gone := r.keys[0]
		r.keys = r.keys[1:]
		time.Sleep(200 * time.Millisecond)
		r.mustCover("without an old one")
		if _, ok := r.placement()[gone]; ok {
			t.Error("removed key is still owned")
		}
	})
}

func TestAKeyWithoutOwnerIsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20)
		is := r.fleetOf(2)
		r.w.SetFault(func(op, key string) shardtest.Fault {
			if op == "claim" && key == "t.stuck" {
				return shardtest.Refused
			}
			return shardtest.None
		})
		if err := r.w.Register(t.Context(), "t.stuck"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		for _, i := range is {
			if s := i.fleet.Status(); s.Bare != 1 || s.Orphans[0].Key != "t.stuck" {
				t.Errorf("%s: orphans %v", i.id, s.Orphans)
			}
		}
		r.w.SetFault(nil)
		r.keys = append(r.keys, "t.stuck")
		time.Sleep(10 * time.Second)
		r.mustCover("after the fault")
		if s := is[0].fleet.Status(); s.Bare != 0 {
			t.Errorf("orphans %v", s.Orphans)
		}
	})
}

func TestFleetSurvivesEveryFaultOfEveryWrite(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"claim", "member", "view", "drop"} {
		for name, fault := range map[string]shardtest.Fault{
			"refused": shardtest.Refused, "busy": shardtest.Busy, "not stored": shardtest.LostBefore, "stored": shardtest.LostAfter,
		} {
			t.Run(op+" "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, 40)
					n := 0
					r.w.SetFault(func(o, key string) shardtest.Fault {
						if o != op {
							return shardtest.None
						}
						if n++; n%3 != 0 {
							return shardtest.None
						}
						return fault
					})
					is := r.fleetOf(3)
					if err := r.stop(is[0]); err != nil {
						t.Fatal(err)
					}
					time.Sleep(15 * time.Second)
					r.mustCover("after a stop")
					r.crash(is[1])
					time.Sleep(20 * time.Second)
					r.mustCover("after a crash")
				})
			})
		}
	}
}

// Health comes back with the first answer; what was lost meanwhile is told later.
// Until it is, nothing may act.
func TestAfterALapseNothingActsBeforeTheClaimsWereLookedAt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 40)
		is := r.fleetOf(3)
		is[0].link.Cut(true)
		time.Sleep(10 * time.Second)
		if len(is[0].held()) == 0 {
			t.Fatal("the one cut off holds nothing to be wrong about")
		}
		is[0].link.Lag(700 * time.Millisecond)
		is[0].link.Cut(false)
		healthy := false
		for range 3000 {
			time.Sleep(time.Millisecond)
			healthy = healthy || is[0].fleet.Status().Healthy
			for k, c := range is[0].held() {
				if h, _ := r.w.Last(t.Context(), k); c.MayAct() == nil && h.Seq != c.Epoch {
					t.Fatalf("%s: may act at %d, the head is %d", k, c.Epoch, h.Seq)
				}
			}
		}
		if !healthy {
			t.Error("health did not come back")
		}
		is[0].link.Lag(0)
		time.Sleep(30 * time.Second)
		r.mustCover("in the end")
	})
}

// Who waits for a living holder and is cut off from the ledger in between sees no
// release: it goes on waiting when it can see again.
func TestAHolderIsAwaitedOnlyWhileTheLedgerCanBeRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 100)
		slow := r.fleetOf(1)[0]
		release := make(chan struct{})
		for k := range slow.held() {
			slow.stick(k, release)
		}
		waits := r.start("wadm-1")
		claims := func() (n int) {
			for _, h := range r.w.Log() {
				if h.Record.Owner == "wadm-1" {
					n++
				}
			}
			return n
		}
		for !waits.fleet.Status().View.Has("wadm-1", waits.fleet.Status().Incarnation) {
			time.Sleep(10 * time.Millisecond)
		}
		// Nearly all of the 5 s, and then as good as none before it is known that the
		// ledger does not answer.
		time.Sleep(4200 * time.Millisecond)
		waits.link.LoseStores(true)
		time.Sleep(10 * time.Second)
		waits.link.LoseStores(false)
		time.Sleep(600 * time.Millisecond)
		if n := claims(); n != 0 {
			t.Errorf("took %d keys from a holder that lives, for which it waited 4.8 s", n)
		}
		time.Sleep(time.Second)
		if claims() == 0 {
			t.Error("did not go on waiting but began anew")
		}
		close(release)
		time.Sleep(40 * time.Second)
		r.mustCover("in the end")
	})
}

func TestAnOwnerThatFailsIsCalledAgainWithANewEpoch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		f, err := shard.New(r.w.Link().Ports(), shard.FleetConfig{
			Instance: "wadm-0", NewIncarnation: func() shard.Incarnation { return "a1" },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var epochs []uint64
		done := make(chan error, 1)
		go func() {
			done <- f.Run(ctx, func(ctx context.Context, c shard.Claim) error {
				epochs = append(epochs, c.Epoch)
				if len(epochs) < 4 {
					return fmt.Errorf("append: %w", shard.ErrUnknownOutcome)
				}
				c.Recovered()
				<-ctx.Done()
				return nil
			})
		}()
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if len(epochs) != 4 {
			t.Fatalf("own was called %d times, want 4", len(epochs))
		}
		for i := 1; i < 4; i++ {
			if epochs[i] <= epochs[i-1] {
				t.Errorf("epochs do not rise: %v", epochs)
			}
		}
	})
}
