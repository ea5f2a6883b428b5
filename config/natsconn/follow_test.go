package natsconn_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn"
	"wadm/config/natsconn/natstest"
)

// following is a stream with three messages on two subjects that is followed.
type following struct {
	js   jetstream.JetStream
	seen chan []string
	done chan error
}

func follow(t *testing.T, nc *nats.Conn, before func()) *following {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "s", Subjects: []string{"s.>"}, Storage: jetstream.MemoryStorage}); err != nil {
		t.Fatal(err)
	}
	f := &following{js: js, seen: make(chan []string, 16), done: make(chan error, 1)}
	for _, m := range []string{"s.a", "s.b", "s.a"} {
		f.store(t, m)
	}
	before()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(f.done)
		f.done <- natsconn.Follow(ctx, js, natsconn.Followed{Stream: "s", Subjects: "s.>"}, func(m natsconn.Message) (string, bool) {
			return m.Subject, m.Subject != "s.none"
		}, func(ms []string) { f.seen <- ms })
	}()
	t.Cleanup(func() {
		cancel()
		for range f.done {
		}
	})
	return f
}

func (f *following) store(t *testing.T, subject string) {
	t.Helper()
	if _, err := f.js.Publish(t.Context(), subject, nil); err != nil {
		t.Fatal(err)
	}
}

func (f *following) want(t *testing.T, within time.Duration, want ...string) {
	t.Helper()
	select {
	case got := <-f.seen:
		if !slices.Equal(got, want) {
			t.Errorf("seen %q, want %q", got, want)
		}
	case err := <-f.done:
		t.Fatalf("ended: %v", err)
	case <-time.After(within):
		t.Fatalf("%q not seen within %v", want, within)
	}
}

// TestFollowingEndsWithItsConnection: what was on its way over the former one is lost.
func TestFollowingEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	f := follow(t, nc, func() {})
	f.want(t, 10*time.Second, "s.b", "s.a")
	f.store(t, "s.none")
	f.store(t, "s.c")
	f.want(t, 10*time.Second, "s.c")
	if err := nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-f.done:
		if !errors.Is(err, natsconn.ErrReconnected) {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("goes on over another connection")
	}
}

// TestAMessageThatDoesNotComeIsMissed: the place in the stream is kept, the server beats,
// and only this message is not delivered.
func TestAMessageThatDoesNotComeIsMissed(t *testing.T) {
	t.Parallel()
	natstest.Bubble(t, func(t *testing.T, s *natstest.Server) {
		nc := s.Connect(t)
		f := follow(t, nc, func() {})
		f.want(t, time.Second, "s.b", "s.a")
		st, err := f.js.Stream(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		for name := range st.ConsumerNames(t.Context()).Name() {
			if _, err := st.PauseConsumer(t.Context(), name, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		f.store(t, "s.c")
		select {
		case err := <-f.done:
			if err == nil || !strings.Contains(err.Error(), "message 4 has not come") {
				t.Errorf("ended with %v", err)
			}
		case got := <-f.seen:
			t.Fatalf("seen %q", got)
		case <-time.After(15 * time.Second):
			t.Error("not missed")
		}
	})
}

// TestFollowingCostsLittleWhileNothingHappens: a beat of the server each second, and
// a question for the newest message every ten.
func TestFollowingCostsLittleWhileNothingHappens(t *testing.T) {
	t.Parallel()
	natstest.Bubble(t, func(t *testing.T, s *natstest.Server) {
		nc := s.Connect(t)
		f := follow(t, nc, func() {})
		f.want(t, time.Second, "s.b", "s.a")
		before := nc.Stats()
		time.Sleep(10 * time.Minute)
		after := nc.Stats()
		if n := after.OutMsgs - before.OutMsgs; n > 85 {
			t.Errorf("%d requests in ten minutes", n)
		}
		if n := after.InMsgs - before.InMsgs; n > 665 {
			t.Errorf("%d messages from the server in ten minutes", n)
		}
		f.store(t, "s.c")
		f.want(t, time.Second, "s.c")
	})
}

// TestAConsumerIsAskedForAgain: soon, and as often as there is one in the end.
func TestAConsumerIsAskedForAgain(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		mode natstest.WireMode
		wait time.Duration
	}{
		"lost request": {natstest.Losing, 500 * time.Millisecond},
		"late answer":  {natstest.Holding, 1500 * time.Millisecond},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			natstest.Bubble(t, func(t *testing.T, s *natstest.Server) {
				nc, wire := s.Faulty(t)
				f := follow(t, nc, func() { wire.SetAt(c.mode, "CONSUMER.CREATE") })
				time.Sleep(c.wait)
				wire.Set(natstest.Passing)
				f.want(t, time.Second, "s.b", "s.a")
				time.Sleep(2 * time.Minute) // what came of the first request is forgotten
				st, err := f.js.Stream(t.Context(), "s")
				if err != nil {
					t.Fatal(err)
				}
				if n := st.CachedInfo().State.Consumers; n != 1 {
					t.Errorf("%d consumers", n)
				}
			})
		})
	}
}
