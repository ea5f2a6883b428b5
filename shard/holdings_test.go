package shard_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"wadm/shard"
)

// ledger is the claim register of the model: the truth about who may act.
type ledger struct {
	seq   uint64
	heads map[shard.Key]shard.Head
	log   []shard.Head
}

func (l *ledger) put(k shard.Key, r shard.Record, expect uint64) (uint64, bool) {
	if l.heads[k].Seq != expect {
		return 0, false
	}
	l.seq++
	h := shard.Head{Key: k, Seq: l.seq, Record: r}
	l.heads[k] = h
	l.log = append(l.log, h)
	return l.seq, true
}

// op is a write under way.
type op struct {
	by *modelInstance
	a  shard.Action
}

type late struct {
	a shard.Action
	r shard.Record
}

type modelInstance struct {
	id      shard.MemberID
	inc     shard.Incarnation
	lives   int
	hold    *shard.Holdings
	wants   map[shard.Key]bool
	running map[shard.Key]uint64 // epochs own runs under
	told    map[shard.Key]error  // causes given to own
	acked   map[shard.Key]uint64 // highest epoch acknowledged
	seen    int                  // of the ledger's log
}

type model struct {
	t     *rapid.T
	now   time.Time
	l     *ledger
	keys  []shard.Key
	insts []*modelInstance
	ops   []*op
	lates []late
}

func (m *model) instance(id shard.MemberID) *modelInstance {
	i := &modelInstance{
		id: id, inc: shard.Incarnation(id + "-0"), wants: map[shard.Key]bool{}, running: map[shard.Key]uint64{},
		told: map[shard.Key]error{}, acked: map[shard.Key]uint64{},
	}
	i.hold = shard.NewHoldings(i.inc, func(k shard.Key) bool { return i.wants[k] },
		func(h shard.Head) shard.Standing {
			for _, o := range m.insts {
				if o.inc == h.Record.Incarnation {
					return shard.Standing{Alive: true}
				}
			}
			return shard.Standing{}
		}, shard.HoldingsConfig{Parallel: 3, MaxStopping: 2})
	i.hold.Heads(m.now, nil, true)
	var ks []shard.KeyChange
	for _, k := range m.keys {
		ks = append(ks, shard.KeyChange{Key: k})
	}
	i.hold.Registry(ks, true)
	return i
}

func (m *model) step(i *modelInstance) int {
	acts, _ := i.hold.Step(m.now)
	m.carryOut(i, acts)
	return len(acts)
}

func (m *model) carryOut(i *modelInstance, acts []shard.Action) {
	for _, a := range acts {
		switch a.Kind {
		case shard.DoAcquire, shard.DoRelease:
			m.ops = append(m.ops, &op{by: i, a: a})
		case shard.DoStart:
			if e, ok := i.running[a.Key]; ok {
				m.t.Fatalf("%s: own started at %d while it runs at %d", a.Key, a.Epoch, e)
			}
			if i.acked[a.Key] != a.Epoch {
				m.t.Fatalf("%s: own started at %d, acknowledged is %d", a.Key, a.Epoch, i.acked[a.Key])
			}
			i.running[a.Key] = a.Epoch
		case shard.DoCancel:
			if e, ok := i.running[a.Key]; !ok || e != a.Epoch {
				m.t.Fatalf("%s: cancel at %d of %d", a.Key, a.Epoch, e)
			}
			if i.told[a.Key] == nil {
				i.told[a.Key] = a.Cause
			}
		}
	}
}

func record(i *modelInstance, a shard.Action) shard.Record {
	st := shard.Held
	if a.Kind == shard.DoRelease {
		st = shard.Released
	}
	return shard.Record{Owner: i.id, Incarnation: a.Incarnation, State: st, Settle: a.Settle.Milliseconds()}
}

// finish gives an operation its fate.
func (m *model) finish(n int, fate string) {
	o := m.ops[n]
	m.ops = append(m.ops[:n], m.ops[n+1:]...)
	r := record(o.by, o.a)
	var err error
	seq := uint64(0)
	switch fate {
	case "ok", "lost after":
		s, ok := m.l.put(o.a.Key, r, o.a.Expect)
		seq = s
		if !ok {
			err = shard.ErrFenced
		} else if fate == "lost after" {
			err, seq = shard.ErrUnknownOutcome, 0
		}
	case "refused":
		err = errors.New("refused")
	case "lost before":
		err = shard.ErrUnknownOutcome
	case "lost late":
		err = shard.ErrUnknownOutcome
		m.lates = append(m.lates, late{o.a, r})
	}
	var head shard.Head
	if err != nil && fate != "refused" {
		head = m.l.heads[o.a.Key]
		head.Key = o.a.Key
	}
	if err == nil && o.a.Kind == shard.DoAcquire && o.a.Incarnation == o.by.inc {
		o.by.acked[o.a.Key] = seq
	}
	if o.a.Kind == shard.DoAcquire {
		o.by.hold.Claimed(m.now, o.a.Key, o.a, seq, err, head)
	} else {
		o.by.hold.Released(m.now, o.a.Key, o.a, seq, err, head)
	}
}

