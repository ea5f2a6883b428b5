package shard_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"wadm/shard"
)

func TestALivingHolderIsAwaitedAndASilentOneIsNot(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		head   shard.Head
		st     shard.Standing
		begins time.Duration // after the start
		effect time.Duration // after the claim; 0: at once
		over   bool          // taken over
	}{
		"free":                         {shard.Head{}, shard.Standing{}, 0, 0, false},
		"released":                     {foreign("t.l", 5, shard.Released, 0), shard.Standing{Alive: true}, 0, 0, false},
		"released in quarantine":       {foreign("t.l", 5, shard.Released, 1500), shard.Standing{}, 0, 1500 * time.Millisecond, false},
		"alive":                        {foreign("t.l", 5, shard.Held, 0), shard.Standing{Alive: true}, 5 * time.Second, 2300 * time.Millisecond, true},
		"dead for 1.5 s":               {foreign("t.l", 5, shard.Held, 0), shard.Standing{Silent: time.Unix(998, 5e8)}, 0, 800 * time.Millisecond, true},
		"dead for long":                {foreign("t.l", 5, shard.Held, 0), shard.Standing{Silent: time.Unix(900, 0)}, 0, 500 * time.Millisecond, true},
		"dead, never heard":            {foreign("t.l", 5, shard.Held, 0), shard.Standing{}, 0, 2300 * time.Millisecond, true},
		"not a record":                 {shard.Head{Key: "t.l", Seq: 5, Bad: true}, shard.Standing{Alive: true}, 0, 2300 * time.Millisecond, true},
		"dead while in quarantine":     {foreign("t.l", 5, shard.Held, 9000), shard.Standing{Silent: time.Unix(900, 0)}, 0, 9 * time.Second, true},
		"own claim of unknown outcome": {shard.Head{Key: "t.l", Seq: 5, Record: shard.Record{Owner: "me", Incarnation: "me-1", State: shard.Held}}, shard.Standing{}, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Unix(1000, 0)
			now := start
			h := one(shard.HoldingsConfig{}, tc.st, "t.l")
			var heads []shard.Head
			if tc.head.Seq > 0 {
				heads = append(heads, tc.head)
			}
			h.Heads(now, heads, true)
			for now.Sub(start) < time.Minute {
				acts, next := h.Step(now)
				if len(acts) == 0 {
					now = next
					continue
				}
				a := acts[0]
				if got := now.Sub(start); a.Kind != shard.DoAcquire || a.Expect != tc.head.Seq || got != tc.begins {
					t.Fatalf("after %s: %+v", got, a)
				}
				h.Claimed(now, "t.l", a, 9, nil, shard.Head{})
				acts, _ = h.Step(now)
				if len(acts) != 1 || acts[0].Kind != shard.DoStart || acts[0].Epoch != 9 {
					t.Fatalf("after the claim: %+v", acts)
				}
				got := time.Duration(0)
				if !acts[0].EffectsAfter.IsZero() {
					got = acts[0].EffectsAfter.Sub(now)
				}
				if got != tc.effect || acts[0].TakenOver != tc.over {
					t.Errorf("effects after %s, taken over: %v; want %s, %v", got, acts[0].TakenOver, tc.effect, tc.over)
				}
				return
			}
			t.Error("never claimed")
		})
	}
}

func TestTheDeathOfAHolderIsNoticedWithoutBeingTold(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	now, alive := start, true
	h := shard.NewHoldings("me-1", func(shard.Key) bool { return true },
		func(shard.Head) shard.Standing { return shard.Standing{Alive: alive} }, shard.HoldingsConfig{HandOff: time.Hour})
	h.Registry([]shard.KeyChange{{Key: "t.l"}}, true)
	h.Heads(now, []shard.Head{foreign("t.l", 5, shard.Held, 0)}, true)
	h.Step(now)
	alive = false // nothing tells
	for now.Sub(start) < time.Minute {
		acts, next := h.Step(now)
		if len(acts) > 0 {
			if got := now.Sub(start); got > 5*time.Second || acts[0].Kind != shard.DoAcquire {
				t.Errorf("%+v after %s", acts[0], got)
			}
			return
		}
		now = next
	}
	t.Error("never claimed")
}

func TestAWaitForALivingHolderBeginsAnewWhenTheKeyIsWantedAgain(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]func(h *shard.Holdings, now time.Time, want *bool){
		"wanted again": func(h *shard.Holdings, now time.Time, want *bool) {
			*want = false
			h.Reconsider()
			h.Step(now)
			*want = true
			h.Reconsider()
		},
		"a new life": func(h *shard.Holdings, _ time.Time, _ *bool) { h.Renew("me-2") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now, want := time.Unix(1000, 0), true
			h := shard.NewHoldings("me-1", func(shard.Key) bool { return want },
				func(shard.Head) shard.Standing { return shard.Standing{Alive: true} }, shard.HoldingsConfig{})
			h.Registry([]shard.KeyChange{{Key: "t.l"}}, true)
			h.Heads(now, []shard.Head{foreign("t.l", 5, shard.Held, 0)}, true)
			if acts, _ := h.Step(now); len(acts) != 0 {
				t.Fatalf("actions %+v", acts)
			}
			// The wait has nearly ended, and time passes until the key is wanted again.
			now = now.Add(4 * time.Second)
			back(h, now, &want)
			now = now.Add(2 * time.Second)
			if acts, _ := h.Step(now); len(acts) != 0 {
				t.Fatalf("taken from a living holder that had no time to release: %+v", acts)
			}
			now = now.Add(5 * time.Second)
			if acts, _ := h.Step(now); len(acts) != 1 || acts[0].Kind != shard.DoAcquire {
				t.Errorf("actions %+v, want a claim after the second wait", acts)
			}
		})
	}
}

