package shard_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wadm/shard"
)

// TestKeysThatNeverRecoverAreCounted: they are owned, so nobody else sees to them, and
// an instance whose keys they mostly are is not ready.
func TestKeysThatNeverRecoverAreCounted(t *testing.T) {
	t.Parallel()
	const keys = 10
	for name, c := range map[string]struct {
		hung  int
		ready bool
	}{"half": {keys / 2, true}, "most": {keys/2 + 1, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, keys)
				f, err := shard.New(r.w.Link().Ports(), shard.FleetConfig{Instance: "wadm-0", NewIncarnation: r.life("wadm-0")})
				if err != nil {
					t.Fatal(err)
				}
				hung, mended := map[shard.Key]bool{}, make(chan struct{})
				for _, k := range r.keys[:c.hung] {
					hung[k] = true
				}
				mend := sync.OnceFunc(func() { close(mended) })
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan error, 1)
				go func() {
					done <- f.Run(ctx, func(ctx context.Context, c shard.Claim) error {
						if hung[c.Key] {
							select {
							case <-mended:
							case <-ctx.Done():
							}
						}
						c.Recovered()
						<-ctx.Done()
						return nil
					})
				}()
				time.Sleep(25 * time.Second)
				if s := f.Status(); s.Overdue != 0 || s.Recovering != c.hung {
					t.Errorf("soon: %d of %d are overdue, want none of %d", s.Overdue, s.Recovering, c.hung)
				}
				time.Sleep(10 * time.Second)
				if s := f.Status(); s.Overdue != c.hung {
					t.Errorf("%d are overdue, want %d", s.Overdue, c.hung)
				}
				switch err := f.Ready(); {
				case c.ready && err != nil:
					t.Errorf("not ready: %v", err)
				case !c.ready && (err == nil || !strings.Contains(err.Error(), "6 of its 10 keys have been recovering")):
					t.Errorf("ready with most of its keys hung: %v", err)
				}
				mend()
				time.Sleep(time.Second)
				if s, err := f.Status(), f.Ready(); s.Overdue != 0 || err != nil {
					t.Errorf("mended: %d are overdue, ready: %v", s.Overdue, err)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
