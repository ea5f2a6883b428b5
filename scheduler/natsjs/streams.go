// Package natsjs keeps what the scheduler needs in NATS JetStream: it delivers
// the events of lattices, stores owners' commands and state under the fence of
// their claims, publishes statuses, and notices new lattices.
//
// It guarantees that every event the server stored since the lattice was
// attached is delivered until it is acknowledged, in stream order but for
// redeliveries; that nothing is stored for a claim once a newer one exists; and
// that whatever NATS does (restart, lost consumer, lost stream, broken
// connection) is repaired without help, with a call of gap where events may be
// missing. It keeps no event for a successor: that one takes an inventory.
//
// To test with it, run it against an embedded server; claims are messages on
// wadm.own.{tenant}.{lattice} of the ledger stream, whose sequence is the epoch.
package natsjs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/tenancy"
)

// Config says how streams are made and used. The zero value is the
// single-tenant default.
type Config struct {
	// Log gets what an operator should know. Default: nothing is logged.
	Log *slog.Logger
	// Domain is the JetStream domain, "" for none.
	Domain string
	// Multi leaves out the events stream of the default tenant; tenants are added
	// with [Streams.AddTenant].
	Multi bool

	// Ledger names the stream of claims, which whoever keeps the claims has made.
	// Required.
	Ledger string
	// Status says how the stream of statuses is made when it is missing. Required.
	Status jetstream.StreamConfig
	// Events names the events stream of the default tenant. Default wasmbus_events.
	// That of another tenant is "{Events}_{tenant}".
	Events string
	// Replicas is the number of copies of the events and status streams. Default 1
	// for a new stream, no change of an existing one.
	Replicas int
	// Memory stores events in memory instead of files. An existing stream keeps its
	// storage.
	Memory bool
	// EventsMaxBytes ends the events stream of a tenant early, dropping the
	// oldest. 0: no limit.
	EventsMaxBytes int64
	// EventsMaxAge is how long events are kept. Default 70 s. A lattice that takes
	// none for longer, or a connection that is away for longer, ends in an inventory.
	EventsMaxAge time.Duration
	// MaxConsumers is how many lattices one events stream can serve. Default
	// 200,000; without it the server stops at 1,000.
	MaxConsumers int

	// AckWait is when an unacknowledged event is delivered again. Default 30 s.
	AckWait time.Duration
	// MaxAckPending is how many events of a lattice are delivered unacknowledged.
	// Default 16. 1 keeps strict order across redeliveries.
	MaxAckPending int
	// PullBatch and PullExpires shape the standing request for events. Default 64
	// and 5 min. Shorter expiry costs a message per lattice and expiry.
	PullBatch   int
	PullExpires time.Duration
	// Probe is after how much silence of a lattice its consumer is looked up at the
	// latest; where events come often, after less. Default 60 s.
	Probe time.Duration
	// Inactive is when the server forgets a consumer nobody pulls from. Default 10 min.
	Inactive time.Duration
	// Creates is how many consumers are made at once. Default 32.
	Creates int

	// CommandTTL is how long the ledger remembers a command. Default 3 min; whole
	// seconds, at least as long as a successor may need to take over.
	CommandTTL time.Duration
	// AppendTimeout bounds one try of a ledger write. Default 2 s.
	AppendTimeout time.Duration
	// APITimeout bounds a request to JetStream's API. Default 5 s.
	APITimeout time.Duration
	// Discovery is the time between two looks for lattices in the events stream.
	// Default 10 s.
	Discovery time.Duration
}

// WithDefaults fills what is zero.
func (c Config) WithDefaults() Config {
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	c.Events = cmp.Or(c.Events, "wasmbus_events")
	c.EventsMaxAge = cmp.Or(c.EventsMaxAge, 70*time.Second)
	c.MaxConsumers = cmp.Or(c.MaxConsumers, 200_000)
	c.AckWait = cmp.Or(c.AckWait, 30*time.Second)
	c.MaxAckPending = cmp.Or(c.MaxAckPending, 16)
	c.PullBatch = cmp.Or(c.PullBatch, 64)
	c.PullExpires = cmp.Or(c.PullExpires, 5*time.Minute)
	c.Probe = cmp.Or(c.Probe, time.Minute)
	c.Inactive = cmp.Or(c.Inactive, 10*time.Minute)
	c.Creates = cmp.Or(c.Creates, 32)
	c.CommandTTL = cmp.Or(c.CommandTTL, 3*time.Minute)
	c.AppendTimeout = cmp.Or(c.AppendTimeout, 2*time.Second)
	c.APITimeout = cmp.Or(c.APITimeout, 5*time.Second)
	c.Discovery = cmp.Or(c.Discovery, 10*time.Second)
	return c
}

// Validate refuses what cannot work.
func (c Config) Validate() error {
	for name, d := range map[string]time.Duration{
		"events max age": c.EventsMaxAge, "ack wait": c.AckWait, "pull expiry": c.PullExpires, "probe": c.Probe,
		"inactive": c.Inactive, "append timeout": c.AppendTimeout, "API timeout": c.APITimeout, "discovery": c.Discovery,
	} {
		if d <= 0 {
			return fmt.Errorf("natsjs: %s is %v, want more than 0", name, d)
		}
	}
	for name, n := range map[string]int{
		"max consumers": c.MaxConsumers, "max ack pending": c.MaxAckPending, "pull batch": c.PullBatch, "creates": c.Creates,
	} {
		if n <= 0 {
			return fmt.Errorf("natsjs: %s is %d, want more than 0", name, n)
		}
	}
	if c.CommandTTL < time.Second || c.CommandTTL%time.Second != 0 {
		return fmt.Errorf("natsjs: command TTL is %v, want whole seconds (the server cuts the rest off)", c.CommandTTL)
	}
	if c.Ledger == "" || c.Status.Name == "" {
		return errors.New("natsjs: the ledger and the stream of statuses are required")
	}
	for _, name := range []string{c.Events, c.Ledger, c.Status.Name} {
		if strings.ContainsAny(name, ">*. /\\\t\r\n") {
			return fmt.Errorf("natsjs: stream name %q: dots, wildcards, slashes and blanks are not allowed", name)
		}
	}
	return nil
}

