package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"wadm/shard"
	"wadm/telemetry"
	"wadm/tenancy"
)

// tellHeld is how often what came and went is told: thousands of lattices
// that move at once are a few lines, not thousands.
const tellHeld = time.Second

// heldLog tells which lattices this instance takes and gives up: how many each
// second at level info, each of them at level debug.
type heldLog struct {
	log *slog.Logger

	mu sync.Mutex
	// held is how many there are now; the rest counts since it was last told. Taken
	// were free or handed over; takenOver were not released by who had them.
	held, taken, takenOver, handed, lost, ended int
}

// own watches an owner.
func (h *heldLog) own(next shard.Own) shard.Own {
	return func(ctx context.Context, c shard.Claim) error {
		log := h.log.With(telemetry.LogLattice, string(c.Key), telemetry.LogEpoch, c.Epoch)
		if key, err := tenancy.ParseToken(string(c.Key)); err == nil {
			log = h.log.With(telemetry.LogTenant, key.Tenant, telemetry.LogLattice, key.Lattice, telemetry.LogEpoch, c.Epoch)
		}
		log.DebugContext(ctx, "lattice taken", "over", c.TakenOver)
		h.note(func() {
			h.held++
			if c.TakenOver {
				h.takenOver++
			} else {
				h.taken++
			}
		})
		err := next(ctx, c)
		cause := context.Cause(ctx)
		h.note(func() {
			h.held--
			switch {
			case errors.Is(cause, shard.ErrHandOver):
				h.handed++
			case errors.Is(cause, shard.ErrFenced), errors.Is(err, shard.ErrFenced):
				h.lost++
			default:
				h.ended++
			}
		})
		why := err
		if cause != nil {
			why = cause
		}
		log.DebugContext(ctx, "lattice given up", "cause", why)
		return err
	}
}

func (h *heldLog) note(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

// run tells until ctx ends, and then the rest.
func (h *heldLog) run(ctx context.Context) error {
	tick := time.NewTicker(tellHeld)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.tell()
		case <-ctx.Done():
			h.tell()
			return nil
		}
	}
}

// tell says what has changed, if anything has.
func (h *heldLog) tell() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.taken+h.takenOver+h.handed+h.lost+h.ended == 0 {
		return
	}
	attrs := []any{"held", h.held}
	for _, a := range []struct {
		name  string
		count *int
	}{
		{"taken", &h.taken}, {"taken_over", &h.takenOver},
		{"handed_over", &h.handed}, {"lost", &h.lost}, {"ended", &h.ended},
	} {
		if *a.count > 0 {
			attrs = append(attrs, a.name, *a.count)
		}
		*a.count = 0
	}
	h.log.Info("lattices taken or given up", attrs...)
}
