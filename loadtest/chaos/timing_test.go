//go:build chaos

package chaos_test

import (
	"strings"
	"testing"
	"time"

	"wadm/loadtest/chaos"
)

// slow puts a pause between the last check before an effect and the effect.
func slow(pause string) edit {
	return edit{"scheduler/effects.go", `	sctx, span := w.s.startSend(ctx, claim, cmd)
`, `	time.Sleep(` + pause + `)
	sctx, span := w.s.startSend(ctx, claim, cmd)
`}
}

// windows are pauses where a crash, a stop or the next owner comes between two
// things that belong together; each is as long as what is under way may take.
var windows = map[string]edit{
	"after a claim is acknowledged": {"shard/executor.go", `		if err == nil {
			raise(&e.written, seq)
`, `		if err == nil {
			if state == Held {
				time.Sleep(200*time.Millisecond)
			}
			raise(&e.written, seq)
`},
	"after an append is acknowledged": {"scheduler/effects.go", `	t.appended()
`, `	time.Sleep(200*time.Millisecond)
	t.appended()
`},
	"after the last check": slow("200*time.Millisecond"),
	"between the release and the end of the consumer": {"scheduler/natsjs/consumer.go", `	err = js.DeleteConsumer(ctx, stream, a.consumer)
`, `	time.Sleep(200*time.Millisecond)
	err = js.DeleteConsumer(ctx, stream, a.consumer)
`},
	"before an event is acknowledged": {"scheduler/worker.go", `	if err := w.carryOut(ctx, dec, c); err != nil {
		return err
	}
	d.Ack()
`, `	if err := w.carryOut(ctx, dec, c); err != nil {
		return err
	}
	time.Sleep(200*time.Millisecond)
	d.Ack()
`},
}

// patient makes the quarantine longer, so that it differs from the time that a
// take-over takes anyway by more than a busy machine adds.
var patient = edit{"shard/holdings_config.go", "set(&c.Quarantine, 2300*time.Millisecond)", "set(&c.Quarantine, 4*time.Second)"}

// withinPatience is long enough for others to have claimed and, if nothing held
// them back, acted.
const withinPatience = 3 * time.Second

func stale(rep *chaos.Report) (found []string) {
	for _, v := range rep.Violations {
		if strings.HasPrefix(v, "I2: ") && strings.Contains(v, "stale epoch") {
			found = append(found, v)
		}
	}
	return found
}

// midway stops one instance after the other between its last check and the socket.
func midway(pause time.Duration) (s chaos.Schedule) {
	for i := range 3 {
		s = append(s, chaos.Fault{At: time.Duration(8*i) * time.Second, Kind: chaos.StopMidway, Target: i, For: pause})
	}
	return s
}

// TestAnEffectLaterThanTheQuarantineIsStaleAndSeen shows the limit of what is
// promised: an instance that is stopped between its last check and the socket, for
// longer than the quarantine, sends an effect when others have acted already.
func TestAnEffectLaterThanTheQuarantineIsStaleAndSeen(t *testing.T) {
	cfg := config(t)
	cfg.Binary = mutant(t, slow("300*time.Millisecond"))
	cfg.Churning, cfg.Schedule = -1, midway(7*time.Second)
	rep := run(t, cfg)
	if found := stale(rep); len(found) == 0 {
		t.Errorf("no stale effect was seen; what was found: %s", rep.Failure())
	} else {
		t.Log(found[0])
	}
}

// TestTheSameStopWithinTheQuarantineDoesNoHarm: others have claimed by the time the
// effect leaves, and wait. That the effect is stale when they do not is shown by a
// mutation.
func TestTheSameStopWithinTheQuarantineDoesNoHarm(t *testing.T) {
	for _, tc := range []struct {
		pause time.Duration
		edits []edit
	}{
		{chaos.MostMidway, nil},
		{withinPatience, []edit{patient}},
	} {
		t.Run(tc.pause.String(), func(t *testing.T) {
			cfg := config(t)
			cfg.Binary = mutant(t, append(tc.edits, slow("300*time.Millisecond"))...)
			cfg.Churning, cfg.Schedule = -1, midway(tc.pause)
			rep := run(t, cfg)
			if bad := rep.Failure(); bad != "" {
				t.Error(bad)
			}
			if k := rep.Kinds[chaos.StopMidway]; k == nil || k.Moved == 0 {
				t.Error("nobody took over from the one that was stopped: the quarantine was not put to the test")
			}
		})
	}
}

// TestNoEffectIsStaleWithinTheQuarantine: a delay of every effect does no harm as
// long as it stays within what the quarantine allows for.
func TestNoEffectIsStaleWithinTheQuarantine(t *testing.T) {
	cfg := config(t)
	cfg.Binary = mutant(t, slow("300*time.Millisecond"))
	cfg.Seed, cfg.Lattices, cfg.Churning = 4, 6, -1
	cfg.Duration, cfg.Kinds = 12*time.Second, []chaos.Kind{chaos.Kill, chaos.Drain, chaos.Cut, chaos.Hold, chaos.HalfOpen}
	if bad := run(t, cfg).Failure(); bad != "" {
		t.Error(bad)
	}
}

// TestAHandOverLeavesNothingOnTheWire: what an instance has sent before it is told to
// stop in order may still be on its way when it has exited. Its successor must not
// act before that has arrived.
func TestAHandOverLeavesNothingOnTheWire(t *testing.T) {
	cfg := config(t)
	cfg.Churning = -1
	for i := range 3 {
		at := time.Duration(8*i) * time.Second
		cfg.Schedule = append(cfg.Schedule,
			chaos.Fault{At: at, Kind: chaos.Hold, Of: chaos.CommandsOnly, Target: i, For: chaos.MostHold},
			chaos.Fault{At: at + 400*time.Millisecond, Kind: chaos.Drain, Target: i, For: 2 * time.Second},
		)
	}
	rep := run(t, cfg)
	if bad := rep.Failure(); bad != "" {
		t.Error(bad)
	}
	if k := rep.Kinds[chaos.Drain]; k == nil || k.Moved == 0 {
		t.Error("nothing was handed over")
	}
}

// TestNothingHappensInTheWindowsThatMatter lets instances crash, stop and leave while
// each of the windows is open most of the time.
func TestNothingHappensInTheWindowsThatMatter(t *testing.T) {
	for name, pause := range windows {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			cfg.Binary = mutant(t, pause)
			cfg.Seed, cfg.Lattices, cfg.Churning = 3, 9, -1
			cfg.Duration, cfg.Pause, cfg.Longest = 8*time.Second, 600*time.Millisecond, 3*time.Second
			cfg.Kinds = []chaos.Kind{chaos.Kill, chaos.Stop, chaos.StopMidway, chaos.Drain, chaos.Hold, chaos.Cut}
			if bad := run(t, cfg).Failure(); bad != "" {
				t.Error(bad)
			}
		})
	}
}
