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
	return edit{"scheduler/effects.go", `	sctx, span := w.s.startSend(ctx, w.claim, cmd)
`, `	time.Sleep(` + pause + `)
	sctx, span := w.s.startSend(ctx, w.claim, cmd)
`}
}

func stale(rep *chaos.Report) (found []string) {
	for _, v := range rep.Violations {
		if strings.HasPrefix(v, "I2: ") && strings.Contains(v, "stale epoch") {
			found = append(found, v)
		}
	}
	return found
}

// TestAnEffectLaterThanTheQuarantineIsStaleAndSeen shows the limit of what is
// promised: an instance that is stopped between its last check and the socket, for
// longer than the quarantine, sends an effect when others have acted already.
func TestAnEffectLaterThanTheQuarantineIsStaleAndSeen(t *testing.T) {
	cfg := config(t)
	cfg.Binary = mutant(t, slow("300*time.Millisecond"))
	cfg.Lattices, cfg.Churning = 6, -1
	for i := range 3 {
		cfg.Schedule = append(cfg.Schedule, chaos.Fault{At: time.Duration(8*i) * time.Second, Kind: chaos.StopMidway, Target: i, For: 7 * time.Second})
	}
	rep := run(t, cfg)
	if found := stale(rep); len(found) == 0 {
		t.Errorf("no stale effect was seen; what was found: %s", rep.Failure())
	} else {
		t.Log(found[0])
	}
}

// TestNoEffectIsStaleWithinTheQuarantine: the same delay does no harm as long as
// it stays within what the quarantine allows for.
func TestNoEffectIsStaleWithinTheQuarantine(t *testing.T) {
	cfg := config(t)
	cfg.Binary = mutant(t, slow("300*time.Millisecond"))
	cfg.Seed, cfg.Lattices, cfg.Churning = 4, 6, -1
	cfg.Duration, cfg.Kinds = 12*time.Second, []chaos.Kind{chaos.Kill, chaos.Drain, chaos.Cut, chaos.Hold, chaos.HalfOpen}
	if bad := run(t, cfg).Failure(); bad != "" {
		t.Error(bad)
	}
}
