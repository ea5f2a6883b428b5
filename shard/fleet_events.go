package shard

import (
	"context"
	"errors"
	"time"
)

// sawMembers takes membership records. Another life under this instance's name
// that is not an earlier one of its own ends its part: it was started by mistake,
// or it is this one that was left over.
func (f *Fleet) sawMembers(now time.Time, changes []MemberChange, reset bool) {
	f.roster.Records(now, changes, reset)
	for _, c := range changes {
		if c.Member.ID != f.me.ID {
			continue
		}
		switch i := c.Member.Incarnation; {
		case c.Rev <= f.rev:
		case c.Gone:
			f.gone, f.nextPut = true, now
		case i == f.me.Incarnation:
			f.rev, f.gone = c.Rev, false
		case f.hold.past[i]:
			f.rev = c.Rev
		case f.rev > 0:
			f.replacedBy(i)
		}
	}
}

func (f *Fleet) replacedBy(i Incarnation) {
	if f.replaced {
		return
	}
	f.replaced, f.otherAt = true, time.Now()
	f.cfg.Log.Error("another instance runs under this name; this one stops acting", "incarnation", string(i))
	f.hold.Halt()
}

// comeBack ends being replaced when the other life has ended: its record is gone
// and nothing is heard of it.
func (f *Fleet) comeBack(now time.Time) {
	if _, there := f.roster.records[f.me.ID]; there || !f.roster.recordsLoaded || !f.roster.Healthy() || now.Sub(f.otherAt) < f.cfg.Roster.Suspect {
		return
	}
	f.cfg.Log.Warn("the other instance of this name is gone: taking part again")
	f.replaced, f.rev, f.gone = false, 0, false
	f.hold.Resume()
	f.renew(now)
	f.rering(now)
}

// putMember writes this instance's record.
func (f *Fleet) putMember(base context.Context, now time.Time) {
	f.putting = true
	f.nextPut = now.Add(f.cfg.Refresh)
	m := f.me
	m.Held = len(f.exec.running)
	expect := f.rev
	if f.gone {
		expect = 0
	} else if rev := f.roster.records[m.ID].Rev; rev > expect {
		expect = rev // what is left of an earlier life is replaced
	}
	f.exec.wg.Go(func() {
		ctx, cancel := context.WithTimeout(base, f.cfg.WriteTimeout)
		defer cancel()
		rev, err := f.ports.Members.PutMember(ctx, m, expect)
		f.mail.post(func(now time.Time) {
			f.putting = false
			if f.putAgain {
				f.putAgain = false
				f.nextPut = now
			}
			switch {
			case m.Incarnation != f.me.Incarnation:
				f.nextPut = now
			case err == nil:
				f.rev, f.gone = max(f.rev, rev), false
			default:
				// Refused: the watch will tell whether it has expired or whose it is.
				f.cfg.Log.Debug("membership record not written", "error", err)
				f.nextPut = now.Add(f.cfg.Refresh / 8)
			}
		})
	})
}

// sawView takes a view and computes the ring from it.
func (f *Fleet) sawView(now time.Time, v *View) {
	if v == nil {
		f.roster.NoView(now)
		return
	}
	if old := f.roster.View(); v.Rev <= old.Rev {
		return
	}
	excluded := f.roster.Saw(now, *v)
	f.cfg.Log.Info("the instances agreed on a new view", "view", v.Rev, "members", len(v.Members), "cause", v.Cause, "proposer", string(v.Proposer))
	if excluded && f.me.State != MemberDraining && !f.replaced {
		f.excluded++
		pause := f.cfg.RejoinMax
		if f.excluded <= 16 {
			pause = min(pause, f.cfg.RejoinMin<<(f.excluded-1))
		}
		f.cfg.Log.Warn("given up by the others: dropping everything", "again_in", pause)
		f.renew(now)
		f.rejoinAt = now.Add(pause)
	}
	f.rering(now)
}

