package shard_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wadm/shard"
	"wadm/shard/shardtest"
)

// owners records what own was called for.
type owners struct {
	mu     sync.Mutex
	active map[shard.Key]shard.Claim
	ended  map[shard.Key][]error
	twice  []shard.Key
	stuck  map[shard.Key]chan struct{}
}

// stick has the owner of k not stop before ch is closed.
func (o *owners) stick(k shard.Key, ch chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stuck[k] = ch
}

func newOwners() *owners {
	return &owners{active: map[shard.Key]shard.Claim{}, ended: map[shard.Key][]error{}, stuck: map[shard.Key]chan struct{}{}}
}

func (o *owners) own(ctx context.Context, c shard.Claim) error {
	o.mu.Lock()
	if _, ok := o.active[c.Key]; ok {
		o.twice = append(o.twice, c.Key)
	}
	o.active[c.Key] = c
	o.mu.Unlock()
	c.Recovered()
	<-ctx.Done()
	o.mu.Lock()
	ch := o.stuck[c.Key]
	o.mu.Unlock()
	if ch != nil {
		<-ch
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.active, c.Key)
	o.ended[c.Key] = append(o.ended[c.Key], context.Cause(ctx))
	return context.Cause(ctx)
}

func (o *owners) held() map[shard.Key]shard.Claim {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := map[shard.Key]shard.Claim{}
	maps.Copy(m, o.active)
	return m
}

type life struct {
	*owners
	single *shard.Single
	stop   func() error
}

func startSingle(t *testing.T, m *shardtest.Memory, name string) *life {
	t.Helper()
	s, err := shard.NewSingle(m, m, shard.SingleConfig{Instance: "wadm-0", Incarnation: shard.Incarnation(name)})
	if err != nil {
		t.Fatal(err)
	}
	l := &life{owners: newOwners(), single: s}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, l.own) }()
	var once sync.Once
	var res error
	l.stop = func() error {
		once.Do(func() { cancel(); res = <-done })
		return res
	}
	t.Cleanup(func() { _ = l.stop() })
	return l
}

func register(t *testing.T, m *shardtest.Memory, n int) {
	t.Helper()
	for i := range n {
		if err := m.Register(context.Background(), shard.Key(fmt.Sprintf("t%d.lattice%d", i%3, i))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSingleOwnsEveryKeyAndReleasesOnStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := shardtest.NewMemory()
		register(t, m, 200)
		a := startSingle(t, m, "a1")
		time.Sleep(time.Second)
		if got := len(a.held()); got != 200 {
			t.Fatalf("owns %d keys, want 200", got)
		}
		if err := a.single.Ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
		for k, c := range a.held() {
			if !c.EffectsAfter.IsZero() {
				t.Errorf("%s: quarantine for a key nobody owned before", k)
			}
			if err := c.MayAct(); err != nil {
				t.Errorf("%s: may not act: %v", k, err)
			}
		}
		if err := m.Unregister(t.Context(), "t0.lattice0"); err != nil {
			t.Fatal(err)
		}
		if err := m.Register(t.Context(), "t9.new"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		held := a.held()
		if _, ok := held["t0.lattice0"]; ok || len(held) != 200 {
			t.Errorf("after a change of the registry: %d keys", len(held))
		}
		if err := a.stop(); err != nil {
			t.Fatal(err)
		}
		for k, errs := range a.ended {
			if len(errs) != 1 || !errors.Is(errs[0], shard.ErrHandOver) {
				t.Errorf("%s ended with %v, want one hand-over", k, errs)
			}
		}
		for _, k := range []shard.Key{"t0.lattice0", "t1.lattice1", "t9.new"} {
			h, err := m.Last(context.Background(), k)
			if err != nil || h.Record.State != shard.Released {
				t.Errorf("%s: head %+v, %v, want released", k, h, err)
			}
		}
	})
}

func TestNewerSingleTakesOverAndOlderStaysAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := shardtest.NewMemory()
		register(t, m, 50)
		a := startSingle(t, m, "a1")
		time.Sleep(time.Second)
		began := time.Now()
		b := startSingle(t, m, "b1")
		time.Sleep(time.Minute)
		if n := len(a.held()); n != 0 {
			t.Errorf("the older still owns %d keys", n)
		}
		if !errors.Is(a.single.Ready(), shard.ErrSuperseded) {
			t.Errorf("older: ready = %v", a.single.Ready())
		}
		if len(b.held()) != 50 || b.single.Ready() != nil {
			t.Errorf("newer owns %d keys, ready = %v", len(b.held()), b.single.Ready())
		}
		for k, c := range b.held() {
			if wait := c.EffectsAfter.Sub(began); wait < 2300*time.Millisecond || wait > 3*time.Second {
				t.Errorf("%s: quarantine of %s", k, wait)
			}
		}
		for k, errs := range a.ended {
			if len(errs) != 1 || !errors.Is(errs[0], shard.ErrFenced) {
				t.Errorf("%s ended with %v, want fenced once", k, errs)
			}
		}
		if err := m.Register(t.Context(), "t.later"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if len(b.held()) != 51 || len(a.held()) != 0 {
			t.Errorf("later key: %d and %d", len(a.held()), len(b.held()))
		}
		claims := 0
		for _, h := range m.Log() {
			if h.Record.State == shard.Held {
				claims++
			}
		}
		if claims != 50+50+1+2 {
			t.Errorf("%d claims written, want 103: the two fought", claims)
		}
		if err := a.stop(); err != nil {
			t.Errorf("stop older: %v", err)
		}
	})
}