// Errors of the streams.
var (
	// ErrDiffers: a stream exists with settings that cannot be changed to what is needed.
	ErrDiffers = errors.New("exists with other settings")
	// ErrUnknownTenant: the tenant has no events stream; see [Streams.AddTenant].
	ErrUnknownTenant = errors.New("unknown tenant")
)

// Streams are the scheduler's streams on one connection, which it does not own.
type Streams struct {
	nc  *nats.Conn
	js  jetstream.JetStream
	cfg Config
	log *slog.Logger
	// api is the prefix of JetStream's API subjects, with its dot.
	api string

	// ledgerID tells one ledger from another that took its place.
	ledgerID atomic.Value
	// ledgerMost is the largest message the ledger's settings allow; 0 for any.
	ledgerMost int

	mu      sync.Mutex
	tenants map[tenancy.Tenant]*events
}

// New makes sure the streams of events and statuses exist as they must: missing
// ones are created, different ones are changed in place with the difference logged,
// and what cannot be changed is an error that wraps [ErrDiffers] and names it.
// Nothing is ever deleted. The ledger has to be there.
func New(ctx context.Context, nc *nats.Conn, cfg Config) (*Streams, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Streams{nc: nc, cfg: cfg, log: cfg.Log, api: "$JS.API.", tenants: map[tenancy.Tenant]*events{}}
	var err error
	opts := []jetstream.JetStreamOpt{jetstream.WithDefaultTimeout(cfg.APITimeout)}
	if cfg.Domain == "" {
		s.js, err = jetstream.New(nc, opts...)
	} else {
		s.api = "$JS." + cfg.Domain + ".API."
		s.js, err = jetstream.NewWithDomain(nc, cfg.Domain, opts...)
	}
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	ledger, err := s.js.Stream(ctx, s.cfg.Ledger)
	if err != nil {
		return nil, fmt.Errorf("look up ledger %s: %w", s.cfg.Ledger, err)
	}
	s.ledgerMost = max(0, int(ledger.CachedInfo().Config.MaxMsgSize))
	s.ledgerID.Store(idOf(ledger.CachedInfo()))
	if _, err := s.ensure(ctx, s.statusConfig(""), needSubjects, nil); err != nil {
		return nil, err
	}
	if !cfg.Multi {
		if err := s.AddTenant(ctx, tenancy.DefaultTenant, ""); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func idOf(ledger *jetstream.StreamInfo) string { return ledger.Created.UTC().Format(time.RFC3339Nano) }

// ledger names the ledger in which epochs count.
func (s *Streams) ledger() string { id, _ := s.ledgerID.Load().(string); return id }

// LearnLedger is called when the ledger is another one than it was: epochs of
// consumers that were made under the old one count no more.
func (s *Streams) LearnLedger(ctx context.Context) {
	for try := 0; ; try++ {
		st, err := s.js.Stream(ctx, s.cfg.Ledger)
		if err == nil {
			s.ledgerID.Store(idOf(st.CachedInfo()))
			return
		}
		// Without a ledger nobody can claim anything, so there is time.
		s.log.Warn("new ledger not looked at, trying again", "stream", s.cfg.Ledger, "error", err)
		if !pause(ctx, try) {
			return
		}
	}
}

// AddTenant makes sure the tenant's events and statuses have their place. account is the token
// before "wasmbus.evt" in the subjects of the tenant's events and before
// "wadm.status" in those of its statuses; "" for none.
func (s *Streams) AddTenant(ctx context.Context, tenant tenancy.Tenant, account string) error {
	if _, err := tenancy.ParseTenant(string(tenant)); err != nil {
		return err
	}
	if account != "" {
		// Accounts obey the grammar of tenants: one token, nothing special.
		if _, err := tenancy.ParseTenant(account); err != nil {
			return fmt.Errorf("account of tenant %s: %w", tenant, err)
		}
	}
	e := newEvents(s, tenant, account)
	if err := e.ensure(ctx); err != nil {
		return err
	}
	if account != "" {
		if _, err := s.ensure(ctx, s.statusConfig(account), needSubjects, nil); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.tenants[tenant]; old != nil && old.account == account {
		return nil
	}
	s.tenants[tenant] = e
	return nil
}

// tenantEvents finds the events of a tenant.
func (s *Streams) tenantEvents(tenant tenancy.Tenant) (*events, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.tenants[tenant]
	if e == nil {
		return nil, fmt.Errorf("events of tenant %s: %w", tenant, ErrUnknownTenant)
	}
	return e, nil
}

// trouble has all consumers looked at: JetStream has failed, and one server's end may
// be heard of in one place only.
func (s *Streams) trouble() {
	for _, e := range s.allEvents() {
		e.alarms.raise(time.Now())
	}
}

func (s *Streams) allEvents() []*events {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*events, 0, len(s.tenants))
	for _, e := range s.tenants {
		all = append(all, e)
	}
	return all
}

// mostBytes is how much data a message of the ledger may have beside its headers.
func (s *Streams) mostBytes() int {
	most := int(s.nc.MaxPayload())
	if s.ledgerMost > 0 {
		most = min(most, s.ledgerMost)
	}
	return most - headerRoom
}
