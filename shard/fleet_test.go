package shard_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wadm/shard"
	"wadm/shard/shardtest"
)

// rig is a fleet in one world, under fake time.
type rig struct {
	t       *testing.T
	w       *shardtest.World
	effects *shardtest.Effects
	all     map[shard.MemberID]*instance
	lives   atomic.Int64
	every   time.Duration // between two effects of an owner
	keys    []shard.Key
}

type instance struct {
	id    shard.MemberID
	fleet *shard.Fleet
	link  *shardtest.Link
	*owners
	cancel context.CancelFunc
	done   chan error
	sleep  *sleepClock
	ends   map[shard.Key]func(time.Time)
	dead   bool
}

type sleepClock struct {
	mu sync.Mutex
	d  time.Duration
}

func (s *sleepClock) add(d time.Duration) { s.mu.Lock(); s.d += d; s.mu.Unlock() }
func (s *sleepClock) get() (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.d, true
}

func newRig(t *testing.T, keys int) *rig {
	r := &rig{t: t, w: shardtest.NewWorld(), effects: shardtest.NewEffects(), every: 20 * time.Second, all: map[shard.MemberID]*instance{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.w.Run(ctx) })
	t.Cleanup(func() {
		for _, i := range r.all {
			i.cancel()
		}
		for _, i := range r.all {
			<-i.done
		}
		cancel()
		wg.Wait()
		if s := r.effects.Stale(); len(s) > 0 {
			t.Errorf("%d stale effects, the first: %s", len(s), s[0])
		}
		r.checkLog()
	})
	for i := range keys {
		k := shard.Key(fmt.Sprintf("t%d.lattice%d", i%3, i))
		if err := r.w.Register(context.Background(), k); err != nil {
			t.Fatal(err)
		}
		r.keys = append(r.keys, k)
	}
	return r
}

func (r *rig) checkLog() {
	c := shardtest.NewLogChecker()
	for _, h := range r.w.Log() {
		if err := c.Claim(h); err != nil {
			r.t.Error(err)
			return
		}
	}
}

// start runs an instance whose owners act while they may.
func (r *rig) start(id shard.MemberID, change ...func(*shard.FleetConfig)) *instance {
	r.t.Helper()
	i := &instance{id: id, link: r.w.Link(), owners: newOwners(), done: make(chan error, 1), sleep: &sleepClock{}, ends: map[shard.Key]func(time.Time){}}
	cfg := shard.FleetConfig{
		Instance: id, Suspended: i.sleep.get,
		NewIncarnation: func() shard.Incarnation {
			return shard.Incarnation(fmt.Sprintf("%s-life%d", id, r.lives.Add(1)))
		},
	}
	for _, c := range change {
		c(&cfg)
	}
	f, err := shard.New(i.link.Ports(), cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	i.fleet = f
	ctx, cancel := context.WithCancel(context.Background())
	i.cancel = cancel
	go func() {
		i.done <- f.Run(ctx, func(ctx context.Context, c shard.Claim) error {
			if c.AwaitEffects(ctx) != nil {
				return i.own(ctx, c)
			}
			act := func() {
				// As the protocol has it: the append, one last check, the effect.
				actx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
				if i.link.Append(actx, c) == nil && c.MayAct() == nil {
					r.effects.Effect(c.Key, c.Epoch)
				}
			}
			act()
			end := r.effects.Begin(time.Now(), c.Key)
			i.mu.Lock()
			i.ends[c.Key] = end
			i.mu.Unlock()
			stop := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				t := time.NewTicker(r.every)
				defer t.Stop()
				for {
					select {
					case <-t.C:
					case <-stop:
						return
					}
					act()
				}
			})
			err := i.own(ctx, c)
			end(time.Now())
			close(stop)
			wg.Wait()
			return err
		})
	}()
	r.all[id] = i
	return i
}

func (r *rig) stop(i *instance) error {
	i.cancel()
	err := <-i.done
	i.done <- err
	delete(r.all, i.id)
	return err
}

// crash cuts an instance off for good; what it still believes may not act.
func (r *rig) crash(i *instance) {
	i.link.Cut(true)
	i.dead = true
	i.mu.Lock()
	defer i.mu.Unlock()
	for k := range i.active {
		i.ends[k](time.Now())
	}
}

func (r *rig) covered() error {
	owners := map[shard.MemberID]map[shard.Key]uint64{}
	var ss []shard.Status
	for id, i := range r.all {
		if i.dead {
			continue
		}
		held := map[shard.Key]uint64{}
		for k, c := range i.held() {
			held[k] = c.Epoch
		}
		owners[id] = held
		ss = append(ss, i.fleet.Status())
	}
	if err := shardtest.CheckAgreement(ss); err != nil {
		return err
	}
	return shardtest.CheckCoverage(r.keys, owners)
}

func (r *rig) mustCover(when string) {
	r.t.Helper()
	if err := r.covered(); err != nil {
		r.t.Fatalf("%s: %v", when, err)
	}
}

// gaps gives the median and the worst time without an effect since the last call.
func (r *rig) gaps() (p50, worst time.Duration) {
	var ds []time.Duration
	for _, d := range r.effects.Gaps(time.Now()) {
		ds = append(ds, d)
	}
	if len(ds) == 0 {
		return 0, 0
	}
	slices.Sort(ds)
	return ds[len(ds)/2], ds[len(ds)-1]
}

// moved counts the keys whose owner differs.
func moved(a, b map[shard.Key]shard.MemberID) int {
	n := 0
	for k, id := range a {
		if b[k] != id {
			n++
		}
	}
	return n
}

func (r *rig) placement() map[shard.Key]shard.MemberID {
	m := map[shard.Key]shard.MemberID{}
	for id, i := range r.all {
		if i.dead {
			continue
		}
		for k := range i.held() {
			m[k] = id
		}
	}
	return m
}

// fleetOf starts n instances and lets them share everything.
func (r *rig) fleetOf(n int) []*instance {
	var is []*instance
	for i := range n {
		is = append(is, r.start(shard.MemberID(fmt.Sprintf("wadm-%d", i))))
	}
	time.Sleep(40 * time.Second)
	r.mustCover("at the start")
	for _, i := range is {
		if err := i.fleet.Ready(); err != nil {
			r.t.Fatalf("%s: %v", i.id, err)
		}
	}
	r.gaps()
	return is
}

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

func TestADrainedInstanceOwnsNothingAndStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 100)
		is := r.fleetOf(3)
		is[1].fleet.Drain()
		time.Sleep(5 * time.Second)
		r.mustCover("after the drain")
		if _, worst := r.gaps(); worst > 500*time.Millisecond {
			t.Errorf("worst gap %s", worst)
		}
		if n := len(is[1].held()); n != 0 {
			t.Errorf("still owns %d keys", n)
		}
		time.Sleep(time.Minute)
		if s := is[1].fleet.Status(); s.Ready || !s.Draining || s.Reason != "draining" {
			t.Errorf("status %+v", s)
		}
		if n := len(is[1].held()); n != 0 {
			t.Errorf("owns %d keys again", n)
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
		<-is[1].done
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
			"refused": shardtest.Refused, "not stored": shardtest.LostBefore, "stored": shardtest.LostAfter,
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
