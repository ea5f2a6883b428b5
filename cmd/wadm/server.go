package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"wadm/config/natsconn"
	"wadm/scheduler"
	"wadm/scheduler/control"
	"wadm/scheduler/core"
	"wadm/scheduler/natsjs"
	"wadm/shard"
	"wadm/shard/natskv"
	"wadm/tenancy"
	"wadm/tenancy/api"
	"wadm/tenancy/catalog"
)

// server is everything one instance runs once it is connected: the API, the
// claims on lattices, and the scheduler that acts for them.
type server struct {
	log       *slog.Logger
	catalog   *catalog.Catalog
	api       *api.Server
	registry  shard.Registry
	registrar *registrar
	refusals  *refusals
	fleet     *shard.Fleet
	scheduler *scheduler.Scheduler
	intake    *natsjs.Intake
	ledger    *natsjs.Ledger
	discovery *natsjs.Discovery
	explainer *explainer
	keep      func(context.Context) error
	// dropAfter is dropLatticesAfter; tests have less time.
	dropAfter time.Duration
}

// newServer opens everything a server needs. It starts nothing.
func newServer(ctx context.Context, d deps) (*server, error) {
	cfg, log, nc := d.Config, d.Log, d.NATS
	storage, replicas := jetstream.FileStorage, cfg.Storage.Replicas
	if cfg.Storage.InMemory() {
		storage = jetstream.MemoryStorage
	}
	js := nc.JetStream()

	store, err := natskv.Open(ctx, nc.Conn, natskv.Config{
		Ledger: cfg.Storage.Stream(natskv.DefaultLedger), Lattices: cfg.Storage.Stream(natskv.DefaultLattices),
		Members: cfg.Storage.Stream(natskv.DefaultMembers), View: cfg.Storage.Stream(natskv.DefaultView),
		Beats:    cfg.Storage.Stream(natskv.DefaultBeats),
		Replicas: replicas, Storage: storage, Domain: cfg.NATS.JetStreamDomain,
	})
	if err != nil {
		return nil, err
	}
	s := &server{log: log, dropAfter: dropLatticesAfter, refusals: newRefusals(log), registry: store.Registry(), registrar: newRegistrar(store.Registry(), log)}
	// Claims in the ledger tell that there have been applications before.
	mark, err := store.Probe(ctx)
	if err != nil {
		return nil, err
	}
	if s.catalog, err = catalog.New(ctx, js, catalog.Config{
		Bucket: cfg.Storage.Stream("wadm_catalog"), Expected: mark.Last > 0, Replicas: replicas, Storage: storage, Logger: log,
		MaxBytes: cfg.Storage.ManifestBucketMaxBytes,
	}); err != nil {
		return nil, err
	}
	if err := s.adopt(ctx, cfg.Storage.ManifestBucket); err != nil {
		return nil, err
	}
	public := api.Streams{
		Events: cfg.Storage.Stream("wadm_events"), Status: cfg.Storage.Stream("wadm_status"), Replicas: replicas, Storage: storage,
		EventsMaxBytes: cfg.Storage.EventStreamMaxBytes, StatusMaxBytes: cfg.Storage.StatusStreamMaxBytes,
	}
	if s.api, err = api.New(nc.Conn, s.catalog, api.Deps{
		JetStream: js, Logger: log, Tracer: d.Tracing.Provider(),
		Register: s.registrar.register, Explain: s.explain,
	}, api.Config{
		Prefix: cfg.API.Prefix, ReplyPrefixes: cfg.API.Inboxes(), Streams: public,
	}); err != nil {
		return nil, err
	}
	streams, err := natsjs.New(ctx, nc.Conn, natsjs.Config{
		Log: log, Domain: cfg.NATS.JetStreamDomain,
		Events: cfg.Storage.Stream("wasmbus_events"), Status: public.StatusStream(), Ledger: cfg.Storage.Stream(natskv.DefaultLedger),
		Replicas: replicas, Memory: cfg.Storage.InMemory(), EventsMaxBytes: cfg.Storage.WasmbusEventStreamMaxBytes,
		AckWait: cfg.Events.AckWait, MaxAckPending: cfg.Events.MaxAckPending,
		CommandTTL: (cfg.Commands.Deadline + time.Minute).Round(time.Second),
	})
	if err != nil {
		return nil, err
	}
	s.intake, s.ledger, s.discovery = natsjs.NewIntake(streams), natsjs.NewLedger(streams), natsjs.NewDiscovery(streams)
	hosts, err := control.New(d.Commands.Conn, control.Config{Instance: cfg.InstanceID})
	if err != nil {
		return nil, err
	}
	if s.scheduler, err = scheduler.New(scheduler.Deps{
		Ledger: s.ledger, Intake: s.intake, Hosts: hosts, Desired: s.catalog,
		Statuses: natsjs.NewStatuses(streams), Log: log, Tracer: d.Tracing.Tracer("wadm/scheduler"),
	}, scheduler.Config{Core: core.Config{CommandDeadline: cfg.Commands.Deadline}}); err != nil {
		return nil, err
	}
	s.keep = func(ctx context.Context) error {
		bucket := func(name string) string { return "KV_" + cfg.Storage.Stream(name) }
		return natsconn.KeepStreams(ctx, js, log,
			// A ledger that counts anew is noticed by the fleet, which claims everything anew.
			natsconn.Kept{Name: cfg.Storage.Stream(natskv.DefaultLedger), MayCountAnew: true, Made: streams.LearnLedger},
			natsconn.Kept{Name: bucket(natskv.DefaultLattices)},
			natsconn.Kept{Name: bucket(natskv.DefaultMembers)},
			natsconn.Kept{Name: bucket(natskv.DefaultView)},
			natsconn.Kept{Name: public.Events, MayCountAnew: true},
			natsconn.Kept{Name: public.Status, MayCountAnew: true, Made: s.scheduler.RepeatStatuses},
		)
	}
	s.explainer = &explainer{nc: nc.Conn, scheduler: s.scheduler, instance: cfg.InstanceID, heard: heardBy(cfg), log: log}
	if s.fleet, err = shard.New(s.refusals.watch(store.Ports()), shard.FleetConfig{
		Instance: shard.MemberID(cfg.InstanceID), Version: version, StopLimit: cfg.DrainTimeout, Log: log,
	}); err != nil {
		return nil, err
	}
	return s, nil
}

