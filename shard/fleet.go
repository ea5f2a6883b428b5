package shard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"wadm/shard/ring"
)

// Fleet is one instance's part in a fleet that shares the registered keys.
type Fleet struct {
	ports Ports
	cfg   FleetConfig

	mail   *mailbox
	health *health
	status atomic.Pointer[Status]

	// Owned by Run's loop.
	roster     *Roster
	hold       *Holdings
	exec       *executor
	me         Member
	ring       *ring.Ring
	ringErr    error
	rev        uint64 // of our newest membership record; 0: none was written
	gone       bool   // that record is no more
	leaving    bool
	ticked     time.Time
	putting    bool
	putAgain   bool
	nextPut    time.Time
	nextBeat   time.Time
	beats      uint64
	proposing  bool
	proposeAt  time.Time // not before
	excluded   int       // times in a row
	inViewFrom time.Time
	rejoinAt   time.Time
	replaced   bool
	otherAt    time.Time // when another life of this name was last heard
	endView    context.CancelFunc
	newer      uint64 // a view others follow and that has not arrived here; 0: none
	newerAt    time.Time
	newerWait  time.Duration
	stuck      Key // its owner was told to stop long ago
	settled    bool
	joinedAt   time.Time
	orphans    []Bare
	orphansAt  time.Time
	disagree   map[MemberID]bool
	mark       LedgerMark
	followGen  int
	endFollow  context.CancelFunc
	following  followed
	base       context.Context // of writes: outlives Run's own
	baseSleep  time.Duration
	probed     bool
	outbox     chan Beat
	nextStatus time.Time
}

// followed names one subscription to the claims: its number, and the newest lapse
// of health before it was started.
type followed struct {
	gen   int
	lapse int64
}

// New checks ports and configuration; Run does the rest.
func New(ports Ports, cfg FleetConfig) (*Fleet, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("new fleet member: %w", err)
	}
	if ports.Registry == nil || ports.Claims == nil || ports.Members == nil || ports.Views == nil || ports.Beats == nil || ports.Ledger == nil {
		return nil, errors.New("new fleet member: a port is missing")
	}
	f := &Fleet{ports: ports, cfg: cfg, mail: newMailbox(), disagree: map[MemberID]bool{}}
	f.status.Store(&Status{Instance: cfg.Instance, Fingerprint: cfg.Params.Fingerprint(), Reason: ErrNotReady.Error()})
	return f, nil
}

// Run takes part in the fleet and calls own for each key this instance owns,
// until ctx ends; then it drains: tells the others, hands every key over, and
// removes its record. It returns nil when that is done and an error when it took
// longer than the stop limit; the process should then exit. Trouble with the
// stores does not end it.
func (f *Fleet) Run(ctx context.Context, own Own) error {
	now := time.Now()
	f.start(now, own)
	base, endWrites := context.WithCancel(context.WithoutCancel(ctx))
	defer endWrites()
	f.base = base
	subs, stopSubs := context.WithCancel(base)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stopSubs()
	f.subscribe(subs, &wg)
	wg.Go(func() { f.probe(subs) })
	wg.Go(func() { f.send(subs) })
	err := f.loop(ctx, base)
	endWrites()
	if err == nil {
		f.exec.wg.Wait()
	}
	return err
}

func (f *Fleet) start(now time.Time, own Own) {
	f.me = Member{
		ID: f.cfg.Instance, Incarnation: f.cfg.NewIncarnation(), Started: now.UTC(), Version: f.cfg.Version,
		Schema: Schema, Fingerprint: f.cfg.Params.Fingerprint(), Units: f.cfg.Units, State: MemberActive,
	}
	f.health = newHealth(now, f.cfg.SelfLimit, f.cfg.Suspended)
	f.roster = NewRoster(f.me, f.cfg.Params, f.cfg.Roster)
	f.hold = NewHoldings(f.me.Incarnation, f.want, func(h Head) Standing { return f.roster.Standing(time.Now(), h) }, f.cfg.Holdings)
	f.hold.Pause(true, now)
	f.outbox = make(chan Beat, 1)
	f.baseSleep, _ = f.cfg.Suspended()
	f.exec = &executor{
		claims: f.ports.Claims, hold: f.hold, own: own, mail: f.mail, log: f.cfg.Log, timeout: f.cfg.WriteTimeout,
		running: map[Key]*running{}, health: f.health.check, answered: f.health.answered,
		record: func(a Action, state ClaimState) Record {
			return Record{
				Owner: f.cfg.Instance, Incarnation: a.Incarnation, State: state, View: f.roster.View().Rev,
				Settle: settleMillis(a.Settle), Forget: a.Forget, Reason: a.Reason,
			}
		},
	}
}