// rering rebuilds the ring from the view. Without a place in the view, or with a
// view that another build placed, this instance owns nothing.
func (f *Fleet) rering(now time.Time) {
	v := f.roster.View()
	was := f.ring != nil
	f.ring, f.ringErr = nil, nil
	clear(f.disagree)
	switch {
	case v.Rev == 0:
	case v.Schema != f.me.Schema:
		f.ringErr = ErrForeignView
	case v.Fingerprint != f.me.Fingerprint:
		f.ringErr = ErrForeignRing
	case !v.Has(f.me.ID, f.me.Incarnation):
	default:
		f.ring, f.ringErr = v.Ring()
	}
	if f.ringErr != nil {
		f.cfg.Log.Error("cannot follow the view: owning nothing", "view", v.Rev, "schema", v.Schema, "own_schema", f.me.Schema,
			"fingerprint", v.Fingerprint, "own_fingerprint", f.me.Fingerprint, "error", f.ringErr)
	}
	if f.ring != nil && !was {
		f.inViewFrom = now
		if f.joinedAt.IsZero() {
			f.joinedAt = now
		}
	}
	f.hold.Reconsider()
}

// renew begins a new life: every claim of the old one is dropped.
func (f *Fleet) renew(now time.Time) {
	f.me.Incarnation = f.cfg.NewIncarnation()
	f.me.Started = now.UTC()
	acts := f.hold.Renew(f.me.Incarnation)
	f.exec.do(context.Background(), acts) // cancels only
	f.roster.Renew(f.me.Incarnation)
	f.nextPut, f.nextBeat = now, now
	f.joinedAt, f.settled = time.Time{}, false
	f.ring = nil
	f.hold.Reconsider()
}

func (f *Fleet) heard(now time.Time, b Beat) {
	if b.ID == f.me.ID {
		if b.Incarnation != f.me.Incarnation {
			f.otherAt = now
		}
		return
	}
	f.roster.Heard(now, b)
	f.compareViews(now, b)
	if f.ring == nil || b.View != f.roster.View().Rev || b.Digest == 0 {
		return
	}
	if b.Digest != f.ring.Digest() {
		if !f.disagree[b.ID] {
			f.cfg.Log.Error("another instance computes another ring from the same view", "other", string(b.ID), "view", b.View)
		}
		f.disagree[b.ID] = true
	} else {
		delete(f.disagree, b.ID)
	}
	if f.excluded > 0 && now.Sub(f.inViewFrom) > f.cfg.RejoinMax {
		f.excluded = 0
	}
}

// compareViews starts the subscription to the view again when another member
// has long followed a newer one: a subscription can go blind without a word when
// the server dies that keeps its position.
func (f *Fleet) compareViews(now time.Time, b Beat) {
	const least, most = 500 * time.Millisecond, 10 * time.Second
	v := f.roster.View()
	if v.Rev >= f.newer {
		f.newer, f.newerWait = 0, least
	}
	if b.View <= v.Rev || !v.Has(b.ID, b.Incarnation) {
		return
	}
	if f.newer == 0 {
		f.newer, f.newerAt = b.View, now
		return
	}
	if now.Sub(f.newerAt) >= f.newerWait && f.endView != nil {
		f.newerAt, f.newerWait = now, min(2*f.newerWait, most)
		f.endView()
	}
}

func (f *Fleet) sawHeads(now time.Time, of followed, heads []Head, reset bool) {
	if of.gen != f.followGen {
		return
	}
	f.pause(now)
	f.hold.Heads(now, heads, reset)
	if reset {
		// What is lost is known to the owners before anything is trusted again.
		acts, _ := f.hold.Step(now)
		f.exec.do(f.base, acts)
		f.health.revalidated(of.lapse)
	}
}

// sawMark looks whether the ledger is still the one it was and has not been
// rolled back. If so nothing known of it counts: every claim is dropped and made anew.
//
// floor is the highest sequence of an own claim that was stored before m was asked for.
func (f *Fleet) sawMark(now time.Time, m LedgerMark, floor uint64) {
	known := f.probed
	old := f.mark
	f.probed, f.mark = true, m
	if !known {
		return
	}
	if m.Created.Equal(old.Created) && m.Last >= old.Last && m.Last >= floor {
		return
	}
	f.cfg.Log.Error("the ledger was lost or rolled back: claiming everything anew",
		"was_created", old.Created, "created", m.Created, "was_last", max(old.Last, floor), "last", m.Last)
	f.exec.written.Store(0)
	f.renew(now)
	f.hold.Reset()
	f.followGen++
	if f.endFollow != nil {
		f.endFollow()
	}
	f.rering(now)
}