func (m *model) follow(i *modelInstance) {
	if i.seen < len(m.l.log) {
		i.hold.Heads(m.now, m.l.log[i.seen:], false)
		i.seen = len(m.l.log)
	}
}

// ret has own return if it was told to or wants to.
func (m *model) ret(i *modelInstance, k shard.Key, err error) {
	e := i.running[k]
	delete(i.running, k)
	delete(i.told, k)
	i.hold.Returned(m.now, k, e, err)
}

func TestPropertyHoldingsConvergeUnderAnyFateOfAnyWrite(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &model{t: t, now: time.Unix(1000, 0), l: &ledger{heads: map[shard.Key]shard.Head{}}}
		for i := range 4 {
			m.keys = append(m.keys, shard.Key(fmt.Sprintf("t.l%d", i)))
		}
		for i := range rapid.IntRange(1, 3).Draw(t, "instances") {
			m.insts = append(m.insts, m.instance(shard.MemberID(fmt.Sprintf("m%d", i))))
		}
		pick := func() *modelInstance { return rapid.SampledFrom(m.insts).Draw(t, "instance") }
		key := func() shard.Key { return rapid.SampledFrom(m.keys).Draw(t, "key") }
		t.Repeat(map[string]func(*rapid.T){
			"step": func(t *rapid.T) { m.step(pick()) },
			"want": func(t *rapid.T) {
				i := pick()
				i.wants[key()] = rapid.Bool().Draw(t, "wanted")
				i.hold.Reconsider()
			},
			"write": func(t *rapid.T) {
				if len(m.ops) == 0 {
					t.Skip("nothing under way")
				}
				m.finish(rapid.IntRange(0, len(m.ops)-1).Draw(t, "op"),
					rapid.SampledFrom([]string{"ok", "ok", "refused", "lost before", "lost after", "lost late"}).Draw(t, "fate"))
			},
			"late": func(t *rapid.T) {
				if len(m.lates) == 0 {
					t.Skip("nothing late")
				}
				n := rapid.IntRange(0, len(m.lates)-1).Draw(t, "late")
				x := m.lates[n]
				m.lates = append(m.lates[:n], m.lates[n+1:]...)
				m.l.put(x.a.Key, x.r, x.a.Expect)
			},
			"follow": func(t *rapid.T) { m.follow(pick()) },
			"own returns": func(t *rapid.T) {
				i, k := pick(), key()
				if _, ok := i.running[k]; !ok {
					t.Skip("not running")
				}
				m.ret(i, k, rapid.SampledFrom([]error{nil, shard.ErrFenced, shard.ErrUnknownOutcome}).Draw(t, "error"))
			},
			"recovered": func(t *rapid.T) {
				i, k := pick(), key()
				i.hold.Recovered(k, i.running[k])
			},
			"time": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(1, 6000).Draw(t, "ms")) * time.Millisecond)
			},
			"new life": func(t *rapid.T) {
				i := pick()
				i.lives++
				i.inc = shard.Incarnation(fmt.Sprintf("%s-%d", i.id, i.lives))
				m.carryOut(i, i.hold.Renew(i.inc))
			},
			"": func(t *rapid.T) {
				for _, i := range m.insts {
					n := 0
					for _, c := range i.hold.Counts() {
						n += c
					}
					if n > len(m.keys) {
						t.Fatalf("counts add up to %d", n)
					}
				}
			},
		})

		// Faults stop; every key is wanted by one instance.
		for _, x := range m.lates {
			m.l.put(x.a.Key, x.r, x.a.Expect)
		}
		for n, k := range m.keys {
			for j, i := range m.insts {
				i.wants[k] = j == n%len(m.insts)
			}
		}
		for _, i := range m.insts {
			i.hold.Reconsider()
		}
		quiet := 0
		for round := 0; quiet < 20; round++ {
			if round > 2000 {
				t.Fatal("does not come to rest")
			}
			did := 0
			for _, i := range m.insts {
				m.follow(i)
				did += m.step(i)
				for _, k := range m.keys {
					if i.told[k] != nil {
						m.ret(i, k, i.told[k])
						did++
					}
				}
			}
			for len(m.ops) > 0 {
				m.finish(0, "ok")
				did++
			}
			m.now = m.now.Add(500 * time.Millisecond)
			if quiet++; did > 0 {
				quiet = 0
			}
		}
		for n, k := range m.keys {
			i := m.insts[n%len(m.insts)]
			if e := i.running[k]; e == 0 || e != m.l.heads[k].Seq || !m.l.heads[k].HeldBy(i.inc) {
				t.Fatalf("%s: runs at %d, head %+v", k, e, m.l.heads[k])
			}
			for _, o := range m.insts {
				if _, ok := o.running[k]; ok && o != i {
					t.Fatalf("%s: %s still runs", k, o.id)
				}
			}
		}
	})
}

