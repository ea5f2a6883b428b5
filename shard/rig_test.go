package shard_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
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
	late    bool          // effects take as long to the hosts as DESIGN.md allows
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
	// underWay is how long the last effect of each owner takes to arrive, which the
	// owner knows and says; zero: it has arrived. It is to be set before the end.
	underWay time.Duration

	sent    chan struct{} // closed when the effect sent last has arrived
	off     atomic.Bool   // cut off
	unheard atomic.Bool   // by another one, at least once
}

// cut cuts the instance off, or ends that.
func (i *instance) cut(off bool) {
	i.off.Store(off)
	i.link.Cut(off)
}

// effect sends an effect, over one connection: none overtakes another.
func (r *rig) effect(i *instance, c shard.Claim) {
	if !r.late {
		r.effects.Effect(c.Key, c.Epoch)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	before, arrived, at := i.sent, make(chan struct{}), time.Now()
	i.sent = arrived
	go func() {
		defer close(arrived)
		time.Sleep(time.Until(at.Add(450 * time.Millisecond)))
		if i.off.Load() && !i.unheard.Load() {
			time.Sleep(time.Until(at.Add(1900 * time.Millisecond)))
		}
		<-before
		r.effects.Effect(c.Key, c.Epoch)
	}()
}

// flush waits until what was sent has arrived.
func (i *instance) flush() {
	i.mu.Lock()
	sent := i.sent
	i.mu.Unlock()
	<-sent
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
			<-i.done //nolint:errcheck // it was cancelled, so its error says nothing
		}
		for id, i := range r.all {
			if len(i.twice) > 0 {
				t.Errorf("%s: own was called twice at a time for %v", id, i.twice)
			}
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

// life names lives of an instance.
func (r *rig) life(id shard.MemberID) func() shard.Incarnation {
	return func() shard.Incarnation {
		return shard.Incarnation(fmt.Sprintf("%s-life%d", id, r.lives.Add(1)))
	}
}

// start runs an instance whose owners act while they may.
func (r *rig) start(id shard.MemberID, change ...func(*shard.FleetConfig)) *instance {
	r.t.Helper()
	i := &instance{id: id, link: r.w.Link(), owners: newOwners(), done: make(chan error, 1), sleep: &sleepClock{}, ends: map[shard.Key]func(time.Time){}, sent: make(chan struct{})}
	close(i.sent)
	cfg := shard.FleetConfig{
		Instance: id, Suspended: i.sleep.get,
		NewIncarnation: r.life(id),
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
					r.effect(i, c)
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
			i.flush()
			if i.underWay > 0 {
				time.AfterFunc(i.underWay, func() { r.effects.Effect(c.Key, c.Epoch) })
				return fmt.Errorf("%w: %w", shard.ErrUnderWay, err)
			}
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
	i.cut(true)
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
