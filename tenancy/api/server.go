package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"golang.org/x/sync/errgroup"

	"wadm/config/natsconn"
	"wadm/telemetry"
	"wadm/tenancy"
	"wadm/tenancy/catalog"
	"wadm/tenancy/manifest"
)

// queueGroup is the group all servers share, upstream's included.
const queueGroup = "wadm_server"

// Config tunes a [Server]. The zero value works.
type Config struct {
	// Prefix of the request subjects. Default wadm.api.
	Prefix string
	// Multitenant: the first token of a subject names the tenant.
	Multitenant bool
	// Workers carry out requests side by side. Default 64.
	Workers int
	// MaxPending bounds the requests that wait or run; more are refused at once.
	// Default 4,096.
	MaxPending int
	// MaxPendingBytes bounds their payloads together. Default 64 MiB. It must exceed
	// the largest payload NATS lets through.
	MaxPendingBytes int
	// MaxManifest bounds the payload of a put, in bytes. Default 1 MiB.
	MaxManifest int
	// Budget bounds what reading a manifest may cost; zero fields mean defaults.
	Budget manifest.Budget
	// RequestTimeout bounds one request. Default 9 s: clients wait 10 s.
	RequestTimeout time.Duration
	// StopTimeout is how long requests under way may go on after Run's context ended.
	// Default 5 s.
	StopTimeout time.Duration
	// ReplyPrefixes are the first words of further subjects that may be answered to;
	// see [IsInbox].
	ReplyPrefixes []string
	// Streams says how the public streams are made.
	Streams Streams
	// Now is the clock of event times. Default time.Now.
	Now func() time.Time
}

// WithDefaults fills in what is not set.
func (c Config) WithDefaults() Config {
	c.Prefix = cmp.Or(c.Prefix, "wadm.api")
	c.Prefix = strings.Trim(strings.TrimSpace(c.Prefix), ".")
	c.Workers = cmp.Or(c.Workers, 64)
	c.MaxPending = cmp.Or(c.MaxPending, 4096)
	c.MaxPendingBytes = cmp.Or(c.MaxPendingBytes, 64<<20)
	c.MaxManifest = cmp.Or(c.MaxManifest, 1<<20)
	c.RequestTimeout = cmp.Or(c.RequestTimeout, 9*time.Second)
	c.StopTimeout = cmp.Or(c.StopTimeout, 5*time.Second)
	c.Streams = c.Streams.WithDefaults()
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Validate reports everything that is wrong with a filled-in configuration.
func (c Config) Validate() error {
	var errs []error
	if c.Prefix == "" {
		errs = append(errs, errors.New("Given prefix was empty")) //nolint:staticcheck // the sentence operators know
	}
	for token := range strings.SplitSeq(c.Prefix, ".") {
		if _, err := tenancy.ParseApp(token); err != nil && c.Prefix != "" {
			errs = append(errs, fmt.Errorf("API prefix %q: dot-separated tokens of ASCII letters, digits, '-' and '_'", c.Prefix))
			break
		}
	}
	if c.Workers < 1 || c.MaxPending < 1 || c.MaxPendingBytes < 1 || c.MaxManifest < 1 {
		errs = append(errs, errors.New("API workers, pending requests and sizes: at least 1"))
	}
	if c.RequestTimeout < 0 || c.StopTimeout < 0 {
		errs = append(errs, errors.New("API timeouts: not negative"))
	}
	if c.Streams.Replicas < 1 || c.Streams.Replicas > 5 {
		errs = append(errs, fmt.Errorf("stream replicas %d: 1 to 5", c.Streams.Replicas))
	}
	return errors.Join(errs...)
}

// Deps is what a server works with.
type Deps struct {
	// JetStream stores events and statuses. Required.
	JetStream jetstream.JetStream
	// Register makes sure that a lattice gets an owner. It is called, possibly often,
	// before anything is stored for the lattice and must return at once when it is
	// registered already. Nil: nobody has to know.
	Register func(context.Context, tenancy.LatticeKey) error
	// Explain says why an application is as it is: a JSON object, from whichever
	// server owns the lattice; its list "left" names what is left of one that was
	// deleted. ErrNoOwner (wrapped) when nobody answers for it now.
	// Nil: the operation does not exist, as upstream.
	Explain func(ctx context.Context, key tenancy.LatticeKey, app string) (json.RawMessage, error)
	// Identify names the caller for the history from what the layout lets the NATS
	// server write into the header. Nil: nobody is named.
	Identify func(nats.Header) string
	// Tracer makes the spans. Nil: none are recorded; trace context is passed on.
	Tracer trace.TracerProvider
	// Logger, nil to discard.
	Logger *slog.Logger
}

// Server answers the API.
type Server struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	cat    *catalog.Catalog
	deps   Deps
	cfg    Config
	log    *slog.Logger
	tracer trace.Tracer
	lanes  *lanes
	// status is the stream of statuses, set by ensureStreams.
	status atomic.Pointer[jetstream.Stream]
	// tenants are those whose subjects the streams were given.
	tenants sync.Map
	ready   chan struct{}
	// pending and pendingBytes count what waits or runs; serial names lanes of one.
	pending, pendingBytes, serial atomic.Int64
}