func settleMillis(d time.Duration) int64 {
	return min(maxSettle, int64((d+time.Millisecond-1)/time.Millisecond))
}

// want answers whether the view gives the key to this life of this instance.
func (f *Fleet) want(k Key) bool {
	if f.ring == nil {
		return false
	}
	id, ok := f.ring.Owner(string(k))
	return ok && MemberID(id) == f.cfg.Instance
}

func (f *Fleet) subscribe(ctx context.Context, wg *sync.WaitGroup) {
	log := f.cfg.Log
	keys := firstThen(func(c []KeyChange, reset bool) {
		f.mail.post(func(time.Time) { f.hold.Registry(c, reset) })
	})
	members := firstThen(func(c []MemberChange, reset bool) {
		f.mail.post(func(now time.Time) { f.sawMembers(now, c, reset) })
	})
	wg.Go(func() {
		follow(ctx, log, "registry", func(ctx context.Context) error { return f.ports.Registry.Watch(ctx, keys()) })
	})
	wg.Go(func() {
		follow(ctx, log, "members", func(ctx context.Context) error { return f.ports.Members.WatchMembers(ctx, members()) })
	})
	wg.Go(func() {
		follow(ctx, log, "view", func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			f.mail.post(func(time.Time) { f.endView = cancel })
			return f.ports.Views.WatchView(ctx, func(v *View) {
				f.mail.post(func(now time.Time) { f.sawView(now, v) })
			})
		})
	})
	wg.Go(func() {
		follow(ctx, log, "beats", func(ctx context.Context) error {
			return f.ports.Beats.ReceiveBeats(ctx, func(b Beat) {
				f.mail.post(func(now time.Time) { f.heard(now, b) })
			})
		})
	})
	wg.Go(func() {
		follow(ctx, log, "claims", func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			started := make(chan followed, 1)
			f.mail.post(func(time.Time) {
				f.followGen++
				f.endFollow = cancel
				lapse, _ := f.health.lapse()
				f.following = followed{f.followGen, lapse}
				started <- f.following
			})
			var of followed
			select {
			case of = <-started:
			case <-ctx.Done():
				return nil
			}
			reset := true
			return f.ports.Claims.Follow(ctx, func(heads []Head) {
				first := reset
				reset = false
				f.mail.post(func(now time.Time) { f.sawHeads(now, of, heads, first) })
			})
		})
	})
}