func TestAWaitForALivingHolderCountsOnlyTimeInWhichTheLedgerWasRead(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	for name, tc := range map[string]struct {
		outage func(h *shard.Holdings)
		over   float64
		claim  float64
	}{
		"none": {func(*shard.Holdings) {}, 1, 5},
		// The last answer came at 2 s, which was noticed at 3 s.
		"one outage": {func(h *shard.Holdings) {
			h.Pause(true, at(2))
			h.Pause(true, at(3))
			h.Pause(false, at(30))
		}, 30, 33},
		"two outages": {func(h *shard.Holdings) {
			h.Pause(true, at(2))
			h.Pause(false, at(30))
			h.Pause(true, at(31))
			h.Pause(false, at(40))
		}, 40, 42},
		"an outage that seems to begin in another": {func(h *shard.Holdings) {
			h.Pause(true, at(2))
			h.Pause(false, at(30))
			h.Pause(true, at(29))
			h.Pause(false, at(40))
		}, 40, 43},
		"the holder got on just before": {func(h *shard.Holdings) {
			h.Heads(at(1.5), []shard.Head{foreign("t.other", 6, shard.Released, 0)}, false)
			h.Pause(true, at(2))
			h.Pause(false, at(30))
		}, 30, 34.5},
		"the holder got on meanwhile": {func(h *shard.Holdings) {
			h.Pause(true, at(2))
			h.Heads(at(20), []shard.Head{foreign("t.other", 6, shard.Released, 0)}, false)
			h.Pause(false, at(30))
		}, 30, 35},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := one(shard.HoldingsConfig{}, shard.Standing{Alive: true}, "t.l")
			h.Heads(start, []shard.Head{foreign("t.l", 5, shard.Held, 0)}, true)
			if acts, _ := h.Step(start); len(acts) != 0 {
				t.Fatalf("actions %+v", acts)
			}
			tc.outage(h)
			for now := at(tc.over); now.Before(at(60)); {
				acts, next := h.Step(now)
				if len(acts) > 0 {
					if got := now.Sub(start); acts[0].Kind != shard.DoAcquire || got != at(tc.claim).Sub(start) {
						t.Errorf("%+v after %s, want a claim after %v s", acts[0], got, tc.claim)
					}
					return
				}
				now = next
			}
			t.Error("never claimed")
		})
	}
}

func TestAHandOverInsideAQuarantinePassesTheRestOn(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	h := one(shard.HoldingsConfig{}, shard.Standing{}, "t.l")
	h.Heads(now, []shard.Head{foreign("t.l", 5, shard.Held, 0)}, true)
	acts, _ := h.Step(now)
	h.Claimed(now, "t.l", acts[0], 6, nil, shard.Head{})
	h.Step(now)
	h.Drain()
	h.Step(now)
	now = now.Add(800 * time.Millisecond)
	h.Returned(now, "t.l", 6, nil)
	acts, _ = h.Step(now)
	if len(acts) != 1 || acts[0].Kind != shard.DoRelease || acts[0].Settle != 1500*time.Millisecond {
		t.Errorf("actions %+v, want a release that settles for 1.5 s", acts)
	}
	h.Released(now, "t.l", acts[0], 0, errors.New("no responders"), shard.Head{})
	now = now.Add(300 * time.Millisecond)
	acts, _ = h.Step(now)
	if len(acts) != 1 || acts[0].Kind != shard.DoRelease || acts[0].Settle != 1200*time.Millisecond {
		t.Errorf("actions %+v, want the release again that settles for 1.2 s", acts)
	}
}

// A take-over that was not heard to be stored, and is of no use any more.
func TestATakeOverThatCameThroughUnheardHandsTheQuarantineOn(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	h := one(shard.HoldingsConfig{}, shard.Standing{}, "t.l")
	h.Heads(now, []shard.Head{foreign("t.l", 5, shard.Held, 0)}, true)
	acts, _ := h.Step(now)
	settle := acts[0].Settle
	h.Drain()
	h.Claimed(now, "t.l", acts[0], 0, shard.ErrUnknownOutcome,
		shard.Head{Key: "t.l", Seq: 6, Record: shard.Record{Owner: "me", Incarnation: "me-1", State: shard.Held, Settle: settle.Milliseconds()}})
	now = now.Add(time.Second)
	acts, _ = h.Step(now)
	if len(acts) != 1 || acts[0].Kind != shard.DoRelease || acts[0].Settle != settle-time.Second {
		t.Errorf("actions %+v, want a release that settles for %s", acts, settle-time.Second)
	}
}

