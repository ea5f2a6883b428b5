package api_test

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/tenancy/api"
	"wadm/tenancy/catalog"
)

// warned is a log that tells of its first warning.
type warned struct {
	slog.Handler
	once  sync.Once
	first chan struct{}
}

func newWarned() *warned { return &warned{Handler: slog.DiscardHandler, first: make(chan struct{})} }

func (w *warned) Enabled(context.Context, slog.Level) bool { return true }

func (w *warned) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		w.once.Do(func() { close(w.first) })
	}
	return nil
}

// lookups calls seen after every lookup of a stream.
type lookups struct {
	jetstream.JetStream
	seen func(name string)
}

func (l lookups) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	st, err := l.JetStream.Stream(ctx, name)
	l.seen(name)
	return st, err
}

// newServer makes a server on nc that finds JetStream's API under prefix, empty for
// the usual one. What it asks there fails soon.
func newServer(t *testing.T, nc *nats.Conn, prefix string, log slog.Handler, seen func(string)) *api.Server {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	cat, err := catalog.New(t.Context(), js, catalog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	hasty, err := jetstream.NewWithAPIPrefix(nc, cmp.Or(prefix, "$JS.API"), jetstream.WithDefaultTimeout(200*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	s, err := api.New(nc, cat, api.Deps{JetStream: lookups{hasty, seen}, Logger: slog.New(log)}, api.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func await(t *testing.T, what string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: not within 20 s", what)
	}
}

// failed returns what Run fails with. Its context has no deadline: requests
// would take all of it.
func failed(t *testing.T, s *api.Server) error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	select {
	case err := <-ended:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("Run has not failed within 20 s")
		return nil
	}
}

func TestServingBeginsWhenNATSIsBack(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct {
		// during: NATS goes when the last stream has been looked up, not before Run.
		during bool
		// prefix is that of the API for which nobody answers at first, if not the usual one.
		prefix      string
		leave, back func(*testing.T, *natstest.Server)
	}{
		"unreachable": {
			leave: func(_ *testing.T, n *natstest.Server) { n.Stop() },
			back:  func(t *testing.T, n *natstest.Server) { n.StartAgain(t) },
		},
		"unreachable once the streams are there": {
			during: true,
			leave:  func(_ *testing.T, n *natstest.Server) { n.Stop() },
			back:   func(t *testing.T, n *natstest.Server) { n.StartAgain(t) },
		},
		"without JetStream": {
			prefix: "LATE",
			leave:  func(*testing.T, *natstest.Server) {},
			back: func(t *testing.T, n *natstest.Server) {
				nc := n.Connect(t)
				if _, err := nc.Subscribe("LATE.>", func(m *nats.Msg) {
					_ = nc.PublishMsg(&nats.Msg{Subject: "$JS.API." + strings.TrimPrefix(m.Subject, "LATE."), Reply: m.Reply, Data: m.Data, Header: m.Header})
				}); err != nil {
					t.Error(err)
				}
				if err := nc.Flush(); err != nil {
					t.Error(err)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := natstest.Start(t)
			log, gone := newWarned(), make(chan struct{})
			leave := sync.OnceFunc(func() {
				fault.leave(t, n)
				close(gone)
			})
			s := newServer(t, n.Connect(t), fault.prefix, log, func(stream string) {
				if fault.during && stream == "wadm_status" {
					leave()
				}
			})
			if !fault.during {
				leave()
			}
			runUntilEnd(t, s.Run)
			await(t, "NATS goes", gone)
			if !fault.during {
				await(t, "a failed try", log.first)
			}
			select {
			case <-s.Ready():
				t.Error("ready without NATS")
			default:
			}
			fault.back(t, n)
			await(t, "ready", s.Ready())
			(&served{nc: n.Connect(t)}).want(t, "wadm.api.default.model.list", "", `[]`)
		})
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	n := natstest.Start(t)
	log := newWarned()
	s := newServer(t, n.Connect(t), "", log, func(string) {})
	n.Stop()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	await(t, "a failed try", log.first)
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v, want nil", err)
	}
}

// A request that is not permitted is not answered: it must not be taken for a
// server that is away.
func TestStartFailsWithoutPermission(t *testing.T) {
	t.Parallel()
	for name, deny := range map[string]string{
		"to look up a stream": `publish: {deny: "$JS.API.STREAM.INFO.wadm_events"}`,
		"to create a stream":  `publish: {deny: "$JS.API.STREAM.CREATE.wadm_events"}`,
		"to subscribe":        `subscribe: {deny: "wadm.api.>"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := natstest.Start(t, natstest.WithConfig(`authorization: {users: [{user: u, password: p, permissions: {`+deny+`}}]}`))
			s := newServer(t, n.Connect(t, nats.UserInfo("u", "p")), "", slog.DiscardHandler, func(string) {})
			err := failed(t, s)
			if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), "wadm") {
				t.Errorf("Run: %v, want a permissions violation that names the subject", err)
			}
		})
	}
}

func TestStartFailsOnWhatCannotBe(t *testing.T) {
	t.Parallel()
	n := natstest.Start(t)
	nc := n.Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	cat, err := catalog.New(t.Context(), js, catalog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := api.New(nc, cat, api.Deps{JetStream: js}, api.Config{Streams: api.Streams{Replicas: 3}})
	if err != nil {
		t.Fatal(err)
	}
	if err := failed(t, s); err == nil || !strings.Contains(err.Error(), "wadm_events") {
		t.Errorf("Run with more replicas than servers: %v, want an error that names the stream", err)
	}
}
