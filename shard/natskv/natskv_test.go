package natskv_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/shard"
	"wadm/shard/natskv"
)

func open(t *testing.T, s *natstest.Server) *natskv.Store {
	t.Helper()
	st, err := natskv.Open(t.Context(), s.Connect(t), natskv.Config{Storage: jetstream.MemoryStorage})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// eventually waits for an outcome.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestSingleOwnsTheRegistryOverNATSAndANewerOneTakesOver(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	st := open(t, srv)
	for i := range 100 {
		if err := st.Registry().Register(t.Context(), shard.Key(fmt.Sprintf("default.l%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	start := func(name string) (*shard.Single, *sync.Map, func() error) {
		own := open(t, srv)
		s, err := shard.NewSingle(own.Registry(), own, shard.SingleConfig{Instance: "wadm", Incarnation: shard.Incarnation(name)})
		if err != nil {
			t.Fatal(err)
		}
		var held sync.Map
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- s.Run(ctx, func(ctx context.Context, c shard.Claim) error {
				held.Store(c.Key, c.Epoch)
				defer held.Delete(c.Key)
				<-ctx.Done()
				return nil
			})
		}()
		return s, &held, func() error { cancel(); return <-done }
	}
	count := func(m *sync.Map) int {
		n := 0
		m.Range(func(any, any) bool { n++; return true })
		return n
	}
	a, heldA, stopA := start("a")
	eventually(t, "first owns all", func() bool { return count(heldA) == 100 && a.Ready() == nil })
	b, heldB, stopB := start("b")
	eventually(t, "second owns all, first none", func() bool { return count(heldB) == 100 && count(heldA) == 0 })
	if !errors.Is(a.Ready(), shard.ErrSuperseded) || b.Ready() != nil {
		t.Errorf("ready: %v and %v", a.Ready(), b.Ready())
	}
	if err := stopA(); err != nil {
		t.Error(err)
	}
	if err := stopB(); err != nil {
		t.Error(err)
	}
	h, err := st.Last(t.Context(), "default.l7")
	if err != nil || h.Record.State != shard.Released || h.Record.Incarnation != "b" {
		t.Errorf("head %+v, %v", h, err)
	}
}

func TestOpenNamesEveryDifferenceOfAnExistingStream(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	cfg := natskv.LedgerConfig(natskv.DefaultLedger, 1, jetstream.MemoryStorage)
	cfg.AllowRollup, cfg.MaxAge = false, time.Hour
	if _, err := js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	_, err := natskv.Open(t.Context(), srv.Connect(t), natskv.Config{Storage: jetstream.MemoryStorage})
	if !errors.Is(err, natskv.ErrDiffers) {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{"rollup allowed is false, want true", "max age is 1h0m0s, want 0s"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q: %v", want, err)
		}
	}
}

func TestOpenIsIdempotent(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	open(t, srv)
	open(t, srv)
}