// watchSleep notices that the machine was suspended: to this instance no time
// has passed, to the others it has long been dead.
func (f *Fleet) watchSleep(now time.Time) {
	slept, ok := f.cfg.Suspended()
	if !ok {
		return
	}
	const noise = 10 * time.Millisecond
	gap := slept - f.baseSleep
	if gap < noise {
		return
	}
	f.health.lose()
	f.baseSleep = slept
	f.health.slept.Store(int64(slept)) // after that: who asks meanwhile is refused
	if gap > f.cfg.SelfLimit {
		f.cfg.Log.Warn("the machine was suspended: dropping everything", "for", gap)
		f.renew(now)
		f.rering(now)
	}
}

func (f *Fleet) propose(base context.Context, p Proposal) {
	f.proposing = true
	f.exec.wg.Go(func() {
		ctx, cancel := context.WithTimeout(base, f.cfg.WriteTimeout)
		defer cancel()
		rev, err := f.ports.Views.PutView(ctx, p.View, p.Expect)
		f.mail.post(func(now time.Time) {
			f.proposing = false
			if err != nil {
				if p.Expect == 0 && errors.Is(err, ErrFenced) {
					f.roster.Stored()
				}
				f.cfg.Log.Debug("view not written", "expect", p.Expect, "cause", p.View.Cause, "error", err)
				// The winner's view is on its way; so is one's own, if it was stored unheard.
				f.proposeAt = now.Add(f.cfg.Roster.Rank)
				return
			}
			v := p.View
			v.Rev = rev
			f.sawView(now, &v)
		})
	})
}

func (f *Fleet) startDrain(now time.Time) {
	if f.me.State == MemberDraining {
		return
	}
	f.cfg.Log.Info("draining")
	f.me.State = MemberDraining
	f.roster.Drain()
	f.nextPut, f.nextBeat = now, now
	f.putAgain = f.putting
}

// mayStop reports whether the others know, or whether there is nobody to tell.
func (f *Fleet) mayStop(now, since time.Time) bool {
	const most = time.Second
	v := f.roster.View()
	m, in := v.Member(f.me.ID)
	switch {
	case f.replaced, !f.roster.Healthy(), !in, m.Incarnation != f.me.Incarnation, m.State == MemberDraining:
		return true
	case now.Sub(since) > most:
		return true
	}
	for _, o := range v.Members {
		if o.ID != f.me.ID && o.State == MemberActive && !f.roster.dead(now, o) {
			return false
		}
	}
	return true
}

// leave removes this instance's record, as its last act.
func (f *Fleet) leave(base context.Context) {
	if f.replaced || f.rev == 0 || f.gone {
		return
	}
	ctx, cancel := context.WithTimeout(base, min(f.cfg.WriteTimeout, time.Second))
	defer cancel()
	if err := f.ports.Members.DropMember(ctx, f.me.ID, f.rev); err != nil {
		f.cfg.Log.Warn("membership record not removed; it will expire", "error", err)
	}
}

// watchStuck looks for owners that do not stop although they were told to: their
// keys can be owned here no more, and only a new process helps.
func (f *Fleet) watchStuck(now time.Time) {
	before := f.stuck
	f.stuck = ""
	for k, r := range f.exec.running {
		if !r.told.IsZero() && now.Sub(r.told) > f.cfg.StuckLimit && (f.stuck == "" || r.told.Before(f.exec.running[f.stuck].told)) {
			f.stuck = k
		}
	}
	if f.stuck != "" && before == "" {
		f.cfg.Log.Error("an owner does not stop", "key", string(f.stuck), "epoch", f.exec.running[f.stuck].epoch, "told", now.Sub(f.exec.running[f.stuck].told))
	}
}

func (f *Fleet) watchCoverage(now time.Time) {
	if !f.roster.Healthy() {
		return // what is not heard cannot be judged
	}
	before := len(f.orphans)
	// Who was replaced does not see its successor, which has its name, as a living
	// member, and leaves it to that one to judge.
	f.orphans = f.hold.Orphans(now, f.cfg.OrphanLimit, func(h Head) bool { return f.replaced || f.roster.Covers(now, h) })
	switch n := len(f.orphans); {
	case n > 0 && before == 0:
		f.cfg.Log.Error("keys without a living owner", "keys", n, "oldest", string(f.orphans[0].Key), "for", now.Sub(f.orphans[0].Since))
	case n == 0 && before > 0:
		f.cfg.Log.Info("every key has a living owner again")
	}
}