// one makes Holdings of one instance that wants everything.
func one(cfg shard.HoldingsConfig, st shard.Standing, keys ...shard.Key) *shard.Holdings {
	h := shard.NewHoldings("me-1", func(shard.Key) bool { return true }, func(shard.Head) shard.Standing { return st }, cfg)
	var ks []shard.KeyChange
	for _, k := range keys {
		ks = append(ks, shard.KeyChange{Key: k})
	}
	h.Registry(ks, true)
	return h
}

func manyKeys(n int) []shard.Key {
	ks := make([]shard.Key, n)
	for i := range ks {
		ks[i] = shard.Key(fmt.Sprintf("t.l%d", i))
	}
	return ks
}

func foreign(k shard.Key, seq uint64, state shard.ClaimState, settle int64) shard.Head {
	return shard.Head{Key: k, Seq: seq, Record: shard.Record{Owner: "other", Incarnation: "other-1", State: state, Settle: settle}}
}

func TestNothingIsClaimedBeforeBothPicturesAreComplete(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	h := one(shard.HoldingsConfig{}, shard.Standing{}, "t.l")
	if acts, _ := h.Step(now); len(acts) != 0 {
		t.Errorf("claims without knowing the claims: %v", acts)
	}
	h.Heads(now, nil, true)
	if acts, _ := h.Step(now); len(acts) != 1 || acts[0].Kind != shard.DoAcquire {
		t.Errorf("actions %v", acts)
	}
}

func TestAcquisitionIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	h := one(shard.HoldingsConfig{Parallel: 8, Rate: 100}, shard.Standing{}, manyKeys(1000)...)
	h.Heads(now, nil, true)
	begun, seq := 0, uint64(0)
	for range 2000 {
		acts, next := h.Step(now)
		flight := 0
		for _, a := range acts {
			if a.Kind == shard.DoAcquire {
				flight++
				begun++
				seq++
				h.Claimed(now, a.Key, a, seq, nil, shard.Head{})
			}
		}
		if flight > 8 {
			t.Fatalf("%d in flight", flight)
		}
		if limit := 8 + int(now.Sub(time.Unix(1000, 0)).Seconds()*100) + 1; begun > limit {
			t.Fatalf("%d begun, the rate allows %d", begun, limit)
		}
		if !next.After(now) {
			next = now
		}
		now = next
	}
	if begun != 1000 {
		t.Errorf("%d of 1000 begun", begun)
	}
}

func TestAClaimWithoutOwnerIsReleasedWithoutTheBackOffOfOwning(t *testing.T) {
	t.Parallel()
	now, want := time.Unix(1000, 0), true
	h := shard.NewHoldings("me-1", func(shard.Key) bool { return want },
		func(shard.Head) shard.Standing { return shard.Standing{} }, shard.HoldingsConfig{})
	h.Registry([]shard.KeyChange{{Key: "t.l"}}, true)
	h.Heads(now, nil, true)
	seq := uint64(0)
	for range 10 { // its owner fails again and again, so the pause is the longest
		now = now.Add(10 * time.Second)
		acts, _ := h.Step(now)
		if len(acts) != 1 || acts[0].Kind != shard.DoAcquire {
			t.Fatalf("actions %+v", acts)
		}
		seq++
		h.Claimed(now, "t.l", acts[0], seq, nil, shard.Head{})
		h.Step(now)
		h.Returned(now, "t.l", seq, errors.New("failed"))
	}
	want = false
	h.Reconsider()
	acts, _ := h.Step(now)
	if len(acts) != 1 || acts[0].Kind != shard.DoRelease || acts[0].Expect != seq {
		t.Fatalf("actions %+v, want a release at once", acts)
	}

	// A release that fails has a pause of its own.
	h.Released(now, "t.l", acts[0], 0, shard.ErrUnknownOutcome, shard.Head{})
	if acts, _ := h.Step(now); len(acts) != 0 {
		t.Fatalf("released again without a pause: %+v", acts)
	}
	now = now.Add(10 * time.Second)
	if acts, _ := h.Step(now); len(acts) != 1 || acts[0].Kind != shard.DoRelease {
		t.Errorf("actions %+v, want another release", acts)
	}
}

