package natskv_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
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
	within(t, 20*time.Second, what, ok)
}

func within(t *testing.T, d time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(d)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", d, what)
		}
		time.Sleep(5 * time.Millisecond)
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