// TestEffectsUnderWayAreWaitedForByWhoeverIsNext: an owner that cannot tell whether
// its last effects have arrived says so, however it ends.
func TestEffectsUnderWayAreWaitedForByWhoeverIsNext(t *testing.T) {
	t.Parallel()
	const quarantine = 2300 * time.Millisecond
	end := fmt.Errorf("own: %w", shard.ErrUnderWay)
	active := func(now time.Time) *shard.Holdings {
		h := one(shard.HoldingsConfig{}, shard.Standing{}, "t.l")
		h.Heads(now, nil, true)
		acts, _ := h.Step(now)
		h.Claimed(now, "t.l", acts[0], 1, nil, shard.Head{})
		h.Step(now)
		h.Recovered("t.l", 1)
		return h
	}
	t.Run("a successor", func(t *testing.T) {
		now := time.Unix(1000, 0)
		h := active(now)
		h.Drain()
		h.Step(now)
		now = now.Add(time.Second)
		h.Returned(now, "t.l", 1, end)
		acts, _ := h.Step(now)
		if len(acts) != 1 || acts[0].Kind != shard.DoRelease || acts[0].Settle != quarantine {
			t.Errorf("actions %+v, want a release that settles for %s", acts, quarantine)
		}
	})
	t.Run("itself", func(t *testing.T) {
		now := time.Unix(1000, 0)
		h := active(now)
		h.Returned(now, "t.l", 1, end)
		now = now.Add(100 * time.Millisecond)
		acts, _ := h.Step(now)
		if want := quarantine - 100*time.Millisecond; len(acts) != 1 || acts[0].Kind != shard.DoAcquire || acts[0].Settle != want {
			t.Fatalf("actions %+v, want a claim that settles for %s", acts, want)
		}
		h.Claimed(now, "t.l", acts[0], 2, nil, shard.Head{})
		acts, _ = h.Step(now)
		if want := time.Unix(1000, 0).Add(quarantine); len(acts) != 1 || acts[0].Kind != shard.DoStart || !acts[0].EffectsAfter.Equal(want) {
			t.Errorf("actions %+v, want a start without effects before %s", acts, want)
		}
	})
	t.Run("a successor, also when the release is made again", func(t *testing.T) {
		now := time.Unix(1000, 0)
		h := active(now)
		h.Drain()
		h.Step(now)
		h.Returned(now, "t.l", 1, end)
		acts, _ := h.Step(now)
		h.Released(now, "t.l", acts[0], 0, errors.New("no responders"), shard.Head{})
		now = now.Add(300 * time.Millisecond)
		acts, _ = h.Step(now)
		if want := quarantine - 300*time.Millisecond; len(acts) != 1 || acts[0].Kind != shard.DoRelease || acts[0].Settle != want {
			t.Errorf("actions %+v, want a release that settles for %s", acts, want)
		}
	})
	t.Run("itself, when the key comes back while it is released", func(t *testing.T) {
		now := time.Unix(1000, 0)
		h := active(now)
		h.Registry([]shard.KeyChange{{Key: "t.l", Gone: true}}, false)
		h.Step(now)
		h.Returned(now, "t.l", 1, end)
		acts, _ := h.Step(now)
		h.Registry([]shard.KeyChange{{Key: "t.l"}}, false)
		h.Step(now)
		h.Released(now, "t.l", acts[0], 2, nil, shard.Head{})
		acts, _ = h.Step(now)
		if len(acts) != 1 || acts[0].Kind != shard.DoAcquire || acts[0].Settle != quarantine {
			t.Errorf("actions %+v, want a claim that settles for %s", acts, quarantine)
		}
	})
	t.Run("itself, in its next life", func(t *testing.T) {
		now := time.Unix(1000, 0)
		h := active(now)
		h.Registry([]shard.KeyChange{{Key: "t.l", Gone: true}}, false)
		h.Step(now)
		h.Returned(now, "t.l", 1, end)
		h.Step(now)
		h.Registry([]shard.KeyChange{{Key: "t.l"}}, false)
		h.Renew("me-2")
		acts, _ := h.Step(now)
		if len(acts) != 1 || acts[0].Kind != shard.DoAcquire || acts[0].Settle != quarantine {
			t.Errorf("actions %+v, want a claim that settles for %s", acts, quarantine)
		}
	})
	t.Run("a successor of one that ended by itself", func(t *testing.T) {
		now := time.Unix(1000, 0)
		h := active(now)
		h.Returned(now, "t.l", 1, end)
		h.Drain()
		acts, _ := h.Step(now)
		if len(acts) != 1 || acts[0].Kind != shard.DoRelease || acts[0].Settle != quarantine {
			t.Errorf("actions %+v, want a release that settles for %s", acts, quarantine)
		}
	})
}