func TestTheOwnersPauseDoublesUntilOneRecovers(t *testing.T) {
	t.Parallel()
	now, seq := time.Unix(1000, 0), uint64(0)
	h := one(shard.HoldingsConfig{}, shard.Standing{}, "t.l")
	h.Heads(now, nil, true)
	// fails waits for the claim, has its owner fail, and tells how long the wait was.
	fails := func(recovered bool) time.Duration {
		t.Helper()
		from := now
		for {
			acts, next := h.Step(now)
			if len(acts) == 0 {
				now = next
				continue
			}
			if acts[0].Kind != shard.DoAcquire {
				t.Fatalf("actions %+v", acts)
			}
			waited := now.Sub(from)
			seq++
			h.Claimed(now, "t.l", acts[0], seq, nil, shard.Head{})
			h.Step(now)
			if recovered {
				h.Recovered("t.l", seq)
			}
			h.Returned(now, "t.l", seq, errors.New("failed"))
			return waited
		}
	}
	within := func(got, most time.Duration) {
		t.Helper()
		if got < most/2 || got > most {
			t.Errorf("claimed again after %s, want %s to %s", got, most/2, most)
		}
	}
	fails(false)
	for _, most := range []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000} {
		within(fails(false), most*time.Millisecond)
	}
	within(fails(true), 5*time.Second)
	within(fails(false), 100*time.Millisecond)
}

func TestGivingUpIsPacedAndASlowKeyHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	h := one(shard.HoldingsConfig{MaxStopping: 2}, shard.Standing{}, manyKeys(10)...)
	h.Heads(now, nil, true)
	seq := uint64(0)
	running := map[shard.Key]uint64{}
	turn := func() (cancelled []shard.Key) {
		acts, _ := h.Step(now)
		for _, a := range acts {
			switch a.Kind {
			case shard.DoAcquire:
				seq++
				h.Claimed(now, a.Key, a, seq, nil, shard.Head{})
			case shard.DoStart:
				running[a.Key] = a.Epoch
			case shard.DoCancel:
				cancelled = append(cancelled, a.Key)
			case shard.DoRelease:
				seq++
				h.Released(now, a.Key, a, seq, nil, shard.Head{})
			}
		}
		return cancelled
	}
	for range 3 {
		turn()
	}
	if len(running) != 10 {
		t.Fatalf("%d running", len(running))
	}
	h.Drain()
	if c := turn(); len(c) != 2 {
		t.Fatalf("%d given up at once, want 2", len(c))
	}
	// Both are stuck. The others go on when their places have run out.
	if c := turn(); len(c) != 0 {
		t.Fatalf("%d more although both places are taken", len(c))
	}
	now = now.Add(time.Second)
	gone := 0
	for range 30 {
		for _, k := range turn() {
			h.Returned(now, k, running[k], nil)
			gone++
		}
	}
	if gone != 8 {
		t.Errorf("%d of the 8 others were given up", gone)
	}
	if h.Drained() {
		t.Error("drained although two owners have not stopped")
	}
}

func TestAnUnregisteredKeyIsReleasedForGood(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	h := one(shard.HoldingsConfig{}, shard.Standing{}, "t.l")
	h.Heads(now, nil, true)
	acts, _ := h.Step(now)
	h.Claimed(now, "t.l", acts[0], 1, nil, shard.Head{})
	h.Step(now)
	h.Registry([]shard.KeyChange{{Key: "t.l", Gone: true}}, false)
	acts, _ = h.Step(now)
	if len(acts) != 1 || acts[0].Kind != shard.DoCancel || !errors.Is(acts[0].Cause, shard.ErrHandOver) {
		t.Fatalf("actions %+v", acts)
	}
	h.Returned(now, "t.l", 1, nil)
	acts, _ = h.Step(now)
	if len(acts) != 1 || acts[0].Kind != shard.DoRelease || !acts[0].Forget || acts[0].Expect != 1 {
		t.Fatalf("actions %+v", acts)
	}
}
