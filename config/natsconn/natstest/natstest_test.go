package natstest_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
)

func TestRestartKeepsPortAndFileStreams(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	js := s.JetStream(t)
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s.a", []byte("one")); err != nil {
		t.Fatal(err)
	}
	before := s.URL()
	s.Restart(t)
	if s.URL() != before {
		t.Fatalf("URL after restart is %s, before it was %s", s.URL(), before)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		// The first requests may meet the connection while it reconnects.
		msg, err := stream.GetMsg(t.Context(), 1)
		if err == nil {
			if string(msg.Data) != "one" {
				t.Fatalf("stored message is %q", msg.Data)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("message is gone after restart: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestStopAndStartAgainReconnectsClients(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, natstest.WithoutJetStream())
	down, up := make(chan struct{}, 8), make(chan struct{}, 8)
	s.Connect(t,
		nats.DisconnectErrHandler(func(*nats.Conn, error) { down <- struct{}{} }),
		nats.ReconnectHandler(func(*nats.Conn) { up <- struct{}{} }))
	s.Stop()
	await(t, down)
	s.StartAgain(t)
	await(t, up)
}

func await(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing happened in 20 s")
	}
}

func TestAccountsFromConfigAreApart(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, natstest.WithConfig(`
		accounts {
		  A { jetstream: enabled, users: [{user: a, password: pa}] }
		  B { users: [{user: b, password: pb}] }
		}`))
	a := s.Connect(t, nats.UserInfo("a", "pa"))
	b := s.Connect(t, nats.UserInfo("b", "pb"))
	if _, err := a.Subscribe("q", func(m *nats.Msg) { _ = m.Respond(nil) }); err != nil {
		t.Fatal(err)
	}
	if err := a.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.RequestWithContext(t.Context(), "q", nil); !errors.Is(err, nats.ErrNoResponders) {
		t.Fatalf("request across accounts: got %v, want no responders", err)
	}
	if _, err := nats.Connect(s.URL()); !errors.Is(err, nats.ErrAuthorization) {
		t.Fatalf("connect without user: got %v", err)
	}
}

func TestMaxPayloadAndDomain(t *testing.T) {
	t.Parallel()
	var seen bool
	s := natstest.Start(t, natstest.WithMaxPayload(1000), natstest.WithDomain("hub"),
		natstest.WithOptions(func(*server.Options) { seen = true }))
	nc := s.Connect(t)
	if err := nc.Publish("x", make([]byte, 1001)); !errors.Is(err, nats.ErrMaxPayload) {
		t.Fatalf("publish above the limit: got %v", err)
	}
	js, err := jetstream.NewWithDomain(nc, "hub")
	if err != nil {
		t.Fatal(err)
	}
	info, err := js.AccountInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Domain != "hub" || !seen {
		t.Fatalf("domain %q, options adjusted %v", info.Domain, seen)
	}
}

// TestBubbleCanary notices when a new server release starts something that
// does not come to rest in a bubble, or reads the real clock.
func TestBubbleCanary(t *testing.T) {
	t.Parallel()
	natstest.Bubble(t, func(t *testing.T, s *natstest.Server) {
		js := s.JetStream(t)
		kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{
			Bucket: "b", TTL: time.Hour, LimitMarkerTTL: time.Hour, Storage: jetstream.MemoryStorage,
		})
		if err != nil {
			t.Fatal(err)
		}
		w, err := kv.WatchAll(t.Context(), jetstream.UpdatesOnly())
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := kv.PutString(t.Context(), "k", "v"); err != nil {
			t.Fatal(err)
		}
		if e := <-w.Updates(); e == nil || e.Operation() != jetstream.KeyValuePut {
			t.Fatalf("first update is %v", e)
		}
		e := <-w.Updates()
		if got := time.Since(start); got < time.Hour || got > time.Hour+2*time.Second {
			t.Errorf("key with a TTL of one hour expired after %v", got)
		}
		if e.Operation() != jetstream.KeyValuePurge {
			t.Errorf("expiry shows as %v, want a purge", e.Operation())
		}
	})
}

func TestBubbleRedeliversOnTheSecond(t *testing.T) {
	t.Parallel()
	natstest.Bubble(t, func(t *testing.T, s *natstest.Server) {
		js := s.JetStream(t)
		stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
			Name: "S", Subjects: []string{"s"}, Storage: jetstream.MemoryStorage,
		})
		if err != nil {
			t.Fatal(err)
		}
		cons, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{
			AckPolicy: jetstream.AckExplicitPolicy, AckWait: 10 * time.Minute, MemoryStorage: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), "s", nil); err != nil {
			t.Fatal(err)
		}
		first, err := cons.Next(jetstream.FetchMaxWait(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		again, err := cons.Next(jetstream.FetchMaxWait(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got < 9*time.Minute || got > 11*time.Minute {
			t.Errorf("redelivered after %v, acknowledgement wait is 10 min", got)
		}
		m1, _ := first.Metadata()
		m2, _ := again.Metadata()
		if m1.Sequence.Stream != m2.Sequence.Stream || m2.NumDelivered != 2 {
			t.Errorf("got %+v after %+v", m2, m1)
		}
	})
}