func TestFailedOwnerIsClaimedAgainWithANewEpoch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := shardtest.NewMemory()
		register(t, m, 1)
		s, err := shard.NewSingle(m, m, shard.SingleConfig{Instance: "wadm-0", Incarnation: "a1"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var epochs []uint64
		done := make(chan error, 1)
		go func() {
			done <- s.Run(ctx, func(ctx context.Context, c shard.Claim) error {
				epochs = append(epochs, c.Epoch)
				if len(epochs) < 4 {
					return fmt.Errorf("append: %w", shard.ErrUnknownOutcome)
				}
				<-ctx.Done()
				return nil
			})
		}()
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if len(epochs) != 4 {
			t.Fatalf("own was called %d times, want 4", len(epochs))
		}
		for i := 1; i < 4; i++ {
			if epochs[i] <= epochs[i-1] {
				t.Errorf("epochs do not rise: %v", epochs)
			}
		}
	})
}

func TestStuckOwnerEndsRunWithAnErrorAndKeepsOthersMoving(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := shardtest.NewMemory()
		register(t, m, 10)
		s, err := shard.NewSingle(m, m, shard.SingleConfig{Instance: "wadm-0", Incarnation: "a1"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		stuck := make(chan struct{})
		done := make(chan error, 1)
		go func() {
			done <- s.Run(ctx, func(ctx context.Context, c shard.Claim) error {
				if c.Key == "t0.lattice0" {
					<-stuck
					return nil
				}
				<-ctx.Done()
				return nil
			})
		}()
		time.Sleep(time.Second)
		began := time.Now()
		cancel()
		if err := <-done; err == nil {
			t.Error("no error although an owner did not stop")
		}
		if d := time.Since(began); d != 10*time.Second {
			t.Errorf("waited %s, want the stop limit", d)
		}
		released := 0
		for _, h := range m.Log() {
			if h.Record.State == shard.Released {
				released++
			}
		}
		if released != 9 {
			t.Errorf("%d keys released, want the 9 whose owners stopped", released)
		}
		close(stuck)
		synctest.Wait()
	})
}

func TestSingleSurvivesEveryFaultOfAWrite(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]shardtest.Fault{
		"refused": shardtest.Refused, "busy": shardtest.Busy,
		"not stored": shardtest.LostBefore, "stored": shardtest.LostAfter,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := shardtest.NewMemory()
				register(t, m, 20)
				twice := func() func(op, key string) shardtest.Fault {
					tries := map[string]int{}
					return func(op, key string) shardtest.Fault {
						if op != "claim" {
							return shardtest.None
						}
						if tries[key]++; tries[key] <= 2 {
							return fault
						}
						return shardtest.None
					}
				}
				m.SetFault(twice())
				a := startSingle(t, m, "a1")
				time.Sleep(time.Minute)
				if len(a.held()) != 20 || len(a.twice) > 0 {
					t.Fatalf("owns %d keys, twice %v", len(a.held()), a.twice)
				}
				for k, c := range a.held() {
					if h, _ := m.Last(t.Context(), k); h.Seq != c.Epoch {
						t.Errorf("%s: epoch %d, head %d", k, c.Epoch, h.Seq)
					}
				}
				m.SetFault(twice())
				if err := a.stop(); err != nil {
					t.Fatal(err)
				}
				for _, h := range m.Log() {
					if last, _ := m.Last(context.Background(), h.Key); h.Key != "_._single" && last.Record.State != shard.Released {
						t.Fatalf("%s not released", h.Key)
					}
				}
			})
		})
	}
}
