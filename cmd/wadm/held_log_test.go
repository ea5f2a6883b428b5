package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wadm/shard"
	"wadm/tenancy"
)

// TestManyLatticesAreAFewLines: each lattice that is taken or given up is told at
// level debug only; what info tells is how many a second, and why they went.
func TestManyLatticesAreAFewLines(t *testing.T) {
	t.Parallel()
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer // its only writers take turns by the handler's lock
			h := &heldLog{log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level}))}
			ctx, stop := context.WithCancel(t.Context())
			told := make(chan error, 1)
			go func() { told <- h.run(ctx) }()

			const lattices = 300
			own := h.own(func(ctx context.Context, _ shard.Claim) error {
				<-ctx.Done()
				return context.Cause(ctx)
			})
			causes := []error{shard.ErrHandOver, shard.ErrFenced, errors.New("panic")}
			var owners sync.WaitGroup
			var ends []context.CancelCauseFunc
			for i := range lattices {
				mine, end := context.WithCancelCause(t.Context())
				ends = append(ends, end)
				c := shard.Claim{Key: shard.Key(tenancy.LatticeKey{Tenant: "default", Lattice: tenancy.Lattice(fmt.Sprintf("l-%d", i))}.Token()), Epoch: uint64(i)}
				// A release that could not tell whether all had arrived is waited after, too.
				c.EffectsAfter = time.Now().Add(time.Second)
				c.TakenOver = i%2 == 0
				owners.Go(func() { _ = own(mine, c) })
			}
			time.Sleep(10*tellHeld + tellHeld/2)
			for i, end := range ends {
				end(causes[i%len(causes)])
			}
			owners.Wait()
			stop()
			if err := <-told; err != nil {
				t.Error(err)
			}
			text := log.String()
			for _, want := range []string{
				"held=300 taken=150 taken_over=150\n",
				"held=0 handed_over=100 lost=100 ended=100\n",
			} {
				if !strings.Contains(text, want) {
					t.Errorf("%v: log does not say %q:\n%s", level, want, text)
				}
			}
			want := 2
			if level == slog.LevelDebug {
				want += 2 * lattices
			}
			if n := strings.Count(text, "\n"); n != want {
				t.Errorf("%v: %d lines, want %d", level, n, want)
			}
			if level == slog.LevelDebug && !strings.Contains(text, `msg="lattice taken" tenant=default lattice=l-7 epoch=7 over=false`) {
				t.Errorf("debug does not name the lattices:\n%.2000s", text)
			}
		})
	}
}