// probe asks the ledger for a sign of life, all the time. A question without answer is
// given up while trust lasts long enough for another one.
func (f *Fleet) probe(ctx context.Context) {
	t := time.NewTicker(f.cfg.ProbeEvery)
	defer t.Stop()
	for {
		start, floor := time.Now(), f.exec.written.Load()
		pctx, cancel := context.WithTimeout(ctx, f.cfg.SelfLimit/2)
		mark, err := f.ports.Ledger.Probe(pctx)
		cancel()
		if err == nil {
			f.health.answered(start)
			f.mail.post(func(now time.Time) { f.sawMark(now, mark, floor) })
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// send takes beats from the loop, so that a slow connection does not slow the loop.
func (f *Fleet) send(ctx context.Context) {
	for {
		select {
		case b := <-f.outbox:
			if err := f.ports.Beats.SendBeat(b); err != nil {
				f.cfg.Log.Debug("heartbeat not sent", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// tick is the longest the loop rests. Everything it does at a time of its own
// choosing is late by at most this.
const tick = 50 * time.Millisecond

func (f *Fleet) loop(ctx, base context.Context) error {
	done := ctx.Done()
	var limit <-chan time.Time
	var stopping bool
	var stopFrom time.Time
	var failed error // why it ended by itself
	t := time.NewTimer(0)
	defer t.Stop()
	end := time.NewTimer(time.Hour)
	end.Stop()
	defer end.Stop()
	stop := func() {
		done, stopFrom = nil, time.Now()
		f.startDrain(stopFrom)
		end.Reset(f.cfg.StopLimit)
		limit = end.C
	}
	for {
		now := time.Now()
		for _, fn := range f.mail.take() {
			fn(now)
		}
		f.tick(base, now)
		acts, next := f.hold.Step(now)
		f.exec.do(base, acts)
		if done == nil {
			if !stopping && f.mayStop(now, stopFrom) {
				stopping = true
				f.hold.Drain()
				continue
			}
			if stopping && len(f.exec.running) == 0 && !f.roster.Healthy() && now.Sub(stopFrom) > 2*f.cfg.SelfLimit {
				return fmt.Errorf("hand keys over: %w: claims are left behind", ErrUnhealthy)
			}
			if stopping && f.hold.Drained() {
				f.leaving = true
				if !f.putting {
					f.leave(base)
					return failed
				}
			}
		}
		f.publish(now)
		if r := f.exec.running[f.stuck]; done != nil && r != nil && now.Sub(r.told) > 2*f.cfg.StuckLimit {
			failed = fmt.Errorf("owner of %s: %w within %s", f.stuck, ErrStuck, 2*f.cfg.StuckLimit)
			f.cfg.Log.Error("giving everything up, to be started again", "error", failed)
			stop()
			continue
		}
		t.Reset(min(tick, max(0, next.Sub(now))))
		select {
		case <-f.mail.signal:
		case <-t.C:
		case <-done:
			stop()
		case <-limit:
			n := len(f.exec.running)
			for _, r := range f.exec.running {
				r.guard.fenced.Store(true)
				r.cancel(ErrFenced)
			}
			err := fmt.Errorf("hand keys over: %d owners still running after %s", n, f.cfg.StopLimit)
			if n == 0 {
				err = fmt.Errorf("hand keys over: not released within %s", f.cfg.StopLimit)
			}
			return errors.Join(failed, err)
		}
	}
}

// tick does what is due.
func (f *Fleet) tick(base context.Context, now time.Time) {
	if now.Sub(f.ticked) < tick/5 {
		return // many messages: not everything is worth looking at each time
	}
	f.ticked = now
	f.watchSleep(now)
	healthy := f.health.ok(now)
	if healthy != f.roster.Healthy() {
		if healthy {
			f.cfg.Log.Info("ledger answers")
		} else {
			f.cfg.Log.Warn("ledger does not answer: no effects, no proposals")
		}
		f.roster.Health(now, healthy)
	}
	if f.replaced {
		f.comeBack(now)
	}
	f.pause(now)
	if lapse, valid := f.health.lapse(); healthy && !valid && f.following.lapse < lapse && f.endFollow != nil {
		f.endFollow() // start again, from the heads on
	}
	if !f.replaced && !f.leaving && !now.Before(f.nextPut) && !now.Before(f.rejoinAt) && !f.putting && f.roster.recordsLoaded {
		f.putMember(base, now)
	}
	if !f.replaced && !now.Before(f.nextBeat) {
		f.beat(now)
	}
	if !f.proposing && !f.replaced && !now.Before(f.proposeAt) {
		if p, _ := f.roster.Propose(now); p != nil {
			f.propose(base, *p)
		}
	}
	if now.Sub(f.orphansAt) >= time.Second {
		f.orphansAt = now
		f.watchCoverage(now)
		f.watchStuck(now)
	}
}

// pause has nothing begun while the claims are not known as they are.
func (f *Fleet) pause(now time.Time) {
	since, blind := f.health.blind(now)
	if !blind {
		since = now
	}
	f.hold.Pause(blind || f.replaced, since)
}

func (f *Fleet) beat(now time.Time) {
	f.beats++
	jitter := time.Duration(mix(string(f.me.Incarnation), "beat", int(f.beats%60000)) % uint64(f.cfg.Heartbeat/5*2))
	f.nextBeat = now.Add(f.cfg.Heartbeat - f.cfg.Heartbeat/5 + jitter)
	b := Beat{
		ID: f.me.ID, Incarnation: f.me.Incarnation, View: f.roster.View().Rev, Unhealthy: f.health.check() != nil,
		Draining: f.me.State == MemberDraining, Held: len(f.exec.running), Silent: f.roster.Suspects(now),
	}
	if f.ring != nil {
		b.Digest = f.ring.Digest()
	}
	select {
	case f.outbox <- b:
	default: // the connection is slower than the beat
	}
}