// New checks the configuration; nothing is sent before Run.
func New(nc *nats.Conn, cat *catalog.Catalog, deps Deps, cfg Config) (*Server, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if nc == nil || cat == nil || deps.JetStream == nil {
		return nil, errors.New("api: connection, catalog and JetStream are required")
	}
	if deps.Register == nil {
		deps.Register = func(context.Context, tenancy.LatticeKey) error { return nil }
	}
	if deps.Identify == nil {
		deps.Identify = func(nats.Header) string { return "" }
	}
	if deps.Tracer == nil {
		deps.Tracer = noop.NewTracerProvider()
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{
		nc: nc, js: deps.JetStream, cat: cat, deps: deps, cfg: cfg, log: deps.Logger,
		tracer: deps.Tracer.Tracer("wadm/tenancy/api"), lanes: newLanes(), ready: make(chan struct{}),
	}, nil
}

// Ready is closed once requests are answered.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Run makes sure of the streams, subscribes and answers until ctx ends, then stops
// taking requests, finishes those it has and returns nil. While NATS does not
// answer it begins later; what does not pass by itself is an error. It may run once.
func (s *Server) Run(ctx context.Context) error {
	err := natsconn.Insist(ctx, 0, s.log, func(ctx context.Context) error { return s.ensureStreams(ctx, "") })
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	// Requests outlive ctx by StopTimeout at most.
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	subject := s.cfg.Prefix + ".>"
	if s.cfg.Multitenant {
		subject = "*." + subject
	}
	sub, err := s.nc.QueueSubscribe(subject, queueGroup, func(m *nats.Msg) { s.receive(work, m) })
	if err != nil {
		return fmt.Errorf("subscribe %s: %w", subject, err)
	}
	// The client library repeats a subscription on every new connection.
	err = natsconn.Insist(ctx, 0, s.log, func(ctx context.Context) error { return s.flush(ctx, subject) })
	if err != nil {
		_ = sub.Unsubscribe()
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	s.log.Info("answering API requests", "subject", subject)
	close(s.ready)

	intake, noMore := context.WithCancel(work)
	defer noMore()
	var g errgroup.Group
	g.Go(func() error {
		s.lanes.run(intake, s.cfg.Workers)
		return nil
	})
	<-ctx.Done()
	grace := time.AfterFunc(s.cfg.StopTimeout, func() { stop(errors.New("the server stops")) })
	defer grace.Stop()
	// What the client library already holds is still answered.
	closed := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(closed) })
	if err := sub.Drain(); err == nil {
		select {
		case <-closed:
		case <-work.Done():
		}
	}
	noMore()
	return g.Wait()
}

// flush returns nil once NATS has the subscription to subject.
func (s *Server) flush(ctx context.Context, subject string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := s.nc.FlushWithContext(ctx)
	if errors.Is(err, nats.ErrConnectionClosed) && !s.nc.IsClosed() {
		err = nats.ErrDisconnected // it will be made again
	}
	if denied := natsconn.Denied(s.nc, subject); denied != nil {
		err = denied
	}
	if err != nil {
		return fmt.Errorf("subscribe %s: %w", subject, err)
	}
	return nil
}

// request is one received message on its way.
type request struct {
	target
	msg *nats.Msg
	key tenancy.LatticeKey
	// by names the caller.
	by string
}

// tooMany refuses what does not fit into the queue.
const tooMany = "Too many requests are waiting, please retry the request"