// explain answers the API, which is made before what it asks.
func (s *server) explain(ctx context.Context, key tenancy.LatticeKey, app string) (json.RawMessage, error) {
	return s.explainer.explain(ctx, key, app)
}

// adopt takes over the applications of upstream's bucket, once.
func (s *server) adopt(ctx context.Context, bucket string) error {
	report, err := s.catalog.Adopt(ctx, bucket)
	switch {
	case errors.Is(err, catalog.ErrAmbiguous), errors.Is(err, catalog.ErrUndecodable), errors.Is(err, tenancy.ErrBadName):
		return fmt.Errorf("adopt applications: %w: %w", errNotAdoptable, err)
	case err != nil:
		return fmt.Errorf("adopt applications: %w", err)
	}
	if report.Done && !report.Earlier {
		s.log.Info(report.String())
	}
	return nil
}

// run serves until ctx ends: first no new requests, then the lattices are given
// up, then the rest.
func (s *server) run(ctx context.Context) error {
	// What feeds the owners has to outlive them, so that they can stop in order.
	base, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, gctx := errgroup.WithContext(base)
	g.Go(func() error { return part(gctx, "catalog", s.catalog.Run(gctx)) })
	g.Go(func() error { return part(gctx, "intake", s.intake.Run(gctx)) })
	g.Go(func() error { return part(gctx, "registrar", s.registrar.run(gctx)) })
	g.Go(func() error { return part(gctx, "ledger", s.ledger.Run(gctx)) })
	g.Go(func() error { return part(gctx, "explainer", s.explainer.run(gctx)) })
	g.Go(func() error { return part(gctx, "keeper of streams", s.keep(gctx)) })
	// Without any of these the front is of no use: it ends with them.
	open, shut := context.WithCancel(ctx)
	defer shut()
	defer context.AfterFunc(gctx, shut)()
	held := &heldLog{log: s.log}
	g.Go(func() error { return held.run(gctx) })
	front, fctx := errgroup.WithContext(open)
	front.Go(func() error { return part(fctx, "API", s.api.Run(fctx)) })
	front.Go(func() error { return part(fctx, "discovery", s.discover(fctx)) })
	front.Go(func() error {
		// Its error counts after the end of fctx too: lattices were not handed over.
		if err := s.fleet.Run(fctx, held.own(s.own)); err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("fleet ended: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		defer stop()
		return front.Wait()
	})
	return g.Wait()
}

// part tells the orderly end of a part from its failure.
func part(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil || err == nil {
		return nil
	}
	return fmt.Errorf("%s ended: %w", name, err)
}

// own ties a claim to the scheduler.
func (s *server) own(ctx context.Context, c shard.Claim) error {
	key, err := tenancy.ParseToken(string(c.Key))
	if err != nil {
		return fmt.Errorf("own %q: %w", c.Key, err)
	}
	// The scheduler has its own word for a lost claim, also as the cause of an end.
	owned, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	defer context.AfterFunc(ctx, func() {
		cause := context.Cause(ctx)
		if errors.Is(cause, shard.ErrFenced) {
			cause = errors.Join(scheduler.ErrFenced, cause)
		}
		end(cause)
	})()
	err = s.scheduler.Own(owned, scheduler.Claim{Key: key, Epoch: c.Epoch, Guard: &scheduler.Guard{
		MayAct: c.MayAct, AwaitEffects: c.AwaitEffects, Recovered: c.Recovered,
	}})
	for _, e := range []struct{ theirs, ours error }{
		{scheduler.ErrFenced, shard.ErrFenced},
		{scheduler.ErrUnknownOutcome, shard.ErrUnknownOutcome},
		{scheduler.ErrUnderWay, shard.ErrUnderWay},
	} {
		if errors.Is(err, e.theirs) {
			err = errors.Join(e.ours, err)
		}
	}
	return err
}

// check is the readiness of the parts: whether requests are answered and
// lattices are acted for.
func (s *server) check(context.Context) error {
	select {
	case <-s.api.Ready():
	default:
		return errors.New("API is not subscribed yet")
	}
	if err := s.catalog.Ready(); err != nil {
		return err
	}
	if err := s.refusals.check(); err != nil {
		return err
	}
	return s.fleet.Ready()
}