// receive reads the subject and puts the request into its lane. It runs in the
// subscription's goroutine and must not wait for anything.
func (s *Server) receive(ctx context.Context, m *nats.Msg) {
	if m.Reply != "" && !IsInbox(m.Reply, s.cfg.ReplyPrefixes...) {
		s.log.Warn("a request with a reply subject that is no inbox is ignored", "subject", clip(m.Subject), "reply", clip(m.Reply))
		return
	}
	t, err := parseSubject(m.Subject, s.cfg.Prefix, s.cfg.Multitenant)
	if err != nil {
		s.answer(ctx, m, refuse(opUnreadable, err.Error()))
		return
	}
	// A put has a limit of its own, which is read with it.
	if t.op != opPut && len(m.Data) > maxBody {
		s.answer(ctx, m, refuse(t.op, fmt.Sprintf("The request takes %d bytes, the most is %d", len(m.Data), maxBody)))
		return
	}
	size := int64(len(m.Data))
	requests, bytes := s.pending.Add(1), s.pendingBytes.Add(size)
	if requests > int64(s.cfg.MaxPending) || bytes > int64(s.cfg.MaxPendingBytes) {
		s.release(size)
		s.answer(ctx, m, refuse(t.op, tooMany))
		return
	}
	r := &request{target: t, msg: m}
	rctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	rctx, span := s.startSpan(rctx, r)
	done := func() {
		span.End()
		cancel()
		s.release(size)
	}
	handle := func() any {
		r.by = s.deps.Identify(m.Header)
		return s.handle(rctx, r)
	}
	if t.op == opList || t.op == opListBare || t.op == opStatus || t.op == opHistory {
		s.lanes.submit("#"+strconv.FormatInt(s.serial.Add(1), 10), func() {
			defer done()
			s.guard(rctx, r, handle)
		})
		return
	}
	// Which application a put is about is known after reading it. So every ordered
	// request passes its lattice's lane, where puts are read, and then its
	// application's.
	lattice := t.tenant + "." + t.lattice
	s.lanes.submit(lattice, func() {
		if t.op == opPut {
			var next func() any
			if !s.guard(rctx, r, func() any {
				var refusal any
				r.by = s.deps.Identify(m.Header)
				r.app, next, refusal = s.readPut(rctx, r)
				span.SetAttributes(telemetry.AttrApplication.String(r.app))
				return refusal
			}) {
				done()
				return
			}
			handle = next
		}
		s.lanes.submit(lattice+"."+r.app, func() {
			defer done()
			s.guard(rctx, r, handle)
		})
	})
}

func (s *Server) release(size int64) {
	s.pending.Add(-1)
	s.pendingBytes.Add(-size)
}

// guard runs one step of a request and sends what it returns. It reports whether
// there was nothing to send, so that the request goes on. A panic ends the request,
// not the process.
func (s *Server) guard(ctx context.Context, r *request, step func() any) (goesOn bool) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		goesOn = false
		hash := sha256.Sum256(r.msg.Data)
		s.log.Error("a request made its handler panic", "tenant", clip(r.tenant), "lattice", clip(r.lattice), "operation", string(r.op),
			"application", clip(r.app), "payload_sha256", hex.EncodeToString(hash[:]), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		trace.SpanFromContext(ctx).SetStatus(codes.Error, "panic")
		s.answer(ctx, r.msg, refuse(r.op, "Internal error, the request was not completed"))
	}()
	reply := step()
	if reply == nil {
		return true
	}
	if e, ok := reply.(errorReply); ok {
		trace.SpanFromContext(ctx).SetStatus(codes.Error, e.Message)
	}
	s.answer(ctx, r.msg, reply)
	return false
}

// answer sends a reply, with the trace context if there is one and no header
// otherwise.
func (s *Server) answer(ctx context.Context, m *nats.Msg, reply any) {
	if m.Reply == "" {
		return
	}
	data, err := encode(reply)
	if err == nil {
		if most := s.nc.MaxPayload(); int64(len(data)) > most-1024 {
			data, err = encode(errorReply{Message: fmt.Sprintf("The reply takes %d bytes, more than NATS carries", len(data)), Result: resultError})
		}
	}
	if err == nil {
		err = s.nc.PublishMsg(&nats.Msg{Subject: m.Reply, Data: data, Header: inject(ctx)})
	}
	if err != nil {
		s.log.Warn("answering failed", "subject", clip(m.Subject), "error", err)
	}
}

// clip bounds what a caller can put into a log line or a span.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
